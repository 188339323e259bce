// Figures: Plotly, loaded when the first one comes into view, in the colours of the theme.
import { cellClass, linedUp } from "../core/align.js";
import { colourOf, el, maybe, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { load } from "../core/load.js";
import { remember } from "../core/memory.js";
import { thisPage } from "../core/page.js";
import { seeAll, whenIdle, whenSeen } from "../core/seen.js";
import { session } from "../core/state.js";
import { showTip } from "../core/tip.js";
import { brushOver, brushedShapes } from "../latents/brush.js";
import { offer } from "../shell/downloads.js";
import { keyList } from "./keys.js";

/** @import { Bars, Colours, DataTable, Fields, FigureBlock, Layout, Plot, PlotEvent, Trace, View } from "../types" */

const PLOTLY = "assets/plotly-cartesian.min.js";
// As wide as the text of a printed page, in CSS pixels.
const PAPER = 640;
/** @type {Set<Plot>} */
const drawn = new Set();

const CONFIG = { responsive: true, displayModeBar: false, displaylogo: false };

/** @param {string} text */
const escaped = (text) =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
export const plotText = escaped;

/** @typedef {{ from: number, to: number, count: number }} Bin */

/**
 * The bins of a bar trace. Octaves and decades are bins of equal log width.
 * @param {Bars} trace
 * @param {View} view
 * @returns {Bin[]}
 */
function bins(trace, view) {
  const { octaves, decades } = view;
  const { x0 = 0, dx = 1, y } = trace;
  return y.map((count, i) => {
    const at = x0 + i * dx;
    if (octaves) {
      /** @param {number} k */
      const edge = (k) => 2 ** Math.floor(k / 4) * (1 + (((k % 4) + 4) % 4) / 4);
      return { from: edge(at), to: edge(at + 1), count };
    }
    if (decades) return { from: 10 ** (at / decades), to: 10 ** ((at + 1) / decades), count };
    return { from: at - dx / 2, to: at + dx / 2, count };
  });
}

/**
 * The bins of every trace of a view.
 * @param {View} view
 */
const seriesOf = (view) => view.data.map((/** @type {Bars} */ trace) => bins(trace, view));

function theme() {
  const names = ["ink", "ink-2", "ink-3", "line", "line-2", "act", "accent", "quiet", "up", "down", "raised"];
  names.push("k0", "k1", "k2", "k3", "k4", "k5");
  return Object.fromEntries(names.map((name) => [name, colourOf(name)]));
}

/**
 * A Plotly colour scale for signed values: `down`, the colour of the panel at zero, `up`.
 * @param {Colours} colours
 */
export const diverging = (colours) => [
  [0, colours.down],
  [0.5, colours.raised],
  [1, colours.up],
];

/**
 * The scale beside a figure: Plotly's own sets style attributes, which the policy forbids.
 * @param {number} most
 */
export function divergingLegend(most) {
  // Where all numbers are 0 there is no scale.
  if (!(most > 0)) return el("div", { class: "legend" }, "all 0");
  const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
  for (const step of ["n5", "n3", "n1", "", "p1", "p3", "p5"]) ramp.append(el("i", { class: step }));
  return el("div", { class: "legend" }, asText.value(-most), ramp, asText.value(most));
}

/**
 * @param {Colours} colours
 * @param {Fields | undefined} own
 * @param {boolean} log
 */
function axis(colours, own, log) {
  return {
    type: log ? "log" : "linear",
    gridcolor: colours.line,
    zerolinecolor: colours["line-2"],
    linecolor: colours["line-2"],
    tickcolor: colours["line-2"],
    ticks: "outside",
    ticklen: 3,
    automargin: true,
    ...own,
    title: { standoff: 6, ...(own && own.title), font: { size: 11, color: colours["ink-3"] } },
  };
}

/**
 * @param {View} view
 * @param {Colours} colours
 * @param {boolean} log
 * @param {boolean} brushes
 */
function layoutOf(view, colours, log, brushes) {
  const own = view.layout || {};
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: {
      family: getComputedStyle(document.body).fontFamily,
      size: 11,
      color: colours["ink-2"],
    },
    margin: { l: 44, r: 8, t: 8, b: 34 },
    showlegend: false,
    hovermode: "closest",
    dragmode: brushes || self.matchMedia("(pointer: coarse)").matches ? false : "zoom",
    ...own,
    shapes: brushes ? brushedShapes(view, colours) : own.shapes || [],
    xaxis: { ...axis(colours, own.xaxis, false), showgrid: false },
    yaxis: axis(colours, own.yaxis, log),
  };
}

/**
 * @param {Trace} trace
 * @param {Colours} colours
 */
function coloured(trace, colours) {
  const colour = colours[trace.meta || "accent"] || colours.accent;
  if (trace.type === "scatter") return { ...trace, line: { ...trace.line, color: colour } };
  if (trace.type !== "bar") return trace;
  const { x0 = 0, dx = 1, y, meta } = /** @type {Bars} */ (trace);
  const signed = () => y.map((_, i) => (x0 + i * dx < 0 ? colours.down : colours.up));
  return { ...trace, marker: { color: meta === "signed" ? signed() : colour, line: { width: 0 } } };
}

/**
 * An element for the library to draw in.
 * @param {Record<string, string>} fields
 * @returns {Plot}
 */
export const plotBox = (fields) => el("div", fields);

/**
 * Draw (again) with a function that gives data, layout and config from the theme's colours.
 * @param {Plot} node
 * @param {(colours: Colours) => { data: Trace[], layout: Layout, config?: Fields }} make
 * @param {Record<string, (event: any) => void>} [events]
 */
export async function drawPlot(node, make, events) {
  await load(PLOTLY);
  if (!node.isConnected) return;
  const draw = () => {
    const { data, layout, config } = make(theme());
    const beside = node.closest(".cells");
    const width = beside ? PAPER / beside.children.length - 20 : PAPER;
    const sized = session.paper ? { ...layout, width, height: node.clientHeight, autosize: false } : layout;
    return self.Plotly.react(node, data, sized, { ...CONFIG, ...config });
  };
  node.redraw = draw;
  drawn.add(node);
  await draw();
  for (const [name, action] of Object.entries(events || {})) node.on?.(name, action);
}

/**
 * Draw what is drawn without the library, now and whenever the theme or the width changes.
 * @param {Plot} node
 * @param {() => void} draw
 */
export function onRedraw(node, draw) {
  node.redraw = draw;
  node.bare = true;
  drawn.add(node);
  draw();
}

// A browser's own print command waits for nothing: by then Plotly has to be there.
export const readyFigures = () =>
  whenIdle(() => maybe(document, ".plot") && load(PLOTLY).catch(() => {}));

// After a change of theme or width; what is hidden is drawn again when it is shown.
export function redraw() {
  for (const node of drawn) {
    if (!node.isConnected) {
      if (!node.bare) self.Plotly.purge(node);
      drawn.delete(node);
    } else if (node.offsetParent) node.redraw?.();
    else node.stale = true;
  }
}
/**
 * Every figure of a part of the page, also those that were not in view yet.
 * @param {Element} part
 */
export async function drawAll(part) {
  await Promise.all(seeAll(part));
  redraw();
}
export function freshen() {
  for (const node of drawn) {
    if (!node.stale || !node.offsetParent) continue;
    node.stale = false;
    node.redraw?.();
  }
}
self.addEventListener("resize", () => {
  for (const node of drawn) {
    if (!node.offsetParent) node.stale = true;
    // The library sees to its own drawings.
    else if (node.bare) node.redraw?.();
  }
});

/**
 * A text with the values that it names in braces.
 * @param {string | undefined} text
 * @param {Record<string, string | number>} [values]
 */
export function filled(text, values = {}) {
  return (text || "").replace(/\{(\w+)\}/g, (all, name) => (Object.hasOwn(values, name) ? asText.shown(values[name]) : all));
}

/**
 * The bins that count anything, as people read them.
 * @param {View} view
 */
function rowsOf(view) {
  const series = seriesOf(view);
  if ((view.columns || []).length === 2) return series[0].map(({ count }, i) => [String(i), asText.percent(count)]);
  const rows = series[0].map(({ from, to }, i) => [asText.value(from), asText.value(to), ...series.map((row) => asText.count(row[i].count))]);
  return rows.filter((_, i) => series.some((row) => row[i].count));
}

/**
 * The same with the numbers as they are stored.
 * @param {View} view
 * @returns {DataTable}
 */
function dataOf(view) {
  const series = seriesOf(view);
  const { columns = [] } = view;
  if (columns.length === 2) return { columns, rows: series[0].map(({ count }, i) => [i, count]) };
  return { columns, rows: series[0].map(({ from, to }, i) => [from, to, ...series.map((row) => row[i].count)]) };
}

/** @param {View} view */
const tableOf = (view) => gridTable({ columns: view.columns || [], rows: rowsOf(view) });

/** @param {DataTable} from */
export function gridTable({ columns, rows }) {
  const texts = rows.map((row) => row.map((value) => String(value ?? "")));
  const lines = linedUp(texts);
  /** @param {number} i */
  const style = (i) => (lines[i] ? "number" : "");
  const head = el("tr", {}, ...columns.map((name, i) => el("th", { scope: "col", class: style(i) }, name)));
  const body = el("tbody", {});
  texts.forEach(([first, ...others], place) => {
    const cells = others.map((cell, i) => el("td", { class: cellClass(style(i + 1), lines[i + 1]?.[place]) }, cell));
    body.append(el("tr", {}, el("th", { scope: "row" }, first), ...cells));
  });
  return el("div", { class: "scroll" }, el("table", { class: "grid" }, el("thead", {}, head), body));
}

/**
 * A table that is made each time it is unfolded.
 * @param {string} label
 * @param {() => Element} make
 */
export function unfolding(label, make) {
  const details = el("details", {}, el("summary", {}, label));
  details.addEventListener("toggle", () => {
    const table = maybe(details, ".scroll");
    if (table) table.remove();
    if (details.open) details.append(make());
  });
  return details;
}

/**
 * @param {string[]} labels
 * @param {number} current
 * @param {(place: number) => void} pick
 * @param {string} name
 */
export function segments(labels, current, pick, name) {
  const box = el("div", { class: "seg", role: "group", "aria-label": name });
  labels.forEach((label, i) => {
    const button = el("button", { type: "button", "aria-pressed": String(i === current) }, label);
    button.addEventListener("click", () => {
      for (const other of box.children) other.setAttribute("aria-pressed", String(other === button));
      pick(i);
    });
    box.append(button);
  });
  return box;
}

/**
 * What the tooltip says at a point of a view.
 * @param {View} view
 * @param {PlotEvent} event
 */
function hover(view, event) {
  const [point] = event.points;
  const mouse = event.event;
  if (!mouse) return;
  const { columns = [] } = view;
  const { value, count, percent } = asText;
  const place = point.pointIndex;
  const row = seriesOf(view).map((series) => series[place]);
  const [{ from, to }] = row;
  const lines =
    columns.length === 2
      ? [columns[0] + " " + place, percent(row[0].count)]
      : [value(from) + " – " + value(to), ...row.map((bin, i) => count(bin.count) + " " + (columns[2 + i] || ""))];
  showTip(lines, mouse.clientX, mouse.clientY);
}

/**
 * A figure block as an element; `given` is the figure that is in the page already.
 * @param {FigureBlock} block
 * @param {HTMLElement | null} [given]
 * @param {boolean} [blind]
 */
export function figureBlock(block, given, blind) {
  const state = { view: 0, log: remember("log-" + block.base) === "yes" };
  if (state.view >= block.views.length) state.view = 0;
  const summary = filled(block.summary, block.v);
  const caption = el("figcaption", {});
  const title = block.title || (given && maybe(given, "h3")?.textContent) || "figure";
  const plot = plotBox({ class: "plot", role: "img", "aria-label": summary || title + "." });
  const box = given || el("figure", { class: "block figure" });
  const brushes = thisPage.kind === "latents" && block.base === "activation.histogram" && !blind;
  if (!given) {
    caption.append(el("h3", {}, block.title || ""));
    const details = unfolding("Table", () => tableOf(block.views[state.view]));
    box.append(caption, el("p", { class: "summary" }, summary), plot, details);
  }
  if (given) (maybe(given, ".summary") || within(given, "figcaption")).after(plot);
  const draw = () => {
    const view = block.views[state.view];
    return drawPlot(plot, (colours) => ({
      data: view.data.map((/** @type {Trace} */ trace) => coloured(trace, colours)),
      layout: layoutOf(view, colours, state.log, brushes),
    }));
  };
  const [{ data: traces, columns = [] }] = block.views;
  if (traces.length > 1) {
    const key = keyList(traces.map((trace, i) => ["bar d-" + (trace.meta || "accent"), trace.name || columns[2 + i] || ""]));
    if (key) plot.after(key);
  }
  const start = async () => {
    await draw();
    if (!plot.on) return;
    plot.on("plotly_hover", (/** @type {PlotEvent} */ event) => hover(block.views[state.view], event));
    plot.on("plotly_unhover", () => showTip(null));
    for (const [name, action] of Object.entries(block.events || {})) plot.on(name, action);
  };
  const labels = block.views.map((view) => view.label);
  const controls = given ? within(given, "figcaption") : caption;
  if (labels.length > 1) {
    /** @param {number} i */
    const pick = (i) => {
      state.view = i;
      const details = maybe(box, "details");
      if (details instanceof HTMLDetailsElement) details.open = false;
      draw();
    };
    controls.append(segments(labels, state.view, pick, block.choice || "bins"));
  }
  if (block.log) {
    /** @param {number} i */
    const pick = (i) => {
      state.log = i === 1;
      remember("log-" + block.base, state.log ? "yes" : null);
      draw();
    };
    controls.append(segments(["counts", "log counts"], state.log ? 1 : 0, pick, "count axis"));
  }
  controls.append(offer(title, () => dataOf(block.views[state.view])));
  if (brushes) brushOver(plot, () => block.views[state.view]);
  whenSeen(plot, start);
  return box;
}
