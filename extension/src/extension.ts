/** The entry: hands over to `doctor.ts` as soon as the editor has time, so that it never waits for us. */

import type { ExtensionContext } from "vscode";
import type { CommandName, Doctor } from "./doctor";

const COMMANDS: readonly CommandName[] = [
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
];

let doctor: Promise<Doctor> | undefined;

/** Registers the commands; what carries them out is loaded afterwards, or with the first of them. */
export async function activate(context: ExtensionContext): Promise<void> {
  // Even the editor's own module takes its time when it is first asked for.
  const { commands } = await import("vscode");
  const load = (): Promise<Doctor> => {
    doctor ??= import("./doctor.js").then((loaded) => loaded.openPractice(context));
    return doctor;
  };
  for (const name of COMMANDS) {
    context.subscriptions.push(commands.registerCommand(`uvLinkDoctor.${name}`, async () => (await load())[name]()));
  }
  setImmediate(load);
}

export async function deactivate(): Promise<void> {
  await (await doctor)?.stop();
}
