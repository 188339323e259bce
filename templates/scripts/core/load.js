// Scripts of the report, loaded when first needed: data, and the one library.
import { receive, store } from "./data.js";
import { all, el } from "./dom.js";
import { before, latentHref, numbered } from "./latents.js";
import { thisPage } from "./page.js";
import { unpack } from "./tokens.js";

/** @type {Map<string, Promise<void>>} */
const scripts = new Map();

// In a single file the scripts of this report are blocks that do not run: data is read, and the
// one library is run by a script element with its text, whose hash the policy names.
/** @type {Map<string | undefined, HTMLScriptElement>} */
const blocks = new Map();
for (const block of all(document, "script[data-path]"))
  if (block instanceof HTMLScriptElement) blocks.set(block.dataset.path, block);

/** @param {string} path */
function open(path) {
  const block = blocks.get(path);
  if (!block) throw new Error("cannot load " + path);
  if (block.type === "application/json") JSON.parse(block.text).forEach(receive);
  else document.head.append(el("script", {}, block.text));
}

/**
 * @param {string} path
 * @returns {Promise<void>}
 */
function fetched(path) {
  return new Promise((done, fail) => {
    const script = el("script", { src: thisPage.root + path });
    script.onload = () => done();
    script.onerror = () => fail(new Error("cannot load " + path));
    document.head.append(script);
  });
}

/**
 * A script of this report, once.
 * @param {string} path
 * @returns {Promise<void>}
 */
export function load(path) {
  const begun = scripts.get(path);
  if (begun) return begun;
  const loading = thisPage.single ? new Promise((/** @type {(done: void) => void} */ done) => done(open(path))) : fetched(path);
  loading.catch(() => scripts.delete(path));
  scripts.set(path, loading);
  return loading;
}

/**
 * The rows of an SAE's table.
 * @param {string} slug
 */
export async function loadTable(slug) {
  if (!store.tables.has(slug)) await load(slug + "/latents.js");
  return store.tables.get(slug);
}

/**
 * The token ids of a whole sequence.
 * @param {number} sequence
 */
export async function loadSequence(sequence) {
  if (!store.sequences.has(sequence))
    await load("text/" + numbered("t", before(store.report.texts, sequence)) + ".js");
  return unpack(store.sequences.get(sequence) || "");
}

/**
 * A latent's own record, from the data script of its page.
 * @param {string} slug
 * @param {number} latent
 */
export async function loadLatent(slug, latent) {
  const found = /\/l(\d+)\.html/.exec(latentHref(slug, latent) || "");
  if (!found) return null;
  const shard = slug + "/" + Number(found[1]);
  if (!store.shards.has(shard)) await load(slug + "/d" + found[1] + ".js");
  const record = store.shards.get(shard);
  return (record && record.byLatent.get(latent)) || null;
}

const { needs } = document.documentElement.dataset;
if (thisPage.single && needs) needs.split(" ").forEach(load);
