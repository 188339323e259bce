// Makes the scripts of the pages, `templates/static/*.js`, from the modules in this folder.
//
//     node bundle.js           writes them, and SHA256SUMS of sources and bundles
//     node bundle.js --check   says which are stale and fails; writes nothing
//
// A bundle is a classic script, so that pages work as files without a server. It is not minified:
// whoever gets a report can read what it runs.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const STATIC = join(HERE, "..", "static");
const SUMS = "SHA256SUMS";
const ENTRIES = ["theme", "pages", "landing", "difference"];
const NOT_SOURCES = new Set(["node_modules", SUMS]);

const bundled = await build({
  absWorkingDir: HERE,
  entryPoints: ENTRIES.map((name) => name + ".js"),
  outdir: STATIC,
  bundle: true,
  write: false,
  metafile: true,
  format: "iife",
  target: "es2021",
  charset: "utf8",
  ignoreAnnotations: true,
  banner: { js: "// Made from templates/scripts; see CONTRIBUTING.md.\n\"use strict\";" },
  logLevel: "warning",
});

// A module that imports itself by a way round might be used before it is there.
function cycle(inputs, path, way) {
  if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
  if (inputs[path].done) return null;
  for (const { path: next } of inputs[path].imports) {
    const found = cycle(inputs, next, [...way, path]);
    if (found) return found;
  }
  inputs[path].done = true;
  return null;
}
for (const name of ENTRIES) {
  const found = cycle(bundled.metafile.inputs, name + ".js", []);
  if (found) throw new Error("modules import each other: " + found.join(" -> "));
}

function sources(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !NOT_SOURCES.has(entry.name))
    .flatMap((entry) => (entry.isDirectory() ? sources(join(folder, entry.name)) : [join(folder, entry.name)]));
}
const contents = [
  ...sources(HERE).map((path) => [path, readFileSync(path)]),
  ...bundled.outputFiles.map((file) => [file.path, Buffer.from(file.contents)]),
];
const sums = contents
  .map(([path, text]) => [relative(HERE, path).split("\\").join("/"), createHash("sha256").update(text).digest("hex")])
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([path, sum]) => sum + "  " + path + "\n")
  .join("");

const files = [...bundled.outputFiles.map((file) => [file.path, file.text]), [join(HERE, SUMS), sums]];
const current = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};
const stale = files.filter(([path, text]) => current(path) !== text);
if (!process.argv.includes("--check")) for (const [path, text] of stale) writeFileSync(path, text);
else if (stale.length) {
  console.error("stale: " + stale.map(([path]) => relative(process.cwd(), path)).join(", ") + "; run 'make scripts'");
  process.exitCode = 1;
}
