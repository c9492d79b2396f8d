/** The entry: hands over to `doctor.ts` as soon as the editor has time, so that it never waits for us. */

import type { ExtensionContext } from "vscode";
import { COMMANDS } from "./commands";
import type { Doctor } from "./doctor";

let doctor: Promise<Doctor> | undefined;

/** Resolves when the commands are there; what carries them out is loaded afterwards, or with the first of them. */
export function activate(context: ExtensionContext): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => {
      register(context);
      resolve();
    });
  });
}

function register(context: ExtensionContext): void {
  // `require`, and not before now: even the editor's own module takes its time when it is first asked for.
  const { commands } = require("vscode") as typeof import("vscode");
  const load = async (): Promise<Doctor> => {
    doctor ??= Promise.resolve(require("./doctor.js") as typeof import("./doctor")).then(({ openPractice }) =>
      openPractice(context),
    );
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
