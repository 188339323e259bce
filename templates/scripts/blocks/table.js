// A table with names of columns.
import { cellClass, linedUp } from "../core/align.js";
import { el } from "../core/dom.js";
import { offer } from "../shell/downloads.js";
import { cellNode, cellText } from "./cells.js";
import { filled } from "./figures.js";

/** @import { BlockCell, TableBlock } from "../types" */

/** @param {TableBlock} block */
export function tableBlock(block) {
  const lines = linedUp(block.rows);
  const head = el("tr", {}, ...block.columns.map((name, i) => el("th", { scope: "col", class: lines[i] ? "number" : null }, name)));
  const body = el("tbody", {});
  block.rows.forEach(([first, ...others], place) => {
    /** @type {(cell: BlockCell, i: number) => HTMLElement} */
    const made = (cell, i) => {
      const line = lines[i + 1];
      return el("td", { class: line ? cellClass("number", line[place]) : null }, cellNode(cell));
    };
    // A row that goes on with the one before it has no name of its own.
    const name = first === "" ? el("td", {}) : el("th", { scope: "row" }, cellNode(first));
    body.append(el("tr", {}, name, ...others.map(made)));
  });
  const title = block.title === undefined ? "" : cellText(block.title);
  const table = el("table", { class: "grid" }, el("thead", {}, head), body);
  const data = () => ({ columns: block.columns, rows: block.rows.map((row) => row.map(cellText)) });
  const box = el("div", { class: "block" }, title ? el("h3", {}, title) : null, offer(title || "table", data));
  if (block.summary) box.append(el("p", {}, filled(block.summary, block.v)));
  box.append(el("div", { class: "scroll" }, table));
  return box;
}
