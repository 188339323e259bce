// Links checked by intervention: predicted against measured change.
import { drawPlot } from "../blocks/figures.js";
import { keyList } from "../blocks/keys.js";
import { el } from "../core/dom.js";
import { asText } from "../core/format.js";
import { whenSeen } from "../core/seen.js";
import { showTip } from "../core/tip.js";
import { nodeNames } from "./data.js";

/** @import { Colours, GraphModel, PlotEvent } from "../types" */

/**
 * Predicted and measured change of the links that were checked.
 * @param {GraphModel} model
 * @param {HTMLElement} figure
 */
export function drawChecks(model, figure) {
  const { checks } = model;
  const { short } = nodeNames;
  const x = checks.map((row) => row.predicted);
  const y = checks.map((row) => row.measured);
  const low = Math.min(0, ...x, ...y);
  const high = Math.max(0, ...x, ...y);
  const failing = checks.filter((row) => row.fails).length;
  const label = "Scatter plot of predicted and measured change for " + checks.length + " links, of which " + failing + " fail; the numbers are in the table below.";
  const plot = el("div", { class: "plot g-plot", role: "img", "aria-label": label });
  const key = keyList([
    ["dot d-up", "as predicted, within a factor of two"],
    ["cross", "opposite sign, or off by more"],
    ["dotted", "exactly as predicted"],
  ]);
  figure.append(plot, ...(key ? [key] : []));
  /** @param {Colours} colours */
  const make = (colours) => {
    /** @param {string} title */
    const axis = (title) => ({
      type: "linear",
      title: { text: title, standoff: 6, font: { size: 11, color: colours["ink-3"] } },
      gridcolor: colours.line,
      zerolinecolor: colours["line-2"],
      linecolor: colours["line-2"],
      automargin: true,
    });
    const line = { type: "scatter", mode: "lines", x: [low, high], y: [low, high], hoverinfo: "skip", line: { color: colours["ink-3"], width: 1, dash: "dot" } };
    const marker = {
      size: 10,
      color: checks.map((row) => (row.fails ? colours.down : colours.up)),
      symbol: checks.map((row) => (row.fails ? "x" : "circle")),
      line: { width: 1, color: colours.ink },
      opacity: 0.85,
    };
    return {
      data: [line, { type: "scatter", mode: "markers", x, y, marker, hoverinfo: "none" }],
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
        margin: { l: 48, r: 8, t: 8, b: 40 },
        showlegend: false,
        hovermode: "closest",
        dragmode: false,
        xaxis: axis("predicted change"),
        yaxis: axis("measured change"),
      },
    };
  };
  whenSeen(plot, () =>
    drawPlot(plot, make, {
      /** @param {PlotEvent} event */
      plotly_hover: (event) => {
        const point = event.points[0];
        const row = point.curveNumber === 1 ? checks[point.pointIndex] : null;
        if (!row || !event.event) return;
        const [source, target] = [model.nodes[row.source], model.nodes[row.target]];
        const { value } = asText;
        showTip(
          [short(model, source) + " → " + short(model, target), "predicted " + value(row.predicted), "measured " + value(row.measured), ...(row.fails ? [row.fails] : [])],
          event.event.clientX,
          event.event.clientY,
        );
      },
      plotly_unhover: () => showTip(null),
    }),
  );
}
