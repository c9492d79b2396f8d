/** The commands of the palette, by the end of their identifiers. */
export const COMMANDS = [
  "openPage",
  "runSync",
  "runCheck",
  "cancelRun",
  "explainText",
  "copyReport",
  "copyCommand",
  "undo",
  "chooseOnSave",
  "choosePython",
  "restart",
  "showLog",
] as const;

export type CommandName = (typeof COMMANDS)[number];
