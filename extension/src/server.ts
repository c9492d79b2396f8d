/** The server's life: found a Python, started, started again after a crash or a change, ended. */

import type { LogOutputChannel } from "vscode";
import { commands, type ExtensionContext, env, languages, Uri, window, workspace } from "vscode";
import {
  State as ClientState,
  CloseAction,
  DidSaveTextDocumentNotification,
  type DocumentSelector,
  ErrorAction,
  LanguageClient,
  type Middleware,
  RevealOutputChannelOn,
} from "vscode-languageclient/node";
import { CancellableProgress } from "./progress";
import { type Candidate, findPython, foundByUv, knownLocations, onPath } from "./python";
import { pythonExtension } from "./pythonExtension";

/** The documents the server hears of; it knows itself which of them concern it. */
export const DOCUMENTS = [
  "**/pyproject.toml",
  "**/uv.toml",
  "**/uv.lock",
  "**/pylock*.toml",
  "**/*requirements*.txt",
  "**/*requirements*.in",
].map((pattern) => ({ scheme: "file", pattern })) satisfies DocumentSelector;

/** Any of them may be a script that says what it needs; the server looks. */
const SCRIPTS = { scheme: "file", language: "python" };

/** How often a server may end by itself within a while before it is left alone. */
const CRASHES = 3;
const WHILE_MS = 180_000;

export type Health = "starting" | "ready" | "no-python" | "stopped";

/** Leaves it to us what the user is told: of a server that ended, it would speak a second time. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** What others do with the server. */
export interface Wishes {
  readonly log: LogOutputChannel;
  readonly middleware: Middleware;
  /** Called with each client before it starts, to listen to it. */
  listen(client: LanguageClient): void;
  healthChanged(health: Health): void;
}

export class Server {
  client: LanguageClient | undefined;
  health: Health = "starting";
  /** Files saved before the server could hear of it. */
  readonly #missed = new Set<string>();
  /** When the server has ended by itself, since somebody asked for it. */
  #crashes: number[] = [];
  #again = false;
  #work: Promise<void> | undefined;
  #ended = false;

  constructor(
    private readonly context: ExtensionContext,
    private readonly wishes: Wishes,
  ) {
    context.subscriptions.push(
      workspace.onDidSaveTextDocument((document) => {
        if (this.health !== "ready" && languages.match(DOCUMENTS, document) > 0) {
          this.#missed.add(document.uri.toString());
        }
      }),
    );
  }

  /** Starts the server, or ends it first; calls while that is under way lead to one more start after it. */
  restart(): Promise<void> {
    this.#crashes = [];
    if (this.client?.state === ClientState.Starting) {
      // Who asks again may have waited for it in vain: without a client, its process is ended.
      void this.#stopClient();
    }
    return this.#restart();
  }

  #restart(): Promise<void> {
    this.#again = true;
    this.#work ??= this.#restartWhileAsked().finally(() => {
      this.#work = undefined;
    });
    return this.#work;
  }

  async stop(): Promise<void> {
    this.#ended = true;
    this.#again = false;
    await this.#stopClient();
  }

  async #restartWhileAsked(): Promise<void> {
    while (this.#again && !this.#ended) {
      this.#again = false;
      await this.#stopClient();
      await this.#start();
    }
  }

  async #stopClient(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    try {
      await client?.dispose();
    } catch (error) {
      // It did not answer in time, or was still starting: the client ends its process all the same.
      this.wishes.log.warn(`the server did not end as asked: ${String(error)}`);
    }
  }

  async #start(): Promise<void> {
    const { log, middleware } = this.wishes;
    this.#turn("starting");
    const python = await findPython(this.#candidates(), (line) => log.info(line));
    if (this.#ended) {
      return;
    }
    if (python === undefined) {
      this.#turn("no-python");
      void this.#tell("uv Link Doctor needs Python 3.11 or newer to run, and none was found.", "Choose Python…");
      return;
    }
    const progress = new CancellableProgress();
    const client: LanguageClient = new QuietClient(
      "uv-link-doctor",
      "uv Link Doctor",
      {
        command: python.command,
        args: ["-I", "-S", "-X", "utf8", this.context.asAbsolutePath("start.py"), "server"],
        options: { cwd: this.context.extensionPath },
      },
      {
        documentSelector: [...DOCUMENTS, SCRIPTS],
        diagnosticCollectionName: "uv-link-doctor",
        outputChannel: log,
        revealOutputChannelOn: RevealOutputChannelOn.Never,
        synchronize: { configurationSection: "uvLinkDoctor" },
        initializationOptions: { trusted: workspace.isTrusted },
        initializationFailedHandler: () => false,
        middleware: { ...middleware, ...progress.middleware(() => client) },
        errorHandler: {
          error: () => ({ action: ErrorAction.Continue, handled: true }),
          // It is started again by us, with a Python looked for anew.
          closed: () => ({ action: CloseAction.DoNotRestart, handled: true }),
        },
      },
    );
    client.registerFeature({
      fillClientCapabilities: (capabilities) => {
        capabilities.experimental = { uvLinkDoctorStatus: true };
      },
      initialize: () => undefined,
      getState: () => ({ kind: "static" }),
      clear: () => undefined,
    });
    this.client = client;
    let hasRun = false;
    client.onDidChangeState(({ newState }) => {
      if (newState === ClientState.Stopped) {
        progress.dispose();
        if (hasRun && this.client === client) {
          this.#hasEndedByItself();
        }
      }
    });
    this.wishes.listen(client);
    try {
      await client.start();
    } catch (error) {
      log.error(`the server did not start: ${String(error)}`);
      if (this.client !== client) {
        return;
      }
      this.#turn("stopped");
      void this.#tell("uv Link Doctor's server did not start; the log says why.", "Try Again");
      return;
    }
    hasRun = true;
    log.info(`the server runs on Python ${python.version} (${python.via}): ${python.command}`);
    this.#turn("ready");
    await this.#tellWhatItMissed(client);
  }

  /** A save while the server starts counts, too: the client itself would forget it. */
  async #tellWhatItMissed(client: LanguageClient): Promise<void> {
    for (const uri of [...this.#missed]) {
      try {
        await client.sendNotification(DidSaveTextDocumentNotification.type, { textDocument: { uri } });
        this.#missed.delete(uri);
      } catch {
        // It has ended already; the next one is told.
      }
    }
  }

  /** Where a Python may be, in the order in which they are asked (README, "What it needs"). */
  async *#candidates(): AsyncGenerator<Candidate> {
    const { log } = this.wishes;
    const settings = workspace.getConfiguration("uvLinkDoctor");
    const chosen = settings.get("python", "").trim();
    if (chosen !== "") {
      yield { via: "setting uvLinkDoctor.python", command: chosen };
    }
    if (workspace.isTrusted) {
      yield* pythonExtension((line) => log.info(line));
    }
    yield* knownLocations();
    if (workspace.isTrusted) {
      yield* foundByUv(settings.get("uvPath", "").trim() || "uv", (line) => log.info(line));
    }
    yield* onPath();
  }

  /** Starts it again, quietly, but not for ever. */
  #hasEndedByItself(): void {
    const now = Date.now();
    this.#crashes = [...this.#crashes.filter((crash) => now - crash < WHILE_MS), now];
    if (this.#crashes.length <= CRASHES) {
      this.wishes.log.warn("the server has ended by itself; it is started again");
      void this.#restart();
      return;
    }
    this.#turn("stopped");
    void this.#tell("uv Link Doctor's server has ended by itself again and again; it is left alone.", "Try Again");
  }

  #turn(health: Health): void {
    this.health = health;
    this.wishes.healthChanged(health);
  }

  async #tell(sentence: string, way: "Choose Python…" | "Try Again"): Promise<void> {
    const answer = await window.showErrorMessage(sentence, way, "Show Log");
    if (answer === way) {
      await commands.executeCommand(way === "Try Again" ? "uvLinkDoctor.restart" : "uvLinkDoctor.choosePython");
    } else if (answer === "Show Log") {
      this.wishes.log.show();
    }
  }
}

/** Lets the user name a Python, or leads to where there is one. */
export async function choosePython(): Promise<void> {
  const items = [
    { label: "$(folder-opened) Choose a Python on this machine…", id: "browse" },
    { label: "$(search) Look for one again", id: "again" },
    { label: "$(link-external) Get Python", description: "python.org", id: "get" },
  ];
  const answer = await window.showQuickPick(items, { title: "The Python that runs uv Link Doctor (3.11 or newer)" });
  if (answer?.id === "browse") {
    const [file] =
      (await window.showOpenDialog({ title: "Choose a Python (3.11 or newer)", openLabel: "Choose" })) ?? [];
    if (file !== undefined) {
      await workspace.getConfiguration("uvLinkDoctor").update("python", file.fsPath, true);
    }
  } else if (answer?.id === "again") {
    await workspace.getConfiguration("uvLinkDoctor").update("python", undefined, true);
    await commands.executeCommand("uvLinkDoctor.restart");
  } else if (answer?.id === "get") {
    await env.openExternal(Uri.parse("https://www.python.org/downloads/"));
  }
}
