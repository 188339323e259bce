// The key to a drawing: what its colours and outlines stand for, in words beside it.
import { el } from "../core/dom.js";

/**
 * A list of samples with words; null without any. The name is a class of the style sheet.
 * @param {[name: string, words: string][]} items
 */
export function keyList(items) {
  if (!items.length) return null;
  return el("ul", { class: "drawn-key" }, ...items.map(([name, words]) => el("li", {}, el("i", { class: "s-" + name, "aria-hidden": "true" }), words)));
}
