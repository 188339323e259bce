// Cells of tables: a text, or the name of something with where more is said of it.
import { addressOf } from "../core/address.js";
import { el } from "../core/dom.js";

/** @import { BlockCell } from "../types" */

/** @param {BlockCell} cell */
export function cellNode(cell) {
  if (typeof cell === "string") return document.createTextNode(cell);
  const { text, href, token, position, gloss } = cell;
  const outside = href && href.startsWith("https:");
  const name = href ? el("a", { href: outside ? href : addressOf(href), rel: outside ? "noreferrer" : null }, text) : text;
  const node = el("span", { class: "ref" }, name);
  if (token) node.append(" ", el("code", { class: "tok" }, token));
  if (position !== undefined) node.append(" ", el("small", {}, String(position)));
  if (gloss) node.append(" ", el("small", { class: "gloss" }, gloss));
  return node;
}

/**
 * The name in a cell, without what else is said of it.
 * @param {BlockCell} cell
 */
export const cellName = (cell) => (typeof cell === "string" ? cell : cell.text);

/** @param {BlockCell} cell */
export const cellText = (cell) => (typeof cell === "string" ? cell : [cell.text, cell.token, cell.position].filter((part) => part !== undefined).join(" "));
