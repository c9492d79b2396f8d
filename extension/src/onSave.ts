/** What a save does in a folder: the user's settings, else the one choice they made there. */

import { ConfigurationTarget, type Memento, type Uri, window, workspace } from "vscode";
import type { OnSave } from "./protocol";

const CHOICES: readonly { readonly label: string; readonly description: string; readonly value: OnSave }[] = [
  { label: "Sync on save", description: "runs uv sync in the background", value: "sync" },
  { label: "Check only", description: "looks, and installs nothing", value: "check" },
  { label: "Off", description: "does nothing", value: "off" },
];

export class OnSaveChoice {
  constructor(private readonly memory: Memento) {}

  /** The choice remembered for a folder, where no setting of the user's says something else. */
  of(folder: Uri | undefined): OnSave | undefined {
    return this.#target(folder) === undefined ? this.memory.get<OnSave>(key(folder)) : undefined;
  }

  /** Whether the user has said, in whatever way, what a save does in this folder. */
  isMade(folder: Uri | undefined): boolean {
    return this.#target(folder) !== undefined || this.of(folder) !== undefined;
  }

  /** Asks; true when something was chosen. */
  async ask(folder: Uri | undefined): Promise<boolean> {
    const now = workspace.getConfiguration("uvLinkDoctor", folder).get<OnSave>("onSave", "sync");
    const chosen = this.of(folder) ?? now;
    const items = CHOICES.map((choice) => (choice.value === chosen ? { ...choice, detail: "as it is now" } : choice));
    const answer = await window.showQuickPick(items, { title: "What saving pyproject.toml does in this folder" });
    if (answer === undefined) {
      return false;
    }
    const target = this.#target(folder);
    if (target === undefined) {
      await this.memory.update(key(folder), answer.value);
    } else {
      // Where a setting decides, the choice is that setting's.
      await workspace.getConfiguration("uvLinkDoctor", folder).update("onSave", answer.value, target);
    }
    return true;
  }

  /** Where the user has set it; undefined where the default counts. */
  #target(folder: Uri | undefined): ConfigurationTarget | undefined {
    const found = workspace.getConfiguration("uvLinkDoctor", folder).inspect("onSave");
    if (found?.workspaceFolderValue !== undefined) {
      return ConfigurationTarget.WorkspaceFolder;
    }
    if (found?.workspaceValue !== undefined) {
      return ConfigurationTarget.Workspace;
    }
    return found?.globalValue === undefined ? undefined : ConfigurationTarget.Global;
  }
}

function key(folder: Uri | undefined): string {
  return `onSave ${folder?.toString() ?? ""}`;
}
