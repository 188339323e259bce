// Where everything in a graph goes: a column for each token, a row for each layer's SAE, the tokens
// at the bottom and the logits on top. Equal graphs have equal pictures.
import { svgNode } from "../core/dom.js";
import { nodeNames } from "./data.js";

/** @import { Cell, Edge, GraphItem, GraphLayout, GraphModel, GraphNode, GraphRow, GraphState, Line } from "../types" */

const MEANINGS_UP_TO = 36;
const NUMBERED = 14;
const LINE = 150;
const GAP = 6;
/** The layers of the rows of tokens and of outputs. */
export const TOKENS = -1;
export const OUTPUTS = 1e9;
const LOW = { main: 20, bare: 2 };

const pen = document.createElement("canvas").getContext("2d");

/**
 * @param {string} text
 * @param {number} size
 */
function width(text, size) {
  if (!pen) return (size * text.length) / 2;
  pen.font = size + "px sans-serif";
  return pen.measureText(text).width;
}
/**
 * A text cut to a width in pixels.
 * @param {string} text
 * @param {number} most
 * @param {number} size
 */
export function fitText(text, most, size) {
  if (width(text, size) <= most) return text;
  const letters = Array.from(text);
  while (letters.length > 1 && width(letters.join("") + "…", size) > most) letters.pop();
  return letters.join("") + "…";
}

/** @type {GraphRow} */
const NO_ROW = { layer: 0, sae: 0, cells: new Map(), main: false, used: false, place: 0, h: 0, y: 0, full: 0, middle: 0 };
const NO_BOX = svgNode("g", {});

/**
 * An item that has no place yet.
 * @param {Partial<GraphItem> & Pick<GraphItem, "node" | "group" | "members" | "kind">} own
 * @returns {GraphItem}
 */
const itemOf = (own) => ({ text: "", large: false, w: 20, h: 20, k: 1, r: 0, x: 0, y: 0, column: 0, row: NO_ROW, box: NO_BOX, there: true, ...own });

/**
 * Nodes and supernodes: what is drawn as one thing.
 * @param {GraphModel} model
 * @param {GraphState} state
 * @returns {GraphItem[]}
 */
function itemsOf(model, state) {
  const { short, meaning } = nodeNames;
  const grouped = new Set(state.groups.flatMap((group) => group.members));
  const latents = model.nodes.filter((node) => node.kind === "latent");
  // Where there are many latents, the picture is small: only the strongest are labelled, in large.
  const few = latents.length <= MEANINGS_UP_TO;
  const numbered = new Set(few ? [] : latents.sort((a, b) => b.reach - a.reach).slice(0, NUMBERED));
  /** @type {GraphItem[]} */
  const items = [];
  for (const node of model.nodes) {
    if (grouped.has(node.place)) continue;
    const item = itemOf({ node, group: null, members: [node], kind: node.kind });
    if (node.kind === "logit") {
      item.text = fitText(short(model, node), 120, 11);
      item.w = width(item.text, 11) + 18;
      item.h = 24;
    } else if (node.kind === "latent") {
      item.r = 4.5 + 4.5 * Math.max(0, 1 - node.influence);
      item.h = 22;
      if (numbered.has(node)) {
        item.text = String(node.latent);
        item.large = true;
        item.w = width(item.text, 17) + 12;
        item.h = 42;
      } else if (few) {
        item.text = fitText(meaning(node) || String(node.latent), 104, 9.5);
        item.w = Math.max(30, width(item.text, 9.5) + 10);
        item.h = 36;
      }
    } else if (node.kind === "error") {
      item.w = 15;
      item.h = 13;
    } else item.w = item.h = 16;
    items.push(item);
  }
  for (const group of state.groups) {
    const members = group.members.map((place) => model.nodes[place]);
    const size = few ? 11.5 : 17;
    const text = fitText(group.name, 15 * size, size) + " (" + members.length + ")";
    items.push(itemOf({ node: null, group, members, kind: "group", text, large: !few, w: width(text, size) + 28, h: few ? 28 : 34 }));
  }
  return items;
}

/** @param {GraphNode} node */
function rowKey(node) {
  if (node.kind === "embedding") return { layer: TOKENS, sae: 0 };
  if (node.kind === "logit") return { layer: OUTPUTS, sae: 0 };
  return { layer: node.layer, sae: node.sae };
}

/**
 * The one nearest to their mean: a group stands on a token, and in a row, that one of its nodes is on.
 * @param {number[]} values
 */
function middle(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.reduce((best, value) => (Math.abs(value - mean) < Math.abs(best - mean) ? value : best), values[0]);
}

/**
 * The rows from the tokens up, and in each the items of each column.
 * @param {GraphModel} model
 * @param {GraphItem[]} items
 */
function rowsOf(model, items) {
  /** @type {Map<string, GraphRow>} */
  const rows = new Map();
  /** @param {GraphNode} node */
  const rowOf = (node) => {
    const key = rowKey(node);
    const name = key.layer + "," + key.sae;
    const row = rows.get(name) || { ...NO_ROW, ...key, cells: new Map() };
    rows.set(name, row);
    return row;
  };
  model.nodes.forEach(rowOf);
  const sorted = Array.from(rows.values()).sort((a, b) => a.layer - b.layer || a.sae - b.sae);
  sorted.forEach((row, i) => (row.place = i));
  for (const item of items) {
    const row = sorted[middle(item.members.map((node) => rowOf(node).place))];
    item.column = middle(item.members.map((node) => node.position));
    row.used = true;
    if (item.kind !== "error") row.main = true;
    const cell = row.cells.get(item.column) || { items: [], lines: [] };
    row.cells.set(item.column, cell);
    cell.items.push(item);
    item.row = row;
  }
  return sorted.filter((row) => row.used);
}

/**
 * Lines of items no wider than asked, or than the widest item.
 * @param {GraphItem[]} items
 * @param {number} most
 * @returns {Line[]}
 */
function lines(items, most) {
  /** @type {Line[]} */
  const result = [];
  /** @type {Line | null} */
  let line = null;
  for (const item of items) {
    if (!line || line.w + GAP + item.w > most) {
      line = { items: [], w: -GAP, h: 0 };
      result.push(line);
    }
    line.items.push(item);
    line.w += item.w + GAP;
    line.h = Math.max(line.h, item.h);
  }
  return result;
}

/** @param {Cell} cell */
const high = (cell) => cell.lines.reduce((h, line) => h + line.h + 2, 0);
/** @param {GraphRow} row */
const heightOf = (row) => Math.max(...Array.from(row.cells.values(), (cell) => (cell.lines.length ? high(cell) : 24)));

/**
 * @param {GraphItem} a
 * @param {GraphItem} b
 */
function order(a, b) {
  const rank = { group: 0, logit: 1, latent: 1, embedding: 1, error: 2 };
  if (rank[a.kind] !== rank[b.kind]) return rank[a.kind] - rank[b.kind];
  const [first, second] = [a.members[0], b.members[0]];
  return (a.kind === "logit" ? second.probability - first.probability : 0) || first.place - second.place;
}

/**
 * Items with x and y (their centres), the rows, the columns, and the size of the whole.
 * @param {GraphModel} model
 * @param {GraphState} state
 * @param {{ w: number, h: number, least: number }} space
 * @returns {GraphLayout}
 */
export function layoutOf(model, state, space) {
  const items = itemsOf(model, state).filter((item) => state.errors || item.kind !== "error");
  const rows = rowsOf(model, items);
  const columns = model.record.tokens.map(() => ({ x: 0, w: 40, busy: false }));
  for (const row of rows) {
    for (const [column, cell] of row.cells) {
      cell.items.sort(order);
      if (row.layer === OUTPUTS) continue;
      const total = cell.items.reduce((sum, item) => sum + item.w + GAP, 0);
      const most = total <= LINE ? LINE : Math.max(90, total / Math.ceil(total / LINE) + 12);
      const made = lines(cell.items, most);
      cell.lines = made;
      const widest = Math.max(...made.map((line) => line.w));
      columns[column].w = Math.max(columns[column].w, widest + 18);
      if (row.layer !== TOKENS) columns[column].busy = true;
    }
  }
  /**
   * What is higher than the space is drawn smaller, which leaves room at the sides; what is wider
   * leaves room above. What has to be read is drawn larger to make up for it.
   * @param {number} ratio
   */
  const shrunk = (ratio) => Math.min(Math.max(1, ratio), 1 / space.least);
  const least = rows.reduce((sum, row) => sum + heightOf(row) + (row.main ? LOW.main : LOW.bare), 0);
  const tall = shrunk(least / space.h);
  const busy = columns.filter((column) => column.busy).length || columns.length;
  const natural = columns.reduce((sum, column) => sum + column.w, 0);
  const extra = Math.max(0, space.w * tall - natural) / busy;
  let x = 0;
  for (const column of columns) {
    if (column.busy) column.w += extra;
    column.x = x;
    x += column.w;
  }
  const W = Math.max(x, 200);
  const wide = shrunk(W / space.w);
  for (const item of items) {
    if (item.kind !== "logit") continue;
    item.k = Math.min(1.7, wide);
    item.w *= item.k;
    item.h *= item.k;
  }
  for (const row of rows) {
    if (row.layer === OUTPUTS) for (const cell of row.cells.values()) cell.lines = lines(cell.items, W - 12);
    row.h = heightOf(row);
  }
  const inner = rows.reduce((sum, row) => sum + row.h, 0);
  const main = rows.filter((row) => row.main).length;
  const spare = Math.max(0, space.h * wide - inner - LOW.bare * (rows.length - main)) / Math.max(1, main);
  let y = 8;
  for (const row of rows.slice().reverse()) {
    const pad = row.main ? Math.min(110, Math.max(LOW.main, spare)) : LOW.bare;
    row.y = y;
    row.full = row.h + pad;
    row.middle = y + row.full / 2;
    y += row.full;
    for (const [column, cell] of row.cells) {
      let top = row.middle - high(cell) / 2;
      for (const line of cell.lines) {
        const own = columns[column];
        let left = row.layer === OUTPUTS ? W - 8 - line.w : own.x + (own.w - line.w) / 2;
        for (const item of line.items) {
          item.x = left + item.w / 2;
          item.y = top + line.h / 2;
          left += item.w + GAP;
        }
        top += line.h + 2;
      }
    }
  }
  const of = new Map();
  items.forEach((item) => item.members.forEach((node) => of.set(node.place, item)));
  return { items, rows, columns, W, H: y + 4, of, edges: edgesOf(model, of) };
}

/**
 * Links between what is drawn; the links of a supernode's members are added up.
 * @param {GraphModel} model
 * @param {Map<number, GraphItem>} of
 * @returns {Edge[]}
 */
function edgesOf(model, of) {
  const edges = new Map();
  const places = new Map();
  /** @param {GraphItem} item */
  const numbered = (item) => places.get(item) ?? (places.set(item, places.size), places.size - 1);
  for (const link of model.strongest) {
    const source = of.get(link.source.place);
    const target = of.get(link.target.place);
    if (!source || !target || source === target) continue;
    const key = numbered(source) + " " + numbered(target);
    const edge = edges.get(key);
    const score = Math.sign(link.weight) * link.score;
    if (edge) {
      edge.weight += link.weight;
      edge.score += score;
    } else edges.set(key, { source, target, weight: link.weight, score });
  }
  const sorted = Array.from(edges.values());
  for (const edge of sorted) edge.score = Math.abs(edge.score);
  sorted.sort((a, b) => b.score - a.score);
  sorted.forEach((edge, rank) => (edge.rank = rank));
  return sorted;
}
