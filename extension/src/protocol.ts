/** What our own messages carry, beyond the Language Server Protocol; the server's `lsp/status.py` says what it means. */

export type State = "unknown" | "healthy" | "degraded" | "failed" | "running" | "waiting" | "asking" | "paused";

export type OnSave = "sync" | "check" | "off";

/** The parameters of `uvLinkDoctor/status`; `state` is null when the root is no project any more. */
export interface Status {
  readonly root: string;
  readonly name: string;
  readonly state: State;
  /** A few words, for where there is little room; may be empty. */
  readonly brief: string;
  readonly text: string;
  readonly action: {
    readonly title: string;
    readonly tooltip: string;
    readonly command: string;
    readonly arguments: readonly unknown[];
  } | null;
  readonly copying: boolean;
  readonly onSave: OnSave;
}

export const STATUS = "uvLinkDoctor/status";
export const PAGE = "uvLinkDoctor/page";
export const TERMINAL_COMMAND = "uvLinkDoctor/terminalCommand";
export const UNDO = "uvLinkDoctor/undo";

/** What the doctor page shows: made and escaped by the server. */
export interface Page {
  readonly title: string;
  readonly style: string;
  readonly body: string;
}
