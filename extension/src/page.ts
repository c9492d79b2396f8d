/** The doctor page: what the server says of a project, in a tab, with buttons that run its commands. */

import { randomBytes } from "node:crypto";
import { type Disposable, type ExtensionContext, Uri, ViewColumn, type WebviewPanel, window } from "vscode";
import type { Page } from "./protocol";

/** What a button of the page asks for. */
export type Asked =
  | { readonly kind: "apply"; readonly finding: string; readonly remedy: string }
  | { readonly kind: "copyReport" | "runCheck" | "runSync" | "showLog" };

type Message = Asked | { readonly kind: "ready" };

export class DoctorPage implements Disposable {
  #panel: WebviewPanel | undefined;
  #page: (Page & { readonly mayRun: boolean }) | undefined;

  constructor(
    private readonly context: ExtensionContext,
    /** Does what a button asks for, and says in a sentence how that went. */
    private readonly answer: (asked: Asked) => Promise<string>,
  ) {}

  get isOpen(): boolean {
    return this.#panel !== undefined;
  }

  /** Shows a page in the tab, which is opened or brought to the front if need be. */
  open(page: Page, mayRun: boolean): void {
    this.#panel ??= this.#make(page);
    this.#panel.reveal(undefined, false);
    this.refresh(page, mayRun);
  }

  /** Shows what has changed where the tab is open; focus and scroll position stay. */
  refresh(page: Page, mayRun: boolean): void {
    this.#page = { ...page, mayRun };
    if (this.#panel !== undefined) {
      this.#panel.title = page.title;
      this.#post();
    }
  }

  dispose(): void {
    this.#panel?.dispose();
  }

  #make(page: Page): WebviewPanel {
    const media = Uri.joinPath(this.context.extensionUri, "media");
    const panel = window.createWebviewPanel("uvLinkDoctor.page", page.title, ViewColumn.Active, {
      enableScripts: true,
      enableFindWidget: true,
      localResourceRoots: [media],
    });
    panel.onDidDispose(() => {
      this.#panel = undefined;
    });
    panel.webview.onDidReceiveMessage(async (message: Message) => {
      if (message.kind === "ready") {
        // Also when the tab comes to the front again, for which VS Code makes its content anew.
        this.#post();
        return;
      }
      const said = await this.answer(message);
      void panel.webview.postMessage({ kind: "done", said });
    });
    const script = panel.webview.asWebviewUri(Uri.joinPath(media, "page.js")).toString();
    panel.webview.html = frame(page.style, script);
    return panel;
  }

  #post(): void {
    if (this.#page !== undefined) {
      const { body, mayRun } = this.#page;
      void this.#panel?.webview.postMessage({ kind: "page", body, mayRun });
    }
  }
}

/** What the frame adds to the style of the reports: a toolbar that stays in sight, and never hides what has the focus. */
const STYLE = `
html { scroll-padding-top: 7rem; }
header {
  position: sticky;
  top: 0;
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.5rem 1rem;
  padding: 0.6rem 1.5rem;
  background: var(--page);
  border-bottom: 1px solid var(--line);
}
[role="toolbar"] { display: flex; flex-wrap: wrap; gap: 0.5rem; }
#said { margin: 0; color: var(--quiet); }
`;

/** The frame of every page: nothing comes from elsewhere, and no script runs but ours. */
function frame(style: string, script: string): string {
  const nonce = randomBytes(16).toString("base64");
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>uv Link Doctor</title>
<style nonce="${nonce}">${style}${STYLE}</style>
</head>
<body>
<header>
<div role="toolbar" aria-label="What you can do">
<button type="button" data-kind="runCheck">Check Again</button>
<button type="button" data-kind="runSync" data-runs>Run uv sync</button>
<button type="button" data-kind="copyReport">Copy Redacted Report</button>
<button type="button" data-kind="showLog">Show Log</button>
</div>
<p role="status" id="said"></p>
</header>
<div id="body"></div>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
