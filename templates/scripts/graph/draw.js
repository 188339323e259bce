// The drawing of a graph: SVG for nodes and links, and the names of rows and tokens that stay in
// view while the drawing scrolls. Colours and states are classes; see graph.css.
import { OUTPUTS, TOKENS } from "./layout.js";
import { all, el, svgNode } from "../core/dom.js";
import { tokenText } from "../core/tokens.js";
import { nodeNames } from "./data.js";

/** @import { Edge, GraphItem, GraphLayout, GraphModel, GraphRow, NodeBox, Shape } from "../types" */

const ZOOM = { least: 0.3, most: 3 };
const NAME = 15;
const NUMBER = 12;
/** @type {GraphLayout} */
export const NOTHING = { items: [], rows: [], columns: [], W: 1, H: 1, of: new Map(), edges: [] };

/** @param {number} n */
const round = (n) => Math.round(n * 10) / 10;

/**
 * The shape of a kind of node around (0, 0).
 * @param {Shape} item
 */
export function shapeOf(item) {
  const { kind } = item;
  const w = item.w / item.k;
  const h = item.h / item.k;
  if (kind === "latent") return svgNode("circle", { r: round(item.r), cy: item.text ? -7 : 0, class: "shape" });
  if (kind === "error") return svgNode("path", { d: "M0-5.5L5.5 0 0 5.5-5.5 0z", class: "shape" });
  if (kind === "embedding") return svgNode("rect", { x: -6, y: -6, width: 12, height: 12, rx: 2, class: "shape" });
  const r = kind === "group" ? 14 : 4;
  return svgNode("rect", { x: round(-w / 2), y: -h / 2, width: round(w), height: h, rx: r, class: "shape" });
}

/**
 * @param {GraphModel} model
 * @param {GraphItem} item
 * @returns {NodeBox}
 */
function nodeOf(model, item) {
  const w = round(item.w / item.k);
  const h = round(item.h / item.k);
  /** @type {NodeBox} */
  const box = svgNode("g", {
    class: "node k-" + item.kind,
    transform: "translate(" + round(item.x) + " " + round(item.y) + ") scale(" + item.k + ")",
    role: "button",
    tabindex: "-1",
    "aria-pressed": "false",
  });
  box.setAttribute("aria-label", nameOf(model, item));
  // A larger area than the shape, for fingers.
  box.append(svgNode("rect", { x: -w / 2, y: -h / 2, width: w, height: h, class: "hit" }));
  box.append(shapeOf(item));
  if (item.text) {
    const text = svgNode("text", { y: item.kind === "latent" ? (item.large ? 17 : 14) : item.large ? 6 : 4, class: item.large ? "large" : "" });
    text.textContent = item.text;
    box.append(text);
  }
  box.item = item;
  item.box = box;
  return box;
}

/**
 * @param {GraphModel} model
 * @param {GraphItem} item
 */
function nameOf(model, item) {
  if (item.node) return nodeNames.full(model, item.node);
  const members = item.members.map((node) => nodeNames.short(model, node));
  return "Group " + (item.group ? item.group.name : "") + ": " + members.join(", ");
}

/** @param {Edge} edge */
function pathOf(edge) {
  const { source: a, target: b } = edge;
  const from = a.y - (a.kind === "latent" ? (a.text ? 7 + a.r : a.r) : a.kind === "error" ? 5 : a.kind === "embedding" ? 6 : a.h / 2);
  const to = b.y + (b.kind === "latent" ? (b.text ? b.h / 2 : b.r) : b.kind === "error" ? 5 : b.kind === "embedding" ? 6 : b.h / 2);
  const bend = Math.max(14, Math.abs(from - to) * 0.42);
  return (
    "M" + round(a.x) + " " + round(from) + "C" + round(a.x) + " " + round(from - bend) + " " +
    round(b.x) + " " + round(to + bend) + " " + round(b.x) + " " + round(to)
  );
}

/**
 * @param {Edge} edge
 * @param {number} most
 * @param {number} widest
 */
function edgeOf(edge, most, widest) {
  const size = Math.sqrt(edge.score / most);
  const path = svgNode("path", { d: pathOf(edge), class: (edge.weight < 0 ? "neg" : "pos") + (edge.source.kind === "error" ? " unexplained" : "") });
  path.setAttribute("stroke-width", String(round(Math.max(0.5, widest * size))));
  path.setAttribute("stroke-opacity", String(round(10 * Math.min(0.9, 0.22 + 0.68 * size)) / 10));
  return path;
}

// The stage: a box that scrolls, with the drawing in it.
export class GraphStage {
  /** @param {GraphModel} model */
  constructor(model) {
    this.model = model;
    this.zoom = 1;
    /** The least size at which all of it was last shown; null once the reader zoomed. @type {number | null} */
    this.fitted = null;
    /** @type {GraphLayout} */
    this.layout = NOTHING;
    /** The edges that are drawn behind. @type {Edge[]} */
    this.behind = [];
    this.bands = svgNode("g", { class: "bands", "aria-hidden": "true" });
    this.base = svgNode("g", { class: "edges base", "aria-hidden": "true" });
    this.hot = svgNode("g", { class: "edges hot", "aria-hidden": "true" });
    this.nodes = svgNode("g", { class: "nodes" });
    this.svg = svgNode("svg", { class: "g-svg", role: "group" }, this.bands, this.base, this.hot, this.nodes);
    this.svg.setAttribute(
      "aria-label",
      "Attribution graph. Arrow keys walk along a layer and along the strongest links, Enter pins a node, Escape unpins, g selects it for a group.",
    );
    this.layers = el("div", { class: "g-layers", "aria-hidden": "true" });
    this.tokens = el("div", { class: "g-tokens", "aria-hidden": "true" });
    this.canvas = el("div", { class: "g-canvas" }, this.layers, this.svg, this.zoomButtons(), this.tokens);
    this.scroll = el("div", { class: "g-scroll" }, this.canvas);
  }

  zoomButtons() {
    const box = el("div", { class: "g-zoom", role: "group", "aria-label": "Zoom" });
    for (const { text, name, action } of [
      { text: "−", name: "Zoom out", action: () => this.zoomBy(0.8) },
      { text: "+", name: "Zoom in", action: () => this.zoomBy(1.25) },
      { text: "⤢", name: "Show all of it", action: () => this.fit(0) },
    ]) {
      const button = el("button", { type: "button", class: "icon", "aria-label": name, title: name }, text);
      button.addEventListener("click", action);
      box.append(button);
    }
    return box;
  }

  /**
   * Draws nodes and rows anew; edges are drawn by `edges`.
   * @param {GraphLayout} layout
   */
  show(layout) {
    this.layout = layout;
    const { W, H } = layout;
    this.svg.setAttribute("viewBox", "0 0 " + round(W) + " " + round(H));
    /** @type {SVGElement[]} */
    const marks = [];
    layout.rows.forEach((row, i) => {
      if (row.main && i % 2) marks.push(svgNode("rect", { x: 0, y: round(row.y), width: round(W), height: round(row.full), class: "band" }));
    });
    layout.columns.forEach((column, i) => {
      if (i) marks.push(svgNode("path", { d: "M" + round(column.x) + " 0V" + round(H), class: "rule" }));
    });
    this.bands.replaceChildren(...marks);
    // In reading order: from the tokens up, and from left to right.
    const items = layout.items.slice().sort((a, b) => b.y - a.y || a.x - b.x);
    this.nodes.replaceChildren(...items.map((item) => nodeOf(this.model, item)));
    this.layers.replaceChildren(...layout.rows.map((row) => this.rowName(row)));
    this.tokens.replaceChildren(
      ...this.model.record.tokens.map((token, position) => {
        const text = tokenText(token);
        return el("span", { title: text + ", position " + position }, el("code", {}, text), el("small", {}, String(position)));
      }),
    );
    this.size(this.zoom);
  }

  /** @param {GraphRow} row */
  rowName(row) {
    const { layer, sae } = row;
    if (layer === TOKENS) return el("span", {}, "tokens");
    if (layer === OUTPUTS) return el("span", {}, "outputs");
    if (sae >= 0) return el("span", { class: "of", title: nodeNames.sae(this.model, { sae }) }, nodeNames.sae(this.model, { sae }));
    return el("span", { class: "bare", title: "layer " + layer + ", not covered by an SAE of the graph" }, String(layer));
  }

  /** @param {number} zoom */
  size(zoom) {
    this.zoom = Math.min(ZOOM.most, Math.max(ZOOM.least, zoom));
    const { W, H, columns } = this.layout;
    const z = this.zoom;
    this.svg.setAttribute("width", String(round(W * z)));
    this.svg.setAttribute("height", String(round(H * z)));
    this.nameRows(z);
    const marks = all(this.tokens, ":scope > *");
    columns.forEach((column, i) => {
      const mark = marks[i].style;
      mark.setProperty("left", round(column.x * z) + "px");
      mark.setProperty("width", round(column.w * z) + "px");
    });
  }

  /**
   * Names of SAEs are moved apart where they would touch; a layer's number gives way to them.
   * @param {number} zoom
   */
  nameRows(zoom) {
    const { rows } = this.layout;
    const boxes = all(this.layers, ":scope > *");
    const names = rows.map((row, i) => ({ y: row.middle * zoom, box: boxes[i], bare: row.sae < 0 && row.layer !== TOKENS && row.layer !== OUTPUTS }));
    const firm = names.filter((name) => !name.bare).sort((a, b) => a.y - b.y);
    firm.forEach((name, i) => {
      if (i) name.y = Math.max(name.y, firm[i - 1].y + NAME);
    });
    const taken = firm.map((name) => name.y);
    for (const name of names) {
      const fits = !name.bare || taken.every((y) => Math.abs(y - name.y) >= NUMBER);
      if (name.bare && fits) taken.push(name.y);
      name.box.hidden = !fits;
      name.box.style.setProperty("top", round(name.y) + "px");
    }
  }

  /**
   * Zooms and keeps the point (x, y) of the window in place; the middle if none is given.
   * @param {number} factor
   * @param {number} [x]
   * @param {number} [y]
   */
  zoomBy(factor, x, y) {
    const box = this.scroll.getBoundingClientRect();
    const px = (x ?? box.left + box.width / 2) - box.left;
    const py = (y ?? box.top + box.height / 2) - box.top;
    const inset = this.layers.offsetWidth;
    const before = this.zoom;
    this.fitted = null;
    const cx = (this.scroll.scrollLeft + px - inset) / before;
    const cy = (this.scroll.scrollTop + py) / before;
    this.size(before * factor);
    this.scroll.scrollLeft = cx * this.zoom + inset - px;
    this.scroll.scrollTop = cy * this.zoom - py;
  }

  /**
   * The whole graph, or, where it would be too small to read, its full height or width.
   * @param {number} least
   */
  fit(least) {
    const { W, H } = this.layout;
    const wide = (this.scroll.clientWidth - this.layers.offsetWidth - 2) / W;
    const high = (this.room() - this.tokens.offsetHeight - 2) / H;
    this.size(Math.max(least, Math.min(wide, high, 1.5)));
    this.fitted = least;
  }

  // The outputs into view: the upper right end.
  toEnd() {
    this.scroll.scrollLeft = this.scroll.scrollWidth;
    this.scroll.scrollTop = 0;
  }

  /** @param {GraphItem} item */
  centre(item) {
    const { scroll, zoom, layers, tokens } = this;
    scroll.scrollLeft = item.x * zoom - (scroll.clientWidth - layers.offsetWidth) / 2;
    scroll.scrollTop = item.y * zoom - (scroll.clientHeight - tokens.offsetHeight) / 2;
  }

  room() {
    return Math.max(320, Math.min(760, self.innerHeight * 0.76));
  }

  /**
   * `base` is drawn behind, `hot` above it; widths are relative to the strongest of each.
   * @param {Edge[]} base
   * @param {Edge[]} hot
   */
  edges(base, hot) {
    /** @param {Edge[]} edges */
    const drawn = (edges) => {
      const most = edges.reduce((largest, edge) => Math.max(largest, edge.score), 1e-12);
      // Many links are drawn finer, so that they do not cover each other.
      const widest = Math.min(5.5, Math.max(1.6, 5.5 * Math.sqrt(60 / Math.max(1, edges.length))));
      /**
       * The strongest on top, and what comes from error nodes below all else.
       * @param {Edge} edge
       */
      const unexplained = (edge) => edge.source.kind === "error";
      const ordered = edges.slice().reverse();
      return [...ordered.filter(unexplained), ...ordered.filter((edge) => !unexplained(edge))].map((edge) => edgeOf(edge, most, widest));
    };
    const same = base.length === this.behind.length && base.every((edge, i) => edge === this.behind[i]);
    if (!same) this.base.replaceChildren(...drawn(base));
    this.hot.replaceChildren(...drawn(hot));
    this.behind = base;
    this.svg.classList.toggle("focused", hot.length > 0);
  }
}
