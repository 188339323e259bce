// The page of an SAE: its table, its distributions, and the map of its latents.
import { drawPlot, figureBlock, plotBox } from "../blocks/figures.js";
import { merged } from "../blocks/merge.js";
import { goTo } from "../core/address.js";
import { store } from "../core/data.js";
import { all, colourOf, el, maybe, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { alive, densityText, latentHref } from "../core/latents.js";
import { thisPage } from "../core/page.js";
import { whenSeen } from "../core/seen.js";
import { showTip } from "../core/tip.js";
import { tokenText, unpack } from "../core/tokens.js";
import { latentTable } from "./table.js";

/** @import { Colours, Fields, FigureBlock, Plot, PlotEvent, Table, TableView } from "../types" */
/** @import { LatentRow } from "../records" */

const AT_ONCE = 5000;
const FAINT = 0.25;

/** @param {string[]} colours */
function scale(colours) {
  return [0, 2, 4, 6, 8, 9].map((step, i) => [i / 5, colours[step]]);
}

/**
 * The decades that the densities lie in.
 * @param {LatentRow[]} live
 */
function range(live) {
  const logs = live.filter((row) => row.density > 0).map((row) => Math.log10(row.density));
  const low = Math.floor(logs.reduce((a, b) => Math.min(a, b), 0));
  return [low, Math.max(low + 1, Math.ceil(logs.reduce((a, b) => Math.max(a, b), -9)))];
}

/**
 * Plotly's own colour bar sets a style attribute, which the policy of the page forbids.
 * @param {LatentRow[]} live
 */
function legend(live) {
  const [low, high] = range(live);
  const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
  [0, 2, 4, 6, 8, 9].forEach((step) => ramp.append(el("i", { class: "a" + step })));
  const { percent } = asText;
  return el("div", { class: "legend" }, "density " + percent(10 ** low), ramp, percent(10 ** high));
}

/**
 * The map shows what the table shows: latents that its filters leave out are faint.
 * @param {HTMLElement} box
 * @param {Table} table
 * @param {TableView} view
 */
function drawMap(box, table, view) {
  const rows = table.rows;
  const live = rows.filter(alive);
  let fits = new Set(rows);
  const plot = plotBox({
    class: "plot tall",
    role: "img",
    "aria-label": "Scatter plot of " + asText.count(rows.length) + " latents by decoder direction.",
  });
  const said = el("p", { class: "kept", role: "status" });
  box.append(legend(live), plot, said);
  const size = rows.length > 3000 ? 4 : rows.length > 500 ? 6 : 9;
  /**
   * @param {LatentRow[]} some
   * @param {string} name
   * @param {Fields} marker
   */
  const trace = (some, name, marker) => ({
    type: "scatter",
    mode: "markers",
    name,
    x: some.map((row) => row.x),
    y: some.map((row) => row.y),
    customdata: some.map((row) => row.latent),
    hoverinfo: marker.opacity === FAINT ? "skip" : "none",
    marker,
  });
  /** @param {Colours} colours */
  const make = (colours) => {
    const steps = Array.from({ length: 10 }, (_, i) => colourOf("a" + i));
    const [low, high] = range(live);
    const inside = live.filter((row) => fits.has(row));
    const logs = inside.map((row) => (row.density > 0 ? Math.log10(row.density) : low));
    const axis = {
      type: "linear",
      showgrid: false,
      zeroline: false,
      showticklabels: false,
      ticks: "",
      title: { text: "" },
    };
    return {
      data: [
        trace(rows.filter((row) => !fits.has(row)), "left out", { size, color: colours.quiet, opacity: FAINT }),
        trace(rows.filter((row) => !alive(row) && fits.has(row)), "dead", { size, color: "rgba(0,0,0,0)", line: { width: 1, color: colours.quiet } }),
        trace(inside, "active", {
          size,
          opacity: 0.9,
          line: { width: 0.6, color: colours["ink-3"] },
          color: logs,
          cmin: low,
          cmax: high,
          colorscale: scale(steps),
          showscale: false,
        }),
      ],
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
        margin: { l: 8, r: 8, t: 8, b: 8 },
        showlegend: false,
        hovermode: "closest",
        // Other filters do not move what the reader has gone to.
        uirevision: "map",
        dragmode: self.matchMedia("(pointer: coarse)").matches ? false : "pan",
        xaxis: axis,
        yaxis: { ...axis, scaleanchor: "x" },
      },
      config: { scrollZoom: true },
    };
  };
  drawPlot(plot, make, {
    /** @param {PlotEvent} event */
    plotly_hover: (event) => {
      const row = table.byLatent.get(event.points[0].customdata);
      if (!row || !event.event) return;
      const lines = ["Latent " + row.latent];
      if (row.label) lines.push(row.label);
      if (row.blind) lines.push("blind");
      else lines.push("active on " + unpack(row.tokens).map(tokenText).join("  "));
      if (row.raises) lines.push("raises " + unpack(row.raises).map(tokenText).join("  "));
      lines.push(alive(row) ? "density " + densityText(row) : "dead on this text");
      showTip(lines, event.event.clientX, event.event.clientY);
    },
    plotly_unhover: () => showTip(null),
    /** @param {PlotEvent} event */
    plotly_click: (event) => {
      const href = latentHref(table.sae, event.points[0].customdata);
      if (href) goTo(href);
    },
  });
  view.onShown((shown) => {
    fits = new Set(shown);
    said.textContent = shown.length < rows.length ? asText.count(shown.length) + " of " + asText.count(rows.length) + " latents fit the filters of the table; the others are faint." : "";
    if (plot.redraw) plot.redraw();
  });
}

/**
 * Dragging over the densities chooses a range of them for the table; the range is drawn here.
 * @param {FigureBlock} block
 * @param {HTMLElement} box
 * @param {TableView} view
 */
function brushed(block, box, view) {
  const [first] = block.views;
  const { decades = 1 } = first;
  /** @param {number} density */
  const at = (density) => decades * Math.log10(density) - 0.5;
  const bars = first.data[0];
  const ends = [(bars.x0 || 0) - 0.5, (bars.x0 || 0) + bars.y.length - 0.5];
  const layout = { ...first.layout };
  if (!self.matchMedia("(pointer: coarse)").matches) Object.assign(layout, { dragmode: "select", selectdirection: "h" });
  view.onDensity(([low, high]) => {
    // An address may ask for what no density is.
    const range = [low && low > 0 ? at(low) : ends[0], high && high > 0 ? at(high) : ends[1]].map((end) => Math.min(Math.max(end, ends[0]), ends[1]));
    const rectangle = { type: "rect", yref: "paper", x0: range[0], x1: range[1], y0: 0, y1: 1, line: { width: 0 }, fillcolor: "rgba(70,130,210,0.2)", layer: "below" };
    layout.shapes = low === null && high === null ? [] : [rectangle];
    const plot = /** @type {Plot | null} */ (maybe(box, ".plot"));
    if (plot && plot.redraw) plot.redraw();
  });
  /** @param {any} event */
  const select = (event) => {
    if (!event || !event.range) return;
    // Whole bars: a bar that is touched is taken.
    /** @type {number[]} */
    const [low, high] = event.range.x.slice().sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
    const edges = [Math.floor(low + 0.5), Math.floor(high + 0.5) + 1];
    view.density(edges[0] <= ends[0] + 0.5 ? null : 10 ** (edges[0] / decades), edges[1] >= ends[1] + 0.5 ? null : 10 ** (edges[1] / decades));
  };
  layout.selections = [];
  const hint = "Drag over the bars to show only latents of these densities in the table.";
  within(box, ".summary").after(el("p", { class: "kept" }, hint));
  return { ...block, views: [{ ...first, layout }], events: { plotly_selected: select } };
}

export function saePage() {
  const table = store.tables.get(thisPage.sae);
  if (!table) return;
  const view = latentTable(table);
  for (const box of all(document, "figure[data-figure]")) {
    const block = table.figures[box.dataset.figure || ""];
    if (!block) continue;
    const whole = merged(block);
    figureBlock(box.dataset.figure === "density" ? brushed(whole, box, view) : whole, box);
  }
  const map = document.getElementById("map");
  if (!map || !table.has_map) return;
  if (table.rows.length <= AT_ONCE) whenSeen(map, () => drawMap(map, table, view));
  else {
    const label = "Draw the map of " + asText.count(table.rows.length) + " latents";
    const button = el("button", { type: "button" }, label);
    button.addEventListener("click", () => {
      button.remove();
      drawMap(map, table, view);
    });
    map.append(button);
  }
}
