// Marks: a star and a pin, wherever a latent is named.
import { all, el, svg } from "../core/dom.js";
import { listeners } from "../core/state.js";
import { noteBook } from "./notebook.js";
import { isPinned, togglePin } from "./pins.js";

/** @import { Mark } from "../types" */

const STAR = "M8 1.2l2.1 4.4 4.8.6-3.5 3.3.9 4.8L8 11.9l-4.3 2.4.9-4.8L1.1 6.2l4.8-.6z";
const PIN = "M5 1.5h6v1.8L9.9 4.4v2.8l2.7 2.6v1.2H8.6v4H7.4v-4h-4V9.8l2.7-2.6V4.4L5 3.3z";

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
