// Where the reader writes notes: fields on a latent's page; files of them under a table.
import { store } from "../core/data.js";
import { el, maybe, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { thisPage } from "../core/page.js";
import { listeners } from "../core/state.js";
import { saveLines } from "./files.js";
import { markButtons } from "./marks.js";
import { isNothing, line, LIMIT, noteBook, understood } from "./notebook.js";

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
    for (const node of outs) node.disabled = !(node.dataset.slugs || "").split(",").some((slug) => noteBook.all(slug).length);
  }

  /** @param {ReturnType<typeof understood>} from */
  function take({ found, elsewhere, strange }) {
    const clashes = found.filter(noteBook.has).length;
    const rest =
      (elsewhere ? " " + counted(elsewhere, "line") + " about latents that this report does not show." : "") +
      (strange ? " " + counted(strange, "line") + " that are not notes." : "");
    /** @param {boolean} replace */
    const finish = (replace) => {
      const taken = found.filter((item) => replace || !noteBook.has(item));
      noteBook.take(taken);
      choice.replaceChildren();
      said.textContent = "Took " + counted(taken.length, "latent") + "." + rest;
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
