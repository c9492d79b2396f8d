/** The language status: how the project of the active file is, what a save does there, and what its terminals use. */

import { type Command, type Disposable, type LanguageStatusItem, LanguageStatusSeverity, languages } from "vscode";
import type { OnSave, State, Status } from "./protocol";
import { DOCUMENTS, type Health } from "./server";

const LABELS: Record<State, string> = {
  unknown: "uv: not known",
  healthy: "uv: healthy",
  degraded: "uv: degraded",
  failed: "uv: failed",
  running: "uv: running",
  waiting: "uv: waiting for another uv",
  asking: "uv: waits for your word",
  paused: "uv: paused",
};
const SEVERITIES: Partial<Record<State, LanguageStatusSeverity>> = {
  failed: LanguageStatusSeverity.Error,
  degraded: LanguageStatusSeverity.Warning,
  asking: LanguageStatusSeverity.Warning,
};
const ON_SAVE: Record<OnSave, string> = { sync: "uv sync", check: "a check only", off: "nothing" };
const OPEN_PAGE: Command = { command: "uvLinkDoctor.openPage", title: "Doctor Page" };

/** What the items show at one moment. */
export interface Showing {
  readonly health: Health;
  readonly trusted: boolean;
  readonly status: Status | undefined;
  readonly onSave: OnSave;
  readonly chosen: boolean;
  readonly terminalsCopy: boolean;
}

export class StatusItems implements Disposable {
  readonly #project = item("uvLinkDoctor.project", "uv Link Doctor");
  readonly #onSave = item("uvLinkDoctor.onSave", "uv Link Doctor: on save");
  #terminals: LanguageStatusItem | undefined;

  show(now: Showing): void {
    const { text, detail, severity, busy, command } = project(now);
    this.#project.text = text;
    this.#project.detail = detail;
    this.#project.severity = severity;
    this.#project.busy = busy;
    this.#project.command = command;
    this.#project.accessibilityInformation = { label: `${text}. ${spoken(now.status?.text ?? detail)}` };
    this.#onSave.text = `On save: ${ON_SAVE[now.onSave]}`;
    this.#onSave.detail = now.chosen ? "" : "not chosen yet";
    this.#onSave.command = { command: "uvLinkDoctor.chooseOnSave", title: now.chosen ? "Change" : "Choose" };
    if (!now.terminalsCopy) {
      this.#terminals?.dispose();
      this.#terminals = undefined;
      return;
    }
    this.#terminals ??= item("uvLinkDoctor.terminals", "uv Link Doctor: terminals");
    this.#terminals.text = "Terminals: UV_LINK_MODE=copy";
    this.#terminals.detail = "new terminals of this folder copy, too";
    this.#terminals.command = { command: "uvLinkDoctor.undo", title: "Take Back" };
  }

  dispose(): void {
    this.#project.dispose();
    this.#onSave.dispose();
    this.#terminals?.dispose();
  }
}

interface Shown {
  readonly text: string;
  readonly detail: string;
  readonly severity: LanguageStatusSeverity;
  readonly busy: boolean;
  readonly command: Command | undefined;
}

function project({ health, trusted, status }: Showing): Shown {
  const plain = { severity: LanguageStatusSeverity.Information, busy: false, command: undefined };
  if (health === "starting") {
    return { ...plain, text: "uv Link Doctor is starting", detail: "", busy: true };
  }
  if (health === "no-python") {
    const command = { command: "uvLinkDoctor.choosePython", title: "Choose Python" };
    const severity = LanguageStatusSeverity.Error;
    return { ...plain, text: "uv Link Doctor: no Python", detail: "it needs 3.11 or newer to run", severity, command };
  }
  if (health === "stopped") {
    const command = { command: "uvLinkDoctor.restart", title: "Start It Again" };
    return {
      ...plain,
      text: "uv Link Doctor has stopped",
      detail: "",
      severity: LanguageStatusSeverity.Error,
      command,
    };
  }
  if (!trusted) {
    const command = { command: "workbench.trust.manage", title: "Manage Trust" };
    return { ...plain, text: "uv: restricted", detail: "nothing is run; it reads and explains", command };
  }
  if (status === undefined) {
    return { ...plain, text: LABELS.unknown, detail: "", command: OPEN_PAGE };
  }
  const { action, state } = status;
  return {
    text: LABELS[state],
    detail: status.brief,
    severity: SEVERITIES[state] ?? LanguageStatusSeverity.Information,
    busy: state === "running" || state === "waiting",
    command: action === null ? OPEN_PAGE : { ...action, arguments: [...action.arguments] },
  };
}

/** The server's prose without the marks round what is literal, which a screen reader would read out. */
function spoken(prose: string): string {
  return prose.replaceAll("`", "");
}

function item(id: string, name: string): LanguageStatusItem {
  const made = languages.createLanguageStatusItem(id, DOCUMENTS);
  made.name = name;
  return made;
}
