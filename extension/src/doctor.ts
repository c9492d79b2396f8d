/** Puts the parts together: the server, what the editor shows of it, and the commands. */

import { basename } from "node:path";
import {
  commands,
  type ExtensionContext,
  env,
  type LogOutputChannel,
  Uri,
  type WorkspaceFolder,
  window,
  workspace,
} from "vscode";
import {
  DidChangeConfigurationNotification,
  ExecuteCommandRequest,
  type LanguageClient,
  type Middleware,
} from "vscode-languageclient/node";
import type { CommandName } from "./commands";
import { OnSaveChoice } from "./onSave";
import { type Asked, DoctorPage } from "./page";
import { type OnSave, PAGE, type Page, STATUS, type Status, TERMINAL_COMMAND, UNDO } from "./protocol";
import { choosePython, Server } from "./server";
import { StatusItems } from "./status";
import { Terminals } from "./terminals";

export type Doctor = Record<CommandName, () => Promise<unknown>> & { stop(): Promise<void> };

/** Begins with everything; returns before the server runs. */
export function openPractice(context: ExtensionContext): Doctor {
  return new Practice(context);
}

class Practice implements Doctor {
  readonly #log: LogOutputChannel;
  readonly #server: Server;
  readonly #items = new StatusItems();
  readonly #page: DoctorPage;
  readonly #terminals: Terminals;
  readonly #choice: OnSaveChoice;
  /** By root: how each project is, as far as the server has said. */
  readonly #statuses = new Map<string, Status>();
  /** The root that the page is about; undefined while it explains a text. */
  #pageRoot: string | undefined;

  constructor(private readonly context: ExtensionContext) {
    this.#log = window.createOutputChannel("uv Link Doctor", { log: true });
    this.#terminals = new Terminals(context);
    this.#choice = new OnSaveChoice(context.workspaceState);
    this.#page = new DoctorPage(context, (asked) => this.#answer(asked));
    this.#server = new Server(context, {
      log: this.#log,
      middleware: this.#middleware(),
      listen: (client) => this.#listen(client),
      healthChanged: (health) => {
        if (health !== "ready") {
          this.#statuses.clear();
        }
        void commands.executeCommand("setContext", "uvLinkDoctor.ready", health === "ready");
        this.#showStatus();
      },
    });
    context.subscriptions.push(
      this.#log,
      this.#items,
      this.#page,
      window.onDidChangeActiveTextEditor(() => this.#showStatus()),
      workspace.onDidGrantWorkspaceTrust(() => this.#server.restart()),
      workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("uvLinkDoctor.python")) {
          void this.#server.restart();
        } else if (change.affectsConfiguration("uvLinkDoctor")) {
          this.#showStatus();
        }
      }),
    );
    this.#showStatus();
    void this.#server.restart();
    void this.#saySoIfRestricted();
  }

  async stop(): Promise<void> {
    await this.#server.stop();
  }

  // --- commands ---------------------------------------------------------------------------

  async openPage(): Promise<void> {
    await this.#withRoot(async (root, client) => {
      this.#pageRoot = root;
      this.#page.open(await client.sendRequest<Page>(PAGE, { root }), workspace.isTrusted);
    });
  }

  async runSync(): Promise<void> {
    await this.#withRoot((root) => this.#execute("uvLinkDoctor.sync", root));
  }

  async runCheck(): Promise<void> {
    await this.#withRoot((root) => this.#execute("uvLinkDoctor.check", root));
  }

  async cancelRun(): Promise<void> {
    await this.#withRoot((root) => this.#execute("uvLinkDoctor.cancel", root));
  }

  async explainText(): Promise<void> {
    const editor = window.activeTextEditor;
    const selected = editor?.document.getText(editor.selection) ?? "";
    const text = selected.trim() === "" ? await env.clipboard.readText() : selected;
    if (text.trim() === "") {
      void window.showInformationMessage("Select uv's output in an editor, or copy it from a terminal, and ask again.");
      return;
    }
    await this.#withClient(async (client) => {
      this.#pageRoot = undefined;
      this.#page.open(await client.sendRequest<Page>(PAGE, { text }), false);
    });
  }

  async copyReport(): Promise<void> {
    await this.#withRoot(async (root) => {
      await this.#copyReport(root);
      window.setStatusBarMessage("uv Link Doctor: the redacted report is on the clipboard", 5000);
    });
  }

  async copyCommand(): Promise<void> {
    await this.#withRoot(async (root, client) => {
      const { command } = await client.sendRequest<{ command: string }>(TERMINAL_COMMAND, {
        root,
        terminal: env.shell,
      });
      await env.clipboard.writeText(command);
      window.setStatusBarMessage(`uv Link Doctor: copied for ${basename(env.shell) || "your shell"}`, 5000);
    });
  }

  async undo(): Promise<void> {
    await this.#withRoot(async (root, client) => {
      const { undone } = await client.sendRequest<{ undone: string }>(UNDO, { root });
      void window.showInformationMessage(`Taken back: ${undone}.`);
    });
  }

  async chooseOnSave(): Promise<void> {
    const folder = activeFolder();
    if (await this.#choice.ask(folder?.uri)) {
      await this.#server.client?.sendNotification(DidChangeConfigurationNotification.type, { settings: null });
      this.#showStatus();
    }
  }

  async choosePython(): Promise<void> {
    await choosePython();
  }

  async restart(): Promise<void> {
    await this.#server.restart();
  }

  async showLog(): Promise<void> {
    this.#log.show();
  }

  // --- the server's side ------------------------------------------------------------------

  #listen(client: LanguageClient): void {
    client.onNotification(STATUS, (status: Status | { root: string; state: null }) => {
      if (status.state === null) {
        this.#statuses.delete(status.root);
      } else {
        this.#statuses.set(status.root, status);
      }
      this.#terminals.follow(this.#statuses.values());
      this.#showStatus();
      void this.#refreshPage(status.root);
    });
  }

  #middleware(): Middleware {
    return {
      workspace: {
        // Where no setting says what a save does, the choice that the user made in this folder does.
        configuration: async (params, token, next) => {
          const answers = await next(params, token);
          if (!Array.isArray(answers)) {
            return answers;
          }
          return params.items.map(({ scopeUri }, at) => {
            const onSave = this.#choice.of(scopeUri === undefined ? undefined : Uri.parse(scopeUri));
            const answer: unknown = answers[at];
            return onSave === undefined || !isRecord(answer) ? answer : { ...answer, onSave };
          });
        },
      },
      executeCommand: async (command, given, next) => {
        try {
          return await next(command, given);
        } catch (error) {
          void window.showErrorMessage(messageOf(error));
          return undefined;
        }
      },
    };
  }

  // --- what the editor shows --------------------------------------------------------------

  #showStatus(): void {
    const folder = activeFolder();
    const root = this.#activeRoot();
    const status = root === undefined ? undefined : this.#statuses.get(root);
    const set = workspace.getConfiguration("uvLinkDoctor", folder).get<OnSave>("onSave", "sync");
    this.#items.show({
      health: this.#server.health,
      trusted: workspace.isTrusted,
      status,
      onSave: this.#choice.of(folder?.uri) ?? set,
      chosen: this.#choice.isMade(folder?.uri),
      terminalsCopy: this.#terminals.copyIn(folder),
    });
    const running = status?.state === "running" || status?.state === "waiting";
    void commands.executeCommand("setContext", "uvLinkDoctor.running", running);
    if (status?.state === "failed" || status?.state === "degraded") {
      void commands.executeCommand("setContext", "uvLinkDoctor.seen", true);
    }
  }

  async #refreshPage(root: string): Promise<void> {
    const client = this.#server.client;
    if (!this.#page.isOpen || this.#pageRoot !== root || client === undefined) {
      return;
    }
    try {
      this.#page.refresh(await client.sendRequest<Page>(PAGE, { root }), workspace.isTrusted);
    } catch (error) {
      this.#log.warn(`the page could not be refreshed: ${messageOf(error)}`);
    }
  }

  /** Does what a button of the page asks for. */
  async #answer(asked: Asked): Promise<string> {
    const root = this.#pageRoot;
    try {
      return await this.#do(asked, root);
    } catch (error) {
      return messageOf(error);
    } finally {
      if (root !== undefined) {
        await this.#refreshPage(root);
      }
    }
  }

  async #do(asked: Asked, root: string | undefined): Promise<string> {
    if (asked.kind === "showLog") {
      this.#log.show();
      return "";
    }
    if (root === undefined) {
      return "This page explains a text; there is no project to do that with.";
    }
    if (asked.kind === "copyReport") {
      await this.#copyReport(root);
      return "The redacted report is on the clipboard.";
    }
    if (asked.kind === "apply") {
      return ended(await this.#execute("uvLinkDoctor.apply", { root, finding: asked.finding, remedy: asked.remedy }));
    }
    return ended(await this.#execute(asked.kind === "runCheck" ? "uvLinkDoctor.check" : "uvLinkDoctor.sync", root));
  }

  /** Once for a workspace: what Restricted Mode means here. */
  async #saySoIfRestricted(): Promise<void> {
    const key = "said what Restricted Mode means";
    if (workspace.isTrusted || this.context.workspaceState.get(key) === true) {
      return;
    }
    await this.context.workspaceState.update(key, true);
    const manage = "Manage Trust";
    const answer = await window.showInformationMessage(
      "uv Link Doctor runs nothing in Restricted Mode: it only reads the project and explains.",
      manage,
    );
    if (answer === manage) {
      await commands.executeCommand("workbench.trust.manage");
    }
  }

  // --- asking -----------------------------------------------------------------------------

  async #execute(command: string, argument: unknown): Promise<unknown> {
    return this.#server.client?.sendRequest(ExecuteCommandRequest.type, { command, arguments: [argument] });
  }

  async #copyReport(root: string): Promise<void> {
    const answer = await this.#execute("uvLinkDoctor.report", root);
    if (isRecord(answer) && typeof answer.markdown === "string") {
      await env.clipboard.writeText(answer.markdown);
    }
  }

  async #withClient(work: (client: LanguageClient) => Promise<unknown>): Promise<void> {
    const client = this.#server.client;
    if (client === undefined) {
      void window.showErrorMessage("uv Link Doctor's server does not run; the log says why.");
      return;
    }
    try {
      await work(client);
    } catch (error) {
      void window.showErrorMessage(messageOf(error));
    }
  }

  /** Works on the project of the active file, else of the only or the chosen folder. */
  async #withRoot(work: (root: string, client: LanguageClient) => Promise<unknown>): Promise<void> {
    await this.#withClient(async (client) => {
      const root = this.#activeRoot() ?? (await chosenFolder())?.uri.toString();
      if (root === undefined) {
        void window.showInformationMessage("Open a folder with a pyproject.toml first.");
        return;
      }
      await work(root, client);
    });
  }

  /** The innermost known project that holds the active file; without a file, the only project there is. */
  #activeRoot(): string | undefined {
    const file = window.activeTextEditor?.document.uri.toString();
    const roots = [...this.#statuses.keys()];
    if (file === undefined) {
      return this.#pageRoot ?? (roots.length === 1 ? roots[0] : undefined);
    }
    const holding = roots.filter((root) => file === root || file.startsWith(`${root}/`));
    return holding.sort((one, other) => other.length - one.length)[0];
  }
}

function activeFolder(): WorkspaceFolder | undefined {
  const file = window.activeTextEditor?.document.uri;
  return (file && workspace.getWorkspaceFolder(file)) ?? workspace.workspaceFolders?.[0];
}

async function chosenFolder(): Promise<WorkspaceFolder | undefined> {
  const folders = workspace.workspaceFolders ?? [];
  const file = window.activeTextEditor?.document.uri;
  const active = file && workspace.getWorkspaceFolder(file);
  return active ?? (folders.length > 1 ? await window.showWorkspaceFolderPick() : folders[0]);
}

/** How a command ended, in a sentence for a screen reader. */
function ended(document: unknown): string {
  const findings = isRecord(document) && Array.isArray(document.findings) ? document.findings.length : 0;
  return findings === 0 ? "Done: nothing is wrong." : `Done: ${findings} finding${findings === 1 ? "" : "s"}.`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
