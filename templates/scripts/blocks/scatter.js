// Points, with the diagonal on which both axes agree.
import { asText } from "../core/format.js";
import { whenSeen } from "../core/seen.js";
import { showTip } from "../core/tip.js";
import { offer } from "../shell/downloads.js";
import { frameLayout, frameOf, valueAxis } from "./axes.js";
import { drawPlot, plotText } from "./figures.js";
import { keyList } from "./keys.js";

/** @import { Colours, PlotEvent, ScatterBlock, Trace } from "../types" */

/**
 * @param {ScatterBlock} block
 * @param {HTMLElement | null} [given]
 */
export function scatterBlock(block, given) {
  const { box, caption, plot, name } = frameOf(block, given || null);
  const points = block.series.flatMap((line) => line.points);
  const ends = points.length ? [Math.min(...points.flat()), Math.max(...points.flat())] : [0, 0];
  plot.style.setProperty("height", "340px");
  const make = (/** @type {Colours} */ colours) => {
    /** @type {Trace[]} */
    const traces = block.series.map((line) => ({
      type: "scatter",
      mode: "markers",
      name: plotText(line.name),
      x: line.points.map(([x]) => x),
      y: line.points.map(([, y]) => y),
      hoverinfo: "none",
      marker: { color: colours[line.role] || colours.accent, symbol: line.symbol || "circle", size: line.small ? 4 : 7, opacity: 0.8 },
    }));
    const line = { type: "scatter", mode: "lines", name: block.diagonal, x: ends, y: ends, hoverinfo: "skip", line: { color: colours["line-2"], width: 1 } };
    return {
      data: block.diagonal ? [line, ...traces] : traces,
      layout: { ...frameLayout(colours), xaxis: valueAxis(block.x, colours), yaxis: valueAxis(block.y, colours) },
    };
  };
  const used = new Set(block.series.map((line) => line.role));
  const key = keyList([
    ...Object.entries(block.roles || {}).filter(([role]) => used.has(role)).map(([role, words]) => /** @type {[string, string]} */ (["dot d-" + role, words])),
    ...(block.diagonal ? [/** @type {[string, string]} */ (["line", block.diagonal])] : []),
  ]);
  if (key) plot.after(key);
  caption.append(offer(name, () => ({ columns: ["", block.x, block.y], rows: block.series.flatMap((line) => line.points.map((point) => [line.name, ...point])) })));
  whenSeen(plot, () =>
    drawPlot(plot, make, {
      plotly_hover: (/** @type {PlotEvent} */ event) => {
        const [{ x, y, curveNumber }] = event.points;
        const line = block.series[curveNumber - (block.diagonal ? 1 : 0)];
        const of = block.named && line ? [line.name] : [];
        if (event.event) showTip([...of, block.x + " " + asText.value(x), block.y + " " + asText.value(y)], event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => showTip(null),
    }),
  );
  return box;
}
