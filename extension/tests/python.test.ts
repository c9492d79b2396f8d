/** Which Python is found: with interpreters that are shell scripts, and with the real one of this machine. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { findPython, foundByUv, knownLocations, onPath } from "../src/python";

let folder = "";
let log: string[] = [];
const note = (line: string): void => {
  log.push(line);
};

before(() => {
  folder = mkdtempSync(join(tmpdir(), "find python "));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A program that prints these lines and ends with this exit code. */
function program(name: string, lines: readonly string[], exitCode = 0): string {
  const path = join(folder, name);
  const printed = lines.map((line) => `echo '${line}'`).join("\n");
  writeFileSync(path, `#!/bin/sh\n${printed}\nexit ${exitCode}\n`, { mode: 0o755 });
  return path;
}

describe("the first that is new enough wins", () => {
  it("asks in order, and says of each what it is", async () => {
    log = [];
    const old = program("old", ["3.10.4", "/nowhere"]);
    const broken = program("broken", [], 13);
    const good = program("good", ["3.11.0", "/nowhere"]);
    const never = program("never", ["3.14.0", "/nowhere"]);
    const found = await findPython(
      [
        { via: "setting", command: join(folder, "none") },
        { via: "first", command: broken },
        { via: "second", command: old },
        { via: "third", command: good },
        { via: "fourth", command: never },
      ],
      note,
    );
    assert.deepEqual(found, { command: good, version: "3.11.0", via: "third" });
    assert.match(log[0] ?? "", /^setting: .*none: spawn .* ENOENT$/);
    assert.equal(log[1], `first: ${broken}: exit code 13`);
    assert.equal(log[2], `second: ${old} is Python 3.10.4, too old`);
    assert.equal(log[3], `third: ${good} is Python 3.11.0`);
    assert.equal(log.length, 4);
  });

  it("says once that there is none", async () => {
    log = [];
    assert.equal(await findPython([], note), undefined);
    assert.deepEqual(log, ["no Python 3.11 or newer was found"]);
  });

  it("takes no interpreter that answers nonsense", async () => {
    const odd = program("odd", ["Python was not found; run without arguments to install"]);
    assert.equal(await findPython([{ via: "PATH", command: odd }], note), undefined);
  });

  it("runs on the Python that an environment was made from, whose files uv does not replace", async () => {
    const real = execFileSync("python3", ["-c", "import sys; print(sys._base_executable)"], {
      encoding: "utf8",
    }).trim();
    const environment = join(folder, ".venv");
    execFileSync(real, ["-m", "venv", "--without-pip", environment]);
    const found = await findPython([{ via: "Python extension", command: join(environment, "bin", "python") }], note);
    assert.equal(realpathSync(found?.command ?? ""), realpathSync(real));
    assert.ok(!found?.command.startsWith(environment));
  });
});

describe("where one may be", () => {
  it("uv's own come first, the newest before the others", () => {
    const home = join(folder, "home");
    for (const name of ["cpython-3.9.1-linux-x86_64-gnu", "cpython-3.12.4-linux-x86_64-gnu", "pypy-3.11", ".lock"]) {
      mkdirSync(join(home, ".local", "share", "uv", "python", name), { recursive: true });
    }
    const found = [...knownLocations("linux", {}, home)].map(({ command }) => command);
    const base = join(home, ".local", "share", "uv", "python");
    assert.deepEqual(found.slice(0, 2), [
      join(base, "cpython-3.12.4-linux-x86_64-gnu", "bin", "python3"),
      join(base, "cpython-3.9.1-linux-x86_64-gnu", "bin", "python3"),
    ]);
    assert.ok(found.slice(2).every((path) => /^\/(usr|opt)\//.test(path)));
  });

  it("follows uv's and python.org's documentation on Windows", () => {
    const roaming = join(folder, "Roaming");
    const local = join(folder, "Local");
    mkdirSync(join(roaming, "uv", "python", "cpython-3.13.1-windows-x86_64-none"), { recursive: true });
    for (const name of ["Python39", "Python311", "Python313", "Launcher"]) {
      mkdirSync(join(local, "Programs", "Python", name), { recursive: true });
    }
    const environment = { APPDATA: roaming, LOCALAPPDATA: local, ProgramFiles: join(folder, "none") };
    assert.deepEqual(
      [...knownLocations("win32", environment, folder)].map(({ command }) => command),
      [
        join(roaming, "uv", "python", "cpython-3.13.1-windows-x86_64-none", "python.exe"),
        join(local, "Programs", "Python", "Python313", "python.exe"),
        join(local, "Programs", "Python", "Python311", "python.exe"),
        join(local, "Programs", "Python", "Python39", "python.exe"),
      ],
    );
  });

  it("asks uv for neither the project's Python nor a download", async () => {
    log = [];
    const uv = program("uv", ["/opt/python"]);
    const found = [];
    for await (const candidate of foundByUv(uv, note)) {
      found.push(candidate);
    }
    assert.deepEqual(found, [{ via: "uv python find", command: "/opt/python" }]);
    writeFileSync(uv, `#!/bin/sh\necho "$@" >&2\nexit 2\n`, { mode: 0o755 });
    for await (const candidate of foundByUv(uv, note)) {
      assert.fail(candidate.command);
    }
    assert.deepEqual(log, [
      "uv python find: python find --no-project --system --no-python-downloads --no-config >=3.11",
    ]);
  });

  it("ends with what a shell would start", async () => {
    assert.deepEqual(
      [...onPath("win32")].map(({ command, args = [] }) => [command, ...args].join(" ")),
      ["py -3", "python3", "python"],
    );
    const kept = process.env.PATH;
    program("python3", ["3.12.0", "/nowhere"]);
    process.env.PATH = [folder, kept].join(delimiter);
    try {
      assert.equal((await findPython(onPath("linux"), note))?.version, "3.12.0");
    } finally {
      process.env.PATH = kept;
    }
  });
});
