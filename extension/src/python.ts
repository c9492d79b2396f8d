/** Which Python runs the server: asked in a fixed order, each answer logged. */

import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The oldest Python that the server runs on, and the oldest that its libraries do. */
const OLDEST = [3, 11] as const;
const PATIENCE_MS = 10_000;

/** An interpreter that has answered. */
export interface Python {
  readonly command: string;
  readonly version: string;
  readonly via: string;
}

/** Where one may be, before anybody has asked it. */
export interface Candidate {
  readonly via: string;
  readonly command: string;
  readonly args?: readonly string[];
}

export type Log = (line: string) => void;

/** The first candidate that is new enough; undefined where there is none. */
export async function findPython(
  candidates: AsyncIterable<Candidate> | Iterable<Candidate>,
  log: Log,
): Promise<Python | undefined> {
  for await (const candidate of candidates) {
    const python = await ask(candidate, log);
    if (python !== undefined) {
      return python;
    }
  }
  log(`no Python ${OLDEST.join(".")} or newer was found`);
  return undefined;
}

/**
 * Asks the interpreter itself, isolated from the project's directory and from PYTHON* variables.
 *
 * Of a virtual environment it is the Python it was made from that is taken: a server that runs on a project's own
 * `.venv` would hold the files that uv has to replace.
 */
async function ask(candidate: Candidate, log: Log): Promise<Python | undefined> {
  const question = [
    "import sys",
    "print('%d.%d.%d' % sys.version_info[:3])",
    "print(getattr(sys, '_base_executable', None) or sys.executable)",
  ].join("; ");
  const { command, via } = candidate;
  try {
    const answer = await output(command, [...(candidate.args ?? []), "-I", "-X", "utf8", "-c", question]);
    const [version = "", base = ""] = answer.trim().split(/\r?\n/);
    const [major = 0, minor = 0] = version.split(".").map(Number);
    if (major !== OLDEST[0] || minor < OLDEST[1]) {
      log(`${via}: ${command} is Python ${version}, too old`);
      return undefined;
    }
    const found = existsSync(base) ? base : command;
    log(`${via}: ${command} is Python ${version}${found === command ? "" : `, run from ${found}`}`);
    return { command: found, version, via };
  } catch (error) {
    log(`${via}: ${command}: ${sentence(error)}`);
    return undefined;
  }
}

/** Where installers put Python, the newest first; `home` and `environment` are the user's. */
export function* knownLocations(
  platform: NodeJS.Platform = process.platform,
  environment: NodeJS.ProcessEnv = process.env,
  home: string = homedir(),
): Generator<Candidate> {
  const via = "known location";
  const managed = (directory: string, ...below: string[]): Candidate[] =>
    newest(directory, /^cpython-(3\.\d+)\.\d+-/).map((name) => ({ via, command: join(directory, name, ...below) }));
  if (platform === "win32") {
    // uv's own (its documentation, "Python versions"), then python.org's installer for one user and for all.
    yield* managed(join(environment.APPDATA ?? join(home, "AppData", "Roaming"), "uv", "python"), "python.exe");
    const local = join(environment.LOCALAPPDATA ?? join(home, "AppData", "Local"), "Programs", "Python");
    for (const directory of [local, environment.ProgramFiles ?? "C:\\Program Files"]) {
      for (const name of newest(directory, /^Python(3\d+)$/)) {
        yield { via, command: join(directory, name, "python.exe") };
      }
    }
    return;
  }
  yield* managed(join(environment.XDG_DATA_HOME ?? join(home, ".local", "share"), "uv", "python"), "bin", "python3");
  for (const directory of ["/opt/homebrew/bin", "/usr/local/bin", "/usr/bin"]) {
    for (const name of newest(directory, /^python(3\.\d+)$/)) {
      yield { via, command: join(directory, name) };
    }
  }
}

/** The names in a directory that fit, the highest version first; none where the directory cannot be read. */
function newest(directory: string, pattern: RegExp): string[] {
  const version = (name: string): number[] => (pattern.exec(name)?.[1] ?? "").split(".").map(Number);
  try {
    return readdirSync(directory)
      .filter((name) => pattern.test(name))
      .sort((one, other) => compare(version(other), version(one)));
  } catch {
    return [];
  }
}

function compare(one: readonly number[], other: readonly number[]): number {
  return (one[0] ?? 0) - (other[0] ?? 0) || (one[1] ?? 0) - (other[1] ?? 0);
}

/** The Python that uv would choose, neither the project's own nor one to be downloaded first. */
export async function* foundByUv(uv: string, log: Log): AsyncGenerator<Candidate> {
  const question = ["python", "find", "--no-project", "--system", "--no-python-downloads", "--no-config"];
  try {
    const answer = await output(uv, [...question, `>=${OLDEST.join(".")}`]);
    yield { via: "uv python find", command: answer.trim() };
  } catch (error) {
    log(`uv python find: ${sentence(error)}`);
  }
}

/** What the shell would start. */
export function* onPath(platform: NodeJS.Platform = process.platform): Generator<Candidate> {
  if (platform === "win32") {
    yield { via: "PATH", command: "py", args: ["-3"] };
  }
  yield { via: "PATH", command: "python3" };
  yield { via: "PATH", command: "python" };
}

/** What a command prints; its last line on stderr, or else how it ended, is the error. */
function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: PATIENCE_MS, windowsHide: true }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const ending = error.killed === true ? "did not answer" : `exit code ${error.code}`;
      const ran = error.killed === true || typeof error.code === "number";
      reject(new Error(stderr.trim().split("\n").at(-1) || (ran ? ending : error.message)));
    });
  });
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
