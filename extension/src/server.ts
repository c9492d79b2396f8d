/** The server's life: found a Python, started, started again after a crash or a change, ended. */

import type { LogOutputChannel } from "vscode";
import { commands, type Disposable, type ExtensionContext, env, languages, Uri, window, workspace } from "vscode";
import {
  State as ClientState,
  CloseAction,
  DidSaveTextDocumentNotification,
  type DocumentSelector,
  ErrorAction,
  type ErrorHandler,
  LanguageClient,
  type Middleware,
  RevealOutputChannelOn,
} from "vscode-languageclient/node";
import { cancellableProgress } from "./progress";
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

/** How often a server may end by itself within a while before it is left alone. */
const CRASHES = 3;
const WHILE_MS = 180_000;

export type Health = "starting" | "ready" | "no-python" | "stopped";

/** What others do with the server. */
export interface Wishes {
  readonly log: LogOutputChannel;
  readonly middleware: Middleware;
  /** Called with each client before it starts, to listen to it. */
  listen(client: LanguageClient): void;
  healthChanged(health: Health): void;
}

export class Server implements Disposable {
  client: LanguageClient | undefined;
  health: Health = "starting";
  /** Files saved before the server could hear of it. */
  readonly #missed = new Set<string>();
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
    this.#again = true;
    this.#work ??= this.#restartWhileAsked().finally(() => {
      this.#work = undefined;
    });
    return this.#work;
  }

  async stop(): Promise<void> {
    this.#ended = true;
    this.#again = false;
    await this.#work;
    await this.#stopClient();
  }

  dispose(): void {
    void this.stop();
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
    const client = new LanguageClient(
      "uv-link-doctor",
      "uv Link Doctor",
      {
        command: python.command,
        args: ["-I", "-S", "-X", "utf8", this.context.asAbsolutePath("start.py"), "server"],
        options: { cwd: this.context.extensionPath },
      },
      {
        documentSelector: DOCUMENTS,
        diagnosticCollectionName: "uv-link-doctor",
        outputChannel: log,
        revealOutputChannelOn: RevealOutputChannelOn.Never,
        synchronize: { configurationSection: "uvLinkDoctor" },
        initializationOptions: { trusted: workspace.isTrusted },
        initializationFailedHandler: () => false,
        middleware: { ...middleware, ...cancellableProgress(() => this.client) },
        errorHandler: this.#errorHandler(),
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
    client.onDidChangeState(({ newState }) => {
      if (this.client === client) {
        this.#turn(
          newState === ClientState.Running ? "ready" : newState === ClientState.Starting ? "starting" : "stopped",
        );
      }
    });
    this.wishes.listen(client);
    try {
      await client.start();
      await this.#tellWhatItMissed(client);
      log.info(`the server runs on Python ${python.version} (${python.via}): ${python.command}`);
    } catch (error) {
      log.error(`the server did not start: ${String(error)}`);
      this.#turn("stopped");
      void this.#tell("uv Link Doctor's server did not start; the log says why.", "Try Again");
    }
  }

  /** A save while the server starts counts, too: the client itself would forget it. */
  async #tellWhatItMissed(client: LanguageClient): Promise<void> {
    const missed = [...this.#missed];
    this.#missed.clear();
    for (const uri of missed) {
      await client.sendNotification(DidSaveTextDocumentNotification.type, { textDocument: { uri } });
    }
  }

  /** Where a Python may be, in the order in which they are asked (README, "Which Python runs it"). */
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

  /** Starts a server that has ended by itself again, quietly, but not for ever. */
  #errorHandler(): ErrorHandler {
    const ends: number[] = [];
    return {
      error: () => ({ action: ErrorAction.Continue }),
      closed: () => {
        const now = Date.now();
        ends.push(now);
        const often = ends.filter((end) => now - end < WHILE_MS).length > CRASHES;
        const hasRun = this.health === "ready";
        if (hasRun && !often) {
          this.wishes.log.warn("the server has ended by itself; it is started again");
          return { action: CloseAction.Restart, handled: true };
        }
        if (hasRun) {
          void this.#tell(
            "uv Link Doctor's server has ended by itself again and again; it is left alone.",
            "Try Again",
          );
        }
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    };
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
