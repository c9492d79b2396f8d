/** `UV_LINK_MODE=copy` in the terminals of a folder whose project goes on using copies. */

import { type ExtensionContext, MarkdownString, type WorkspaceFolder, workspace } from "vscode";
import type { Status } from "./protocol";

export class Terminals {
  constructor(private readonly context: ExtensionContext) {}

  /** Sets or takes back the variable in every folder that has to do with one of the projects. */
  follow(statuses: Iterable<Status>): void {
    const copying = [...statuses].filter((status) => status.copying);
    for (const folder of workspace.workspaceFolders ?? []) {
      const wanted =
        workspace.getConfiguration("uvLinkDoctor", folder).get("terminals", true) &&
        copying.some(({ root }) => related(root, folder.uri.toString()));
      const variables = this.context.environmentVariableCollection.getScoped({ workspaceFolder: folder });
      const set = variables.get("UV_LINK_MODE") !== undefined;
      if (wanted && !set) {
        variables.description = new MarkdownString(
          "uv Link Doctor: the project here was repaired by copying, so uv copies in its terminals, too. " +
            "“Take Back the Last Repair” ends it, or the setting `uvLinkDoctor.terminals`.",
        );
        variables.replace("UV_LINK_MODE", "copy");
      } else if (!wanted && set) {
        variables.clear();
      }
    }
  }

  /** Whether the folder's terminals have the variable. */
  copyIn(folder: WorkspaceFolder | undefined): boolean {
    const variables = this.context.environmentVariableCollection;
    return folder !== undefined && variables.getScoped({ workspaceFolder: folder }).get("UV_LINK_MODE") !== undefined;
  }
}

/** Whether one of two directories holds the other, or they are the same; both as URIs. */
function related(one: string, other: string): boolean {
  const [first, second] = [one, other].map((uri) => (uri.endsWith("/") ? uri : `${uri}/`)) as [string, string];
  return first.startsWith(second) || second.startsWith(first);
}
