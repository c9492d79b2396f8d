/** The entry: registers the commands at once and loads everything else afterwards, so that no editor waits for us. */

import { commands, type ExtensionContext } from "vscode";
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

export function activate(context: ExtensionContext): void {
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
