// Top examples decomposed: source tokens by what they add, heads as bars, earlier latents by path.
import { aligned, cellClass } from "../core/align.js";
import { store } from "../core/data.js";
import { el, svg, svgNode } from "../core/dom.js";
import { asText } from "../core/format.js";
import { latentHref } from "../core/latents.js";
import { loadTable } from "../core/load.js";
import { allNamed, named } from "../core/rows.js";
import { largestOf, shareOf } from "../core/scale.js";
import { whenSeen } from "../core/seen.js";
import { showTip } from "../core/tip.js";
import { proseText, tokenText, unpack } from "../core/tokens.js";
import { offer } from "../shell/downloads.js";
import { describeToken, peakKey } from "./examples.js";
import { divergingLegend, gridTable, segments } from "./figures.js";
import { glossNode, tokenCode } from "./lists.js";

/** @import { AttributionBlock, BlockNode, Context, InfluencesBlock } from "../types" */
/** @import { InfluenceRow, Row } from "../records" */

const WIDTH = 14;
const HALF = 18;

/**
 * @param {number | undefined} value
 * @param {number} most
 */
function step(value, most) {
  if (!value || !(most > 0)) return "";
  return (value < 0 ? "n" : "p") + Math.max(1, Math.min(5, Math.ceil((5 * Math.abs(value)) / most)));
}

/** @param {number} value */
const signed = (value) => (value > 0 ? "+" : "") + asText.value(value);
/** @param {number} offset */
const offsetName = (offset) => (offset === 0 ? "the peak" : asText.value(offset) + " from the peak");

/**
 * Tokens around a peak, coloured by value at their offset. Without text: the offsets alone.
 * @param {Row<"peak"> | null} where
 * @param {Map<number, number>} values
 * @param {number} most
 * @param {boolean} blind
 */
function words(where, values, most, blind) {
  const box = el("div", { class: "words signed", dir: "auto" });
  /**
   * @param {number} offset
   * @param {string} text
   * @param {string} name
   */
  const add = (offset, text, name) => {
    const value = values.get(offset);
    const classes = [step(value, most), offset === 0 ? "peak" : "", offset > 0 ? "far" : ""];
    const span = el("span", { class: classes.filter(Boolean).join(" ") }, text);
    if (offset === 0) span.tabIndex = 0;
    describeToken(span, [name, value === undefined ? "nothing listed" : signed(value), offsetName(offset)]);
    box.append(span);
  };
  if (!where) {
    const first = Math.min(0, ...values.keys());
    for (let offset = first; offset <= 0; offset += 1) {
      if (offset > first) box.append(" ");
      add(offset, asText.value(offset), "token " + asText.value(offset));
    }
    box.classList.add("ids");
    return box;
  }
  const { peak, start } = named("peak", where);
  const ids = unpack(named("peak", where).window);
  const before = Array.from(values).filter(([offset]) => peak + offset < start);
  if (before.length) {
    const sum = before.reduce((total, [, value]) => total + value, 0);
    const span = el("span", { class: step(sum, most) }, "…");
    describeToken(span, ["before", signed(sum), "all tokens before this"]);
    box.append(span, " ");
  } else if (start > 0) box.append("… ");
  ids.forEach((id, i) => {
    const offset = start + i - peak;
    if (blind) {
      if (i) box.append(" ");
      add(offset, "#" + id, "#" + id);
      return;
    }
    const text = proseText(tokenText(id));
    const word = text.length > 1 && text.startsWith(" ") ? text.slice(1) : text;
    if (word !== text) box.append(" ");
    add(offset, word, tokenText(id));
  });
  if (blind) box.classList.add("ids");
  return box;
}

/**
 * @param {number} layer
 * @param {number} head
 */
const headName = (layer, head) => "L" + layer + "H" + head;

/**
 * Bars up and down from a line, one for each head.
 * @param {number[]} values
 * @param {number} layer
 * @param {number} most
 */
function headBars(values, layer, most) {
  /**
   * @param {number} value
   * @param {number} i
   */
  const bar = (value, i) => {
    const height = HALF * shareOf(value, most);
    const end = value < 0 ? "v" + height.toFixed(1) : "v-" + height.toFixed(1);
    const back = value < 0 ? "v-" + height.toFixed(1) : "v" + height.toFixed(1);
    return "M" + (i * WIDTH + 2) + " " + HALF + end + "h" + (WIDTH - 4) + back + "z";
  };
  /** @param {(value: number) => boolean} wanted */
  const some = (wanted) => values.map((value, i) => (wanted(value) ? bar(value, i) : "")).join("");
  const about = values.map((value, i) => headName(layer, i) + " " + signed(value)).join(", ");
  const graph = svg(some((value) => value > 0), values.length * WIDTH, 2 * HALF, about);
  graph.querySelector("path")?.setAttribute("class", "up");
  graph.append(
    svgNode("path", { class: "down", d: some((value) => value < 0) }),
    svgNode("path", { class: "zero", d: "M0 " + HALF + "h" + values.length * WIDTH }),
  );
  const best = values.reduce((top, value, i) => (Math.abs(value) > Math.abs(values[top]) ? i : top), 0);
  const caption = el("small", {}, headName(layer, best) + " " + signed(values[best]));
  const box = el("div", { class: "head-bars" }, graph, caption);
  graph.addEventListener("mousemove", (event) => {
    const place = graph.getBoundingClientRect();
    const i = Math.floor(((event.clientX - place.left) / place.width) * values.length);
    if (values[i] !== undefined) showTip([headName(layer, i), signed(values[i])], event.clientX, event.clientY);
  });
  graph.addEventListener("mouseleave", () => showTip(null));
  return box;
}

/**
 * @param {string[]} columns
 * @param {string[][]} rows
 */
function grid(columns, rows) {
  return el("details", {}, el("summary", {}, "Table"), gridTable({ columns, rows }));
}

/**
 * @param {AttributionBlock} block
 * @param {Context} from
 * @returns {BlockNode}
 */
export function attributionBlock(block, { blind }) {
  const list = el("ul", {});
  const { value } = asText;
  const examples = allNamed("attribution", block.examples);
  const scale = largestOf(examples.flatMap((row) => row.sources));
  const heads = largestOf(examples.flatMap((row) => row.heads));
  /** @type {string[][]} */
  const rows = [];
  examples.forEach(({ activation, pre_activation, bias, heads: byHead, first, sources, where }, i) => {
    const values = new Map(sources.map((number, k) => [first + k, number]));
    rows.push([String(i + 1), value(activation), value(pre_activation), value(bias), ...byHead.map(value)]);
    const side = el("span", { class: "value" }, value(activation));
    const item = el("li", { class: "example apart" }, side, words(where, values, scale, blind));
    item.append(headBars(byHead, block.layer, heads));
    list.append(item);
  });
  const names = (examples.length ? examples[0].heads : []).map((_, i) => headName(block.layer, i));
  const columns = ["example", "activation", "pre-activation", "bias", ...names];
  const table = grid(columns, rows);
  /** @type {BlockNode} */
  const box = el("div", { class: "block" }, el("p", {}, block.note), list, table);
  const data = () => ({
    columns: [...columns, "first source, from the peak", "sources"],
    rows: examples.map((row, i) => [i + 1, row.activation, row.pre_activation, row.bias, ...row.heads, row.first, row.sources.join(" ")]),
  });
  box.controls = [divergingLegend(scale), peakKey(true), offer("attribution by head", data)];
  return box;
}

/**
 * @param {string} slug
 * @param {number} latent
 * @param {number} inside
 * @param {boolean} blind
 */
function earlier(slug, latent, inside, blind) {
  const sae = store.saes.get(slug);
  const label = sae ? sae.label : slug;
  const node = el("span", {}, label + " ");
  const href = inside ? latentHref(slug, latent) : null;
  node.append(href ? el("a", { href }, String(latent)) : el("span", { class: "absent" }, String(latent)));
  if (href && !blind)
    whenSeen(node, async () => {
      const rows = await loadTable(slug);
      const row = rows && rows.byLatent.get(latent);
      if (row) node.append(glossNode(row));
    });
  return node;
}

/** @param {InfluenceRow} from */
const pathOf = ({ layer, head }) => (layer < 0 ? "direct" : headName(layer, head));

/**
 * @param {InfluencesBlock} block
 * @param {InfluenceRow[]} rows
 * @param {boolean} blind
 */
function influenceTable(block, rows, blind) {
  const head = ["earlier latent", "path", "token", "influence"];
  const body = el("tbody", {});
  const widest = largestOf(rows.map((row) => row.value));
  const line = aligned(rows.map((row) => signed(row.value)));
  rows.forEach((row, i) => {
    const { source, token, value } = row;
    const cell = el("td", { class: cellClass("lead-value", line?.[i]) }, signed(value));
    const bar = el("i", { class: value < 0 ? "neg" : "" });
    bar.style.setProperty("width", 72 * shareOf(value, widest) + "%");
    cell.append(bar);
    const shown = () => (blind ? el("code", { class: "tok" }, "#" + token) : tokenCode(token));
    const text = token < 0 ? null : shown();
    const path = pathOf(row);
    const at = el("small", {}, source === 0 ? " peak" : " " + asText.value(source));
    const from = el("td", {}, earlier(block.saes[row.sae], row.latent, row.shown, blind));
    body.append(el("tr", {}, from, el("td", {}, path), el("td", {}, text, at), cell));
  });
  const titles = el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)));
  const table = el("table", { class: "list paths" }, el("thead", {}, titles), body);
  return el("div", { class: "scroll-x" }, table);
}

/**
 * @param {InfluencesBlock} block
 * @param {Context} from
 */
export function influencesBlock(block, { blind }) {
  const examples = allNamed("influences", block.examples).map((example) => ({ ...example, rows: allNamed("influence", example.rows) }));
  const inside = el("div", {});
  /** @param {number} i */
  const show = (i) => {
    const { activation, where, rows } = examples[i];
    const values = new Map();
    rows.forEach((row) => values.set(row.source, (values.get(row.source) || 0) + row.value));
    const side = activation === null ? "" : asText.value(activation);
    const line = words(where, values, largestOf(Array.from(values.values())), blind);
    const example = el("div", { class: "example apart" }, el("span", { class: "value" }, side), line);
    inside.replaceChildren(example, influenceTable(block, rows, blind));
  };
  const heading = el("div", { class: "choose" }, el("h3", {}, block.title));
  if (examples.length > 1) {
    const labels = examples.map((_, i) => String(i + 1));
    heading.append(segments(labels, 0, show, "which example"));
  }
  heading.append(peakKey(true));
  show(0);
  const data = () => ({
    columns: ["example", "SAE", "latent", "path", "source, from the peak", "token", "influence"],
    rows: examples.flatMap(({ rows }, i) =>
      rows.map((row) => {
        const word = row.token < 0 ? "" : blind ? "#" + row.token : tokenText(row.token);
        return [i + 1, block.saes[row.sae], row.latent, pathOf(row), row.source, word, row.value];
      }),
    ),
  });
  return el("div", { class: "block" }, offer(block.title || "influences", data), heading, inside);
}
