// The reader's stars, labels and notes, kept in this browser; a file takes them elsewhere.
import { store } from "../core/data.js";
import { latentHref } from "../core/latents.js";
import { remember, remembered } from "../core/memory.js";
import { thisPage } from "../core/page.js";
import { revealed } from "./blind.js";
import { explanationLines } from "./files.js";

/** @import { Explanation, Note } from "../types" */
/** @import { LatentRow } from "../records" */

/** @typedef {{ slug: string, latent: number, entry: Note }} Entry A note on a latent. */

export const LIMIT = { label: 300, note: 10000, source: 80, bytes: 5e6, lines: 50000 };
// Characters that are not seen, or that turn the text around them.
// eslint-disable-next-line no-control-regex -- they are what is looked for
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const NOTHING = Object.freeze({ star: false, label: "", note: "", source: "" });
/** @type {Map<string, Map<number, Note>>} */
const books = new Map();
// What this browser refused to keep, for want of room.
/** @type {Map<string, Entry>} */
const unkept = new Map();

/**
 * @param {unknown} value
 * @param {number} most
 */
const text = (value, most) =>
  typeof value === "string" ? value.replace(/\r\n?/g, "\n").replace(UNSEEN, "").slice(0, most) : "";
/**
 * @param {unknown} value
 * @param {number} most
 */
export const line = (value, most) => text(value, most).replace(/\s+/g, " ");
/** @param {unknown} value */
const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/**
 * @param {any} value
 * @returns {Note}
 */
function clean(value) {
  if (!isRecord(value)) return NOTHING;
  return {
    star: value.star === true,
    label: line(value.label, LIMIT.label),
    note: text(value.note, LIMIT.note),
    source: line(value.source, LIMIT.source),
  };
}
/** @param {Note} entry */
export const isNothing = (entry) => !entry.star && !entry.label.trim() && !entry.note.trim();
/** @param {string} slug */
const start = (slug) => "note-" + store.report.fingerprint + "-" + slug + "-";

/** @param {string} json */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/**
 * @param {string} slug
 * @returns {Map<number, Note>}
 */
function book(slug) {
  const known = books.get(slug);
  if (known) return known;
  const pages = new Map();
  for (const [latent, json] of remembered(start(slug))) {
    if (!/^\d{1,15}$/.test(latent)) continue;
    const entry = clean(parsed(json));
    if (!isNothing(entry)) pages.set(Number(latent), entry);
  }
  books.set(slug, pages);
  return pages;
}

/** The reader's notes on this report. */
export const noteBook = {
  /** Whether this browser keeps all that is written; known after the first try. */
  kept: true,
  /** Called after each change. @type {(() => void)[]} */
  changed: [],
  /**
   * The note on a latent; an empty one where there is none.
   * @param {string} slug
   * @param {number} latent
   * @returns {Readonly<Note>}
   */
  of: (slug, latent) => book(slug).get(latent) || NOTHING,
  /**
   * All notes on an SAE's latents, by latent.
   * @param {string} slug
   */
  all: (slug) => Array.from(book(slug)).sort(([a], [b]) => a - b),
  /**
   * Changes a note.
   * @param {string} slug
   * @param {number} latent
   * @param {Partial<Note>} change
   */
  set(slug, latent, change) {
    put({ slug, latent, entry: clean({ ...noteBook.of(slug, latent), ...change }) });
    tell();
  },
  /**
   * Takes notes from a file, in place of those that there are on the same latents.
   * @param {Entry[]} items
   */
  take(items) {
    items.forEach(put);
    tell();
  },
  /**
   * Whether there is a note on a latent.
   * @param {Entry} item
   */
  has: ({ slug, latent }) => book(slug).has(latent),
  /**
   * The reader's label; of a latent that is blinded it stays hidden with the rest.
   * @param {string} slug
   * @param {LatentRow} row
   */
  label: (slug, row) => (row.blind && !revealed(slug, row.latent) ? "" : noteBook.of(slug, row.latent).label.trim()),
  /**
   * The notes on some SAEs as a file.
   * @param {string[]} slugs
   */
  lines: (slugs) => slugs.map((slug) => explanationLines(records(slug))).join(""),
};

/** @param {Entry} item */
function put(item) {
  const { slug, latent, entry } = item;
  const key = start(slug) + latent;
  if (isNothing(entry)) {
    unkept.delete(key);
    noteBook.kept = !unkept.size;
    book(slug).delete(latent);
    remember(key, null);
    return;
  }
  book(slug).set(latent, entry);
  const json = JSON.stringify(entry);
  remember(key, json);
  if (remember(key) === json) unkept.delete(key);
  else unkept.set(key, item);
  noteBook.kept = !unkept.size;
}

const tell = () => noteBook.changed.forEach((changed) => changed());
// What this browser keeps, read again; what it refused stays, and may have room now.
function reread() {
  books.clear();
  Array.from(unkept.values()).forEach(put);
  tell();
}

// ---- files
/**
 * @param {string} slug
 * @returns {Explanation[]}
 */
function records(slug) {
  return noteBook.all(slug).map(([index, entry]) => ({
    index,
    ...(entry.label.trim() ? { description: entry.label.trim() } : {}),
    source: entry.source || "reader",
    sae: slug,
    ...(entry.star ? { star: true } : {}),
    ...(entry.note.trim() ? { note: entry.note } : {}),
  }));
}

/**
 * The notes in a file, those about latents that are not here, and the lines that make no sense.
 * @param {string} content
 */
export function understood(content) {
  /** @type {Map<string, Entry>} */
  const found = new Map();
  let elsewhere = 0;
  let strange = 0;
  const own = thisPage.sae || (store.saes.size === 1 ? Array.from(store.saes.keys())[0] : "");
  for (const json of content.replace(/^\ufeff/, "").split("\n")) {
    if (!json.trim()) continue;
    const row = parsed(json);
    if (!isRecord(row) || !Number.isSafeInteger(row.index) || row.index < 0) {
      strange += 1;
      continue;
    }
    const slug = typeof row.sae === "string" ? row.sae : own;
    const entry = clean({ ...row, label: row.description });
    if (entry.source === "reader") entry.source = "";
    if (!store.saes.has(slug) || !latentHref(slug, row.index)) elsewhere += 1;
    else if (!isNothing(entry)) found.set(slug + "." + row.index, { slug, latent: row.index, entry });
  }
  return { found: Array.from(found.values()), elsewhere, strange };
}

self.addEventListener("storage", reread);
self.addEventListener("pageshow", (event) => event.persisted && reread());
