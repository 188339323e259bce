// Stars, labels and notes of the reader, kept in this browser; a file takes them elsewhere.
import { store } from "../core/data.js";
import { all, el, maybe, svg, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { latentHref } from "../core/latents.js";
import { remember, remembered } from "../core/memory.js";
import { thisPage } from "../core/page.js";
import { listeners } from "../core/state.js";
import { revealed } from "./blind.js";
import { explanationLines, saveLines } from "./files.js";
import { isPinned, togglePin } from "./pins.js";

/** @import { Explanation, Mark, Note } from "../types" */
/** @import { LatentRow } from "../records" */

/** @typedef {{ slug: string, latent: number, entry: Note }} Entry A note on a latent. */

const LIMIT = { label: 300, note: 10000, source: 80, bytes: 5e6, lines: 50000 };
// Characters that are not seen, or that turn the text around them.
// eslint-disable-next-line no-control-regex -- they are what is looked for
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const NOTHING = Object.freeze({ star: false, label: "", note: "", source: "" });
const STAR = "M8 1.2l2.1 4.4 4.8.6-3.5 3.3.9 4.8L8 11.9l-4.3 2.4.9-4.8L1.1 6.2l4.8-.6z";
const PIN = "M5 1.5h6v1.8L9.9 4.4v2.8l2.7 2.6v1.2H8.6v4H7.4v-4h-4V9.8l2.7-2.6V4.4L5 3.3z";
/** @type {Map<string, Map<number, Note>>} */
const books = new Map();
// What this browser refused to keep, for want of room.
/** @type {Map<string, Entry>} */
const unkept = new Map();

// ---- what is kept
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
const line = (value, most) => text(value, most).replace(/\s+/g, " ");
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
const isNothing = (entry) => !entry.star && !entry.label.trim() && !entry.note.trim();
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
function understood(content) {
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

/**
 * @param {number} n
 * @param {string} what
 */
const counted = (n, what) => asText.count(n) + " " + what + (n === 1 ? "" : "s");

/**
 * The controls under a table or on the front page: how much there is, out, and in.
 * @param {HTMLElement} box
 */
function controls(box) {
  const summary = el("p", { class: "kept" });
  const said = el("p", { class: "kept", role: "status" });
  const choice = el("div", { class: "row" });
  /**
   * @param {string} label
   * @param {() => void} action
   */
  const button = (label, action) => {
    const node = el("button", { type: "button" }, label);
    node.addEventListener("click", action);
    return node;
  };
  const every = Array.from(store.saes.keys());
  /**
   * @param {string} label
   * @param {string[]} slugs
   * @param {string} name
   */
  const out = (label, slugs, name) => {
    const node = button(label, () => saveLines(name, noteBook.lines(slugs)));
    node.dataset.slugs = slugs.join(",");
    return node;
  };
  /** @type {HTMLButtonElement[]} */
  const outs = [];
  if (thisPage.sae) outs.push(out("Export notes", [thisPage.sae], "notes-" + thisPage.sae + ".jsonl"));
  if (!thisPage.sae || every.length > 1) outs.push(out("Export all SAEs' notes", every, "notes.jsonl"));
  const file = el("input", { type: "file", id: "notes-file", class: "sr", accept: ".jsonl,.json,.txt", tabindex: "-1", "aria-label": "File of notes" });
  const bring = button("Import notes", () => file.click());

  function update() {
    const notes = (thisPage.sae ? [thisPage.sae] : every).flatMap(noteBook.all).map(([, entry]) => entry);
    const labels = notes.filter((entry) => entry.label.trim()).length;
    summary.textContent = notes.length
      ? counted(notes.filter((entry) => entry.star).length, "star") + ", " + counted(labels, "label") + ", " +
        counted(notes.filter((entry) => entry.note.trim()).length, "note") + ". " +
        (noteBook.kept ? "Kept in this browser only." : "This browser keeps nothing: export them before you leave the page.")
      : "Star latents, label them and write notes on their pages. They stay in this browser until you export them.";
    for (const node of outs) node.disabled = !(node.dataset.slugs || "").split(",").some((slug) => book(slug).size);
  }

  /** @param {ReturnType<typeof understood>} from */
  function take({ found, elsewhere, strange }) {
    const clashes = found.filter(({ slug, latent }) => book(slug).has(latent)).length;
    const rest =
      (elsewhere ? " " + counted(elsewhere, "line") + " about latents that this report does not show." : "") +
      (strange ? " " + counted(strange, "line") + " that are not notes." : "");
    /** @param {boolean} replace */
    const finish = (replace) => {
      const taken = found.filter(({ slug, latent }) => replace || !book(slug).has(latent));
      taken.forEach(put);
      choice.replaceChildren();
      said.textContent = "Took " + counted(taken.length, "latent") + "." + rest;
      tell();
      bring.focus();
    };
    if (!clashes) return finish(true);
    said.textContent = counted(found.length, "latent") + " in the file; " + asText.count(clashes) + " of them you have notes on." + rest;
    const cancel = () => {
      choice.replaceChildren();
      said.textContent = "Nothing was taken.";
      bring.focus();
    };
    choice.replaceChildren(
      button("Replace mine", () => finish(true)),
      button("Keep mine", () => finish(false)),
      button("Cancel", cancel),
    );
    within(choice, "button").focus();
    return undefined;
  }

  file.addEventListener("change", async () => {
    const [chosen] = file.files || [];
    choice.replaceChildren();
    said.textContent = "";
    if (!chosen) return;
    let content = "";
    try {
      if (chosen.size <= LIMIT.bytes) content = await chosen.text();
    } catch {
      // A file that went away: there is nothing in it.
    }
    file.value = "";
    if (chosen.size > LIMIT.bytes) said.textContent = "The file is larger than 5 MB, so it is not taken.";
    else if (content.split("\n", LIMIT.lines + 1).length > LIMIT.lines) said.textContent = "The file has more than 50,000 lines, so it is not taken.";
    else {
      const result = understood(content);
      if (result.found.length || result.elsewhere) take(result);
      else said.textContent = "The file holds no notes: one JSON object a line, with index and description.";
    }
  });
  noteBook.changed.push(update);
  update();
  box.append(summary, el("div", { class: "row" }, ...outs, bring, file), said, choice);
}

export function notesSection() {
  const box = document.getElementById("notes");
  if (box) controls(box);
}

// ---- marks: a star and a pin, wherever a latent is named
/** @type {Record<Mark, { word: string, key: string, path: string, on: (slug: string, latent: number) => boolean, act: (slug: string, latent: number) => void }>} */
const MARKS = {
  star: {
    word: "Star",
    key: "s",
    path: STAR,
    on: (slug, latent) => noteBook.of(slug, latent).star,
    act: (slug, latent) => noteBook.set(slug, latent, { star: !noteBook.of(slug, latent).star }),
  },
  pin: { word: "Pin", key: "p", path: PIN, on: isPinned, act: togglePin },
};
const KINDS = /** @type {Mark[]} */ (Object.keys(MARKS));

/**
 * Sets a mark, or takes it away.
 * @param {Mark} what
 * @param {string} slug
 * @param {number} latent
 */
export const toggleMark = (what, slug, latent) => MARKS[what].act(slug, latent);

/**
 * @param {string} slug
 * @param {number} latent
 * @param {boolean} [words]
 */
export function markButtons(slug, latent, words) {
  const box = el("span", { class: words ? "marks" : "marks small" });
  for (const what of KINDS) {
    const { word, key, path, on } = MARKS[what];
    const button = el("button", {
      type: "button",
      class: "mark-" + what,
      "aria-pressed": String(on(slug, latent)),
      "aria-label": word + " latent " + latent,
      title: word + " (" + key + ")",
      ...(words ? { "aria-keyshortcuts": key } : {}),
    });
    button.append(svg(path, 16, 16));
    if (words) button.append(el("span", { "aria-hidden": "true" }, word));
    Object.assign(button.dataset, { mark: what, slug, latent });
    button.addEventListener("click", () => toggleMark(what, slug, latent));
    box.append(button);
  }
  return box;
}

function freshen() {
  for (const button of all(document, "[data-mark]")) {
    const { slug = "", latent } = button.dataset;
    const mark = KINDS.find((kind) => kind === button.dataset.mark);
    if (mark) button.setAttribute("aria-pressed", String(MARKS[mark].on(slug, Number(latent))));
  }
}
noteBook.changed.push(freshen);
listeners.pins.push(freshen);
self.addEventListener("storage", reread);
self.addEventListener("pageshow", (event) => event.persisted && reread());

// ---- on a latent's page
/** @type {WeakMap<HTMLElement, HTMLElement>} */
const boxes = new WeakMap();

/**
 * @param {HTMLElement} article
 * @param {number} latent
 */
function make(article, latent) {
  const slug = thisPage.sae;
  within(article, ":scope > header").append(markButtons(slug, latent, true));
  const label = el("input", { type: "text", id: "label-" + latent, autocomplete: "off", maxlength: LIMIT.label });
  const area = el("textarea", { id: "note-" + latent, rows: "3", maxlength: LIMIT.note, spellcheck: "true", "aria-keyshortcuts": "n" });
  const own = el("bdi", { class: "own" });
  const said = el("span", { class: "kept", role: "status" });
  const save = el("button", { type: "button" }, "Export notes");
  save.title = "Your notes on latents of this SAE, as a file of explanations";
  save.addEventListener("click", () => saveLines("notes-" + slug + ".jsonl", noteBook.lines([slug])));
  const show = () => {
    const entry = noteBook.of(slug, latent);
    if (label.value.trim() !== entry.label.trim()) label.value = entry.label;
    if (area.value.trim() !== entry.note.trim()) area.value = entry.note;
    own.textContent = [entry.label.trim(), line(entry.note, 100).trim()].filter(Boolean).join(" · ");
    save.disabled = !noteBook.all(slug).length;
    said.textContent = isNothing(entry)
      ? "A label comes back with the next build as an explanation."
      : noteBook.kept ? "Kept in this browser only" : "This browser keeps nothing: export it";
  };
  label.addEventListener("input", () => noteBook.set(slug, latent, { label: label.value, source: "" }));
  area.addEventListener("input", () => noteBook.set(slug, latent, { note: area.value }));
  noteBook.changed.push(show);
  show();
  const box = el(
    "details",
    { class: "notes" },
    el("summary", {}, "Your label and note", own),
    el(
      "div",
      { class: "notes-fields" },
      el("label", { for: label.id }, "Label"),
      label,
      el("label", { for: area.id }, "Note"),
      area,
      el("div", { class: "row" }, said, save),
    ),
  );
  within(article, ".story").after(box);
  return box;
}

listeners.latent.push((article, latent, hidden) => {
  const box = boxes.get(article) || make(article, latent);
  boxes.set(article, box);
  box.hidden = hidden;
});

export function writeNote() {
  const box = maybe(document, "article.current > .notes:not([hidden])");
  if (!(box instanceof HTMLDetailsElement)) return;
  box.open = true;
  within(box, "textarea").focus();
}
