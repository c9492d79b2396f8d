// Makes the VSIX: bundles the client, gathers the server with its libraries and the notices they ask for, and packs.
//
//   node build.mjs [OUTPUT.vsix]
//
// PYTHON names the interpreter whose pip fetches the libraries (default: python3). Packing needs Node 22 or newer.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const BUNDLED = join(HERE, "bundled");

/** Bundles the TypeScript; returns the names of the npm packages that are now part of it. */
async function bundleClient() {
  rmSync(join(HERE, "dist"), { recursive: true, force: true });
  const shared = {
    absWorkingDir: HERE,
    outdir: "dist",
    bundle: true,
    minify: true,
    metafile: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    logLevel: "warning",
  };
  // Two files, so that the one the editor waits for stays small.
  await build({ ...shared, entryPoints: ["src/extension.ts"], external: ["vscode", "./doctor.js"] });
  const { metafile } = await build({ ...shared, entryPoints: ["src/doctor.ts"], external: ["vscode"] });
  const packages = Object.keys(metafile.inputs).map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  return [...new Set(packages.filter((name) => name !== undefined))].sort();
}

/** Puts the server and the pure-Python libraries it needs into one directory. */
function gatherServer() {
  rmSync(BUNDLED, { recursive: true, force: true });
  mkdirSync(BUNDLED);
  const pure = ["--implementation", "py", "--abi", "none", "--platform", "any", "--only-binary", ":all:"];
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", ...pure];
  execFileSync(
    process.env.PYTHON ?? "python3",
    [...pip, "--python-version", "3.11", "--target", BUNDLED, "--requirement", join(HERE, "bundled-requirements.txt")],
    { stdio: "inherit" },
  );
  cpSync(join(HERE, "..", "server", "uv_link_doctor"), join(BUNDLED, "uv_link_doctor"), {
    recursive: true,
    filter: (path) => !path.includes("__pycache__"),
  });
  cpSync(join(HERE, "..", "LICENSE"), join(HERE, "LICENSE"));
}

/** Writes what the licences of the bundled parts ask for: their names and their full texts. */
function writeNotices(npmPackages) {
  const parts = [...pythonParts(), ...npmPackages.map(npmPart)];
  const missing = parts.filter((part) => part.texts.length === 0);
  if (missing.length > 0) {
    throw new Error(`no licence text: ${missing.map((part) => part.title).join(", ")}`);
  }
  const blocks = parts.map(({ title, texts }) => [title, "-".repeat(title.length), ...texts].join("\n\n"));
  const head = "uv Link Doctor contains these works of others, under their own licences.";
  writeFileSync(join(HERE, "THIRD_PARTY_NOTICES.txt"), `${[head, ...blocks].join("\n\n\n")}\n`);
}

function pythonParts() {
  return readdirSync(BUNDLED)
    .filter((name) => name.endsWith(".dist-info"))
    .map((name) => {
      const directory = join(BUNDLED, name);
      return {
        title: name.replace(".dist-info", "").replace("-", " ").concat(" (Python)"),
        texts: licences(directory),
      };
    });
}

function npmPart(name) {
  const directory = join(HERE, "node_modules", name);
  const { version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  return { title: `${name} ${version} (npm)`, texts: licences(directory) };
}

/** The texts of the licence files in a directory, or in the directory that wheels keep them in. */
function licences(directory) {
  const places = [directory, join(directory, "licenses")].filter(existsSync);
  return places.flatMap((place) =>
    readdirSync(place, { withFileTypes: true })
      .filter((entry) => entry.isFile() && /^(licen[cs]e|copying|notice)/i.test(entry.name))
      .map((entry) => readFileSync(join(place, entry.name), "utf8").trim()),
  );
}

function pack(output) {
  const vsce = join(HERE, "node_modules", "@vscode", "vsce", "vsce");
  // The libraries are bundled, and there is no repository yet that links could lead to.
  const options = ["--no-dependencies", "--allow-missing-repository", "--no-rewrite-relative-links"];
  execFileSync(process.execPath, [vsce, "package", ...options, "--out", output], { cwd: HERE, stdio: "inherit" });
}

const npmPackages = await bundleClient();
gatherServer();
writeNotices(npmPackages);
pack(process.argv[2] ?? join(HERE, "uv-link-doctor.vsix"));
