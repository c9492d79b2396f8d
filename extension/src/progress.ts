/** The server's progress with a cancel button, which the language client's own display lacks. */

import { ProgressLocation, window } from "vscode";
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
export function cancellableProgress(client: () => BaseLanguageClient | undefined): Middleware {
  const shown = new Map<ProgressToken, { report(message?: string): void; end(): void }>();
  return {
    handleWorkDoneProgress: (token, params, next) => {
      if (params.kind === "begin" && params.cancellable === true) {
        void window.withProgress(
          { location: ProgressLocation.Notification, cancellable: true, title: params.title },
          (progress, cancelled) => {
            cancelled.onCancellationRequested(() => {
              void client()?.sendNotification(WorkDoneProgressCancelNotification.type, { token });
            });
            return new Promise<void>((resolve) => {
              shown.set(token, {
                report: (message) => progress.report(message === undefined ? {} : { message }),
                end: resolve,
              });
            });
          },
        );
        return;
      }
      const ours = shown.get(token);
      if (ours === undefined) {
        next(token, params);
      } else if (params.kind === "report") {
        ours.report(params.message);
      } else {
        shown.delete(token);
        ours.end();
        next(token, params);
      }
    },
  };
}
