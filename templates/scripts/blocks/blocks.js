// Panels: a block's base and its own fields are merged, then shown by its kind.
import { linkTo } from "../core/address.js";
import { store } from "../core/data.js";
import { el } from "../core/dom.js";
import { asText } from "../core/format.js";
import { offer } from "../shell/downloads.js";
import { attributionBlock, influencesBlock } from "./attributions.js";
import { cellNode } from "./cells.js";
import { cloudBlock } from "./cloud.js";
import { examplesBlock } from "./examples.js";
import { figureBlock, freshen } from "./figures.js";
import { heatmapBlock } from "./heatmap.js";
import { linesBlock } from "./lines.js";
import { latentsBlock, tokensBlock } from "./lists.js";
import { merged } from "./merge.js";
import { scatterBlock } from "./scatter.js";
import { tableBlock } from "./table.js";

/** @import { BlockNode, Context, FactsBlock, Fold, TextBlock } from "../types" */
/** @import { LatentRecord } from "../records" */

/** @param {FactsBlock} block */
function facts(block) {
  const list = el("dl", { class: "kv" });
  block.values.forEach((value, i) => {
    const term = block.names[i];
    const note = block.notes && block.notes[i];
    const detail = el("dd", {}, asText.shown(value));
    if (note) detail.append(el("small", {}, note));
    list.append(el("div", {}, el("dt", {}, term), detail));
  });
  const box = el("div", { class: "block" });
  if (block.title) box.append(el("h3", {}, block.title));
  const rows = () => block.names.map((name, i) => [name, block.values[i], (block.notes && block.notes[i]) || ""]);
  box.append(offer(block.title || "values", () => ({ columns: ["name", "value", "note"], rows: rows() })), list);
  return box;
}

/** @param {TextBlock} block */
function text({ title, text: said, lines }) {
  const heading = title ? el("h3", {}, title) : null;
  const [first, ...others] = lines || [said];
  if (!others.length) return el("div", { class: "block" }, heading, el("p", {}, first));
  return el("div", { class: "block" }, heading, el("p", { class: "counts" }, ...[first, ...others].map((line) => el("span", {}, line))));
}

/** @type {Record<string, (block: any, context: Context) => BlockNode>} */
const kinds = {
  tokens: tokensBlock,
  latents: latentsBlock,
  bars: (block, { blind }) => figureBlock(block, null, blind),
  cloud: (block) => cloudBlock(block),
  heatmap: (block) => heatmapBlock(block),
  lines: (block) => linesBlock(block),
  scatter: (block) => scatterBlock(block),
  table: tableBlock,
  facts,
  examples: examplesBlock,
  attribution: attributionBlock,
  influences: influencesBlock,
  text,
  grid: (block, context) => {
    const inside = block.blocks.map((/** @type {unknown} */ inner) => blockNode(inner, context));
    return el("div", { class: block.stacked ? "block" : "block columns" }, ...inside);
  },
};

/**
 * A line that unfolds a block.
 * @param {Fold} fold
 * @param {BlockNode} inside
 */
function folded({ title, lead = [], note, open }, inside) {
  const line = el("summary", {}, el("b", {}, title));
  if (lead.length) {
    // The line is what one presses, so nothing in it leads elsewhere.
    const names = lead.flatMap((cell, i) => [i ? " → " : "", cellNode(typeof cell === "string" ? cell : { ...cell, href: undefined })]);
    line.append(" ", el("span", {}, ...names));
  }
  if (note) line.append(" ", el("span", {}, note));
  const box = el("details", { class: "unfold", open: open ? "" : null }, line, ...(inside.controls || []), inside);
  box.addEventListener("toggle", freshen);
  return box;
}

/**
 * A block as an element; the context is the latent that it is about, and whether it is blinded.
 * @param {any} raw
 * @param {Context} context
 * @returns {BlockNode}
 */
export function blockNode(raw, context) {
  const block = merged(raw);
  // A block that cannot be drawn, such as another package's, costs the page nothing else.
  try {
    const node = Object.hasOwn(kinds, block.b) ? kinds[block.b](block, context) : el("div", {});
    return block.fold ? folded(block.fold, node) : node;
  } catch (error) {
    self.reportError(error);
    return el("p", { class: "none" }, "This cannot be drawn.");
  }
}

/**
 * A latent's panels in order, as one element; blind without those that reveal its text.
 * @param {LatentRecord} record
 * @param {string} slug
 * @param {boolean} blind
 */
export function panelNodes(record, slug, blind) {
  const context = { sae: slug, latent: record.latent, max: record.max, blind };
  const known = new Map(store.report.panels.map((panel) => [panel.name, panel]));
  const box = el("div", { class: "panels" });
  for (const [name, blocks] of record.panels) {
    const panel = known.get(name);
    if (!panel || (blind && panel.reveals_text)) continue;
    const header = el("header", {}, el("h2", {}, panel.title));
    const section = el("section", { class: panel.wide ? "panel wide" : "panel" }, header);
    section.dataset.panel = name;
    for (const block of blocks) {
      const node = blockNode(block, context);
      if (node.controls) header.append(...node.controls);
      section.append(node);
    }
    if (panel.tables.length) {
      const href = linkTo("methods.html", panel.tables[0]);
      header.append(el("a", { class: "how", href }, "What is this?"));
    }
    box.append(section);
  }
  // A narrow panel without a neighbour takes the whole row.
  const narrow = Array.from(box.children).filter((node) => !node.classList.contains("wide"));
  if (narrow.length % 2) narrow[narrow.length - 1].classList.add("wide");
  return box;
}
