/** The Python that Microsoft's Python extension has chosen for the workspace, where that extension is installed. */

import { extensions, type Uri, workspace } from "vscode";
import type { Candidate, Log } from "./python";

/** The part of its published API that we use (`@vscode/python-extension`). */
interface PythonApi {
  readonly environments: {
    getActiveEnvironmentPath(resource?: Uri): unknown;
    resolveEnvironment(path: unknown): Promise<{ readonly executable: { readonly uri?: Uri } } | undefined>;
  };
}

export async function* pythonExtension(log: Log): AsyncGenerator<Candidate> {
  const via = "Python extension";
  const extension = extensions.getExtension<PythonApi>("ms-python.python");
  if (extension === undefined) {
    log(`${via}: not installed`);
    return;
  }
  try {
    const { environments } = await extension.activate();
    const active = environments.getActiveEnvironmentPath(workspace.workspaceFolders?.[0]?.uri);
    const executable = (await environments.resolveEnvironment(active))?.executable.uri?.fsPath;
    if (executable === undefined) {
      log(`${via}: has chosen none`);
    } else {
      yield { via, command: executable };
    }
  } catch (error) {
    log(`${via}: ${String(error)}`);
  }
}
