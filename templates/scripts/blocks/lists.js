// Lists of tokens and of latents.
import { cellClass, linedUp } from "../core/align.js";
import { store } from "../core/data.js";
import { el } from "../core/dom.js";
import { formatOf } from "../core/format.js";
import { latentHref } from "../core/latents.js";
import { loadTable } from "../core/load.js";
import { largestOf, shareOf } from "../core/scale.js";
import { whenSeen } from "../core/seen.js";
import { tokenText, unpack } from "../core/tokens.js";
import { blindMark } from "../reader/blind.js";
import { offer } from "../shell/downloads.js";

/** @import { Context, DataTable, ListBlock } from "../types" */
/** @import { LatentRow } from "../records" */

const SHORT = self.matchMedia("(max-width: 47.5em)").matches ? 6 : 10;

// ---- a table with the item first and values behind it
/**
 * @param {ListBlock} block
 * @param {string} first
 * @param {{ node: Node, values: number[] }[]} items
 */
function table(block, first, items) {
  const formats = block.formats || [];
  const head = el("tr", {}, el("th", { scope: "col" }, first));
  (block.columns || []).forEach((name) => head.append(el("th", { scope: "col" }, name)));
  const body = el("tbody", {});
  const bar = block.bar;
  const most = largestOf(items.map((item) => (bar === undefined ? 0 : item.values[bar]) || 0));
  const texts = items.map((item) => item.values.map((value, i) => formatOf(formats[i])(value)));
  const lines = linedUp(texts.map((row) => ["", ...row]));
  const rows = items.map((item, place) => {
    const row = el("tr", {}, el("td", {}, item.node));
    item.values.forEach((value, i) => {
      const cell = el("td", { class: cellClass(i === bar ? "lead-value" : "", lines[i + 1]?.[place]) }, texts[place][i]);
      if (i === bar) {
        const line = el("i", { class: value < 0 ? "neg" : "" });
        line.style.setProperty("width", 72 * shareOf(value, most) + "%");
        cell.append(line);
      }
      row.append(cell);
    });
    return row;
  });
  body.append(...rows);
  if (rows.length > SHORT + 2) {
    rows.slice(SHORT).forEach((row) => (row.hidden = true));
    const more = el("tr", { class: "more" });
    const label = "all " + rows.length;
    const button = el("button", { class: "linkish", type: "button" }, label);
    button.addEventListener("click", () => {
      rows.forEach((row) => (row.hidden = false));
      more.remove();
    });
    more.append(el("td", { colspan: 1 + (block.columns || []).length }, button));
    body.append(more);
  }
  return el("table", { class: "list" }, el("thead", {}, head), body);
}

/**
 * A row of a list begins with what it is about; behind that come the values of its columns.
 * @param {ListBlock} block
 */
const tokenRows = (block) => block.rows.map(([token, ...values]) => ({ token, values }));
/** @param {ListBlock} block */
export const latentRows = (block) => block.rows.map(([latent, shown, ...values]) => ({ latent, shown: shown === 1, values }));

/** @param {number} id */
export const tokenCode = (id) => el("code", { class: "tok", title: "token " + id }, tokenText(id));

/** @param {ListBlock} block */
export function tokensBlock(block) {
  const items = tokenRows(block).map(({ token, values }) => ({ node: tokenCode(token), values }));
  const data = () => ({
    columns: ["token", "token id", ...(block.columns || [])],
    rows: tokenRows(block).map(({ token, values }) => [tokenText(token), token, ...values]),
  });
  return titled(block, table(block, "token", items), data);
}

/**
 * A latent in words: its explanation, or the tokens that it is active on.
 * @param {LatentRow} row
 */
export function glossNode(row) {
  const gloss = el("span", { class: "gloss" });
  if (row.blind) gloss.append(blindMark());
  else if (row.label) gloss.append(row.label);
  else
    unpack(row.tokens).slice(0, 3).forEach((id) => gloss.append(el("code", {}, tokenText(id)), " "));
  return gloss;
}

/**
 * @param {ListBlock} block
 * @param {Context} context
 */
export function latentsBlock(block, context) {
  const slug = block.sae || context.sae;
  const sae = store.saes.get(slug);
  /** @type {{ latent: number, node: Node & ParentNode }[]} */
  const waiting = [];
  const items = latentRows(block).map(({ latent, shown, values }) => {
    const node = el("span", {});
    if (shown) {
      node.append(el("a", { href: latentHref(slug, latent) || "#" }, String(latent)));
      waiting.push({ latent, node });
    } else if (sae && sae.neuronpedia) {
      const href = sae.neuronpedia + "/" + latent;
      node.append(el("a", { href, rel: "noreferrer", title: "on Neuronpedia" }, latent + " ↗"));
    } else {
      const title = "not shown in this report";
      node.append(el("span", { class: "absent", title }, String(latent)));
    }
    return { node, values };
  });
  const data = () => ({
    columns: ["SAE", "latent", ...(block.columns || [])],
    rows: latentRows(block).map(({ latent, values }) => [slug, latent, ...values]),
  });
  const list = titled(block, table(block, "latent", items), data);
  if (waiting.length && !context.blind)
    whenSeen(list, async () => {
      const rows = await loadTable(slug);
      for (const { latent, node } of waiting) {
        const row = rows && rows.byLatent.get(latent);
        if (row) node.append(glossNode(row));
      }
    });
  return list;
}

/**
 * @param {ListBlock} block
 * @param {Node} content
 * @param {() => DataTable} data
 */
function titled(block, content, data) {
  const box = el("div", { class: "block" });
  if (block.title) box.append(el("h3", {}, block.title));
  if (!block.rows.length) box.append(el("p", { class: "none" }, "none"));
  else box.append(offer(block.title || "list", data), el("div", { class: "scroll-x" }, content));
  return box;
}
