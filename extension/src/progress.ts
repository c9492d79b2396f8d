/** The server's progress with a cancel button, which the language client's own display lacks. */

import { type Disposable, ProgressLocation, window } from "vscode";
import {
  type BaseLanguageClient,
  type Middleware,
  type ProgressToken,
  WorkDoneProgressCancelNotification,
} from "vscode-languageclient/node";

/**
 * Shows cancellable work as a notification and hands the cancel on.
 *
 * vscode-languageclient 11 shows all work in the status bar, where there is no button.
 */
export class CancellableProgress implements Disposable {
  readonly #shown = new Map<ProgressToken, { report(message?: string): void; end(): void }>();

  middleware(client: () => BaseLanguageClient): Middleware {
    return {
      handleWorkDoneProgress: (token, params, next) => {
        const ours = this.#shown.get(token);
        if (params.kind === "begin" && params.cancellable === true) {
          this.#show(token, params.title, () => {
            void client().sendNotification(WorkDoneProgressCancelNotification.type, { token });
          });
        } else if (ours === undefined) {
          next(token, params);
        } else if (params.kind === "report") {
          ours.report(params.message);
        } else {
          this.#shown.delete(token);
          ours.end();
          next(token, params);
        }
      },
    };
  }

  /** Ends what is still shown: a server that is gone will not. */
  dispose(): void {
    for (const { end } of this.#shown.values()) {
      end();
    }
    this.#shown.clear();
  }

  #show(token: ProgressToken, title: string, cancel: () => void): void {
    void window.withProgress(
      { location: ProgressLocation.Notification, cancellable: true, title },
      (progress, cancelled) => {
        cancelled.onCancellationRequested(cancel);
        return new Promise<void>((end) => {
          this.#shown.set(token, {
            report: (message) => progress.report(message === undefined ? {} : { message }),
            end,
          });
        });
      },
    );
  }
}
