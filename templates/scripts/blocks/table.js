// A table with names of columns.
import { el } from "../core/dom.js";
import { offer } from "../shell/downloads.js";
import { cellNode, cellText } from "./cells.js";
import { filled } from "./figures.js";

/** @import { TableBlock } from "../types" */

/** @param {TableBlock} block */
export function tableBlock(block) {
  const head = el("tr", {}, ...block.columns.map((name) => el("th", { scope: "col" }, name)));
  const body = el("tbody", {});
  for (const [first, ...others] of block.rows) {
    body.append(el("tr", {}, el("th", { scope: "row" }, cellNode(first)), ...others.map((cell) => el("td", {}, cellNode(cell)))));
  }
  const title = block.title === undefined ? "" : cellText(block.title);
  const table = el("table", { class: "grid" }, el("thead", {}, head), body);
  const data = () => ({ columns: block.columns, rows: block.rows.map((row) => row.map(cellText)) });
  const box = el("div", { class: "block" }, title ? el("h3", {}, title) : null, offer(title || "table", data));
  if (block.summary) box.append(el("p", {}, filled(block.summary, block.v)));
  box.append(el("div", { class: "scroll" }, table));
  return box;
}
