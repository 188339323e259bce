// Lines over positions or over numbers, and those of another page laid over them.
import { store } from "../core/data.js";
import { el } from "../core/dom.js";
import { asText } from "../core/format.js";
import { load } from "../core/load.js";
import { whenSeen } from "../core/seen.js";
import { session } from "../core/state.js";
import { showTip } from "../core/tip.js";
import { choose, chosen, whenChosen } from "../core/view.js";
import { offer } from "../shell/downloads.js";
import { cellName } from "./cells.js";
import { frameLayout, frameOf, nameAxis, shorten, valueAxis } from "./axes.js";
import { drawPlot, plotText } from "./figures.js";
import { merged } from "./merge.js";

/** @import { Colours, LinesBlock, PlotEvent, Trace } from "../types" */

const N_LINES = 10;

/**
 * Levels across the drawing, and a span of the x axis that is shaded.
 * @param {LinesBlock} block
 * @param {Colours} colours
 */
function marks({ levels = [], span, log }, colours) {
  const shapes = levels.map(({ value }) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color: colours["ink-3"], width: 1, dash: "dash" } }));
  const annotations = levels.map(({ name, value }) => ({
    ...{ text: plotText(name), showarrow: false, xref: "paper", x: 0, xanchor: "left", yanchor: "bottom" },
    y: log ? Math.log10(value) : value,
    font: { size: 10, color: colours["ink-2"] },
  }));
  if (!span) return { shapes, annotations };
  const shade = { type: "rect", yref: "paper", x0: span.from, x1: span.to, y0: 0, y1: 1, fillcolor: colours.accent, opacity: 0.12, line: { width: 0 }, layer: "below" };
  const above = { text: plotText(span.name), showarrow: false, yref: "paper", x: (span.from + span.to) / 2, y: 1, yanchor: "top", font: { size: 10, color: colours["ink-2"] } };
  return { shapes: [...shapes, shade], annotations: [...annotations, above] };
}

/**
 * @param {LinesBlock} block
 * @param {HTMLElement | null} [given]
 */
export function linesBlock(block, given) {
  const series = block.series.slice(0, N_LINES);
  const { box, caption, plot, summary, name: title } = frameOf(block, given || null);
  const [first] = series;
  const most = first ? Math.max(...first.values) : 0;
  const peak = first ? " Strongest: " + cellName(first.name) + ", " + asText.value(most) + " on " + block.labels[first.values.indexOf(most)] + "." : "";
  plot.classList.add("c-lines");
  plot.setAttribute("aria-label", "Line plot. " + summary + peak);
  const data = () => ({
    columns: ["name", ...block.labels],
    rows: block.series.map(({ name, values }) => [cellName(name), ...values]),
  });
  /** @type {LinesBlock | null} */
  let other = null;
  const make = (/** @type {Colours} */ colours) => {
    const palette = [colours.accent, colours.act, colours.down, colours["ink-2"], colours.quiet];
    /**
     * @param {LinesBlock} from
     * @param {string} dash
     * @returns {Trace[]}
     */
    const lines = (from, dash) =>
      series.flatMap(({ key, name }, i) => {
        const row = from.series.find((item) => item.key === key);
        if (!row) return [];
        const style = { color: palette[i % 5], width: 1.6, dash: dash || (i >= 5 ? "dot" : "solid") };
        const marker = { color: palette[i % 5], size: dash ? 3 : 5, symbol: i >= 5 ? "diamond" : "circle" };
        const drawn = { x: row.values.map((_, x) => (from.places ? from.places[x] : x)), y: row.values, line: style, marker };
        return [{ type: "scatter", mode: "lines+markers", name: plotText(shorten(cellName(name), 24)), showlegend: !dash, legendgroup: key, hoverinfo: "none", ...drawn }];
      });
    const texts = block.labels.map((label) => shorten(label, 18));
    const narrow = session.paper || plot.clientWidth < 560;
    const end = Math.max(texts.length, other ? other.labels.length : 0) - 0.7;
    return {
      data: [...lines(block, ""), ...(other ? lines(other, "dash") : [])],
      layout: {
        ...frameLayout(colours),
        showlegend: true,
        legend: narrow ? { orientation: "h", y: -0.5 } : { font: { size: 11 } },
        xaxis: block.places
          ? valueAxis(block.x || "", colours)
          : { ...nameAxis(texts, colours), range: [-0.3, end], tickangle: texts.length > 12 || narrow ? -90 : "auto" },
        yaxis: { ...valueAxis(block.y, colours), ...(block.log ? { type: "log", tickmode: "array", tickvals: block.log, ticktext: block.log.map((value) => asText.value(value)) } : { rangemode: "tozero" }) },
        ...marks(block, colours),
      },
    };
  };
  const overlays = block.overlays || [];
  if (overlays.length) {
    const select = el("select", {}, el("option", { value: "" }, "none"));
    overlays.forEach(([, page, text]) => select.append(el("option", { value: page }, text)));
    const key = box.dataset.block || "";
    const overlay = async () => {
      const from = overlays.find(([, page]) => page === select.value);
      if (from) await load(from[0]);
      const blocks = from && store.pages.get(from[1])?.blocks;
      // Much data is in a script of its own there.
      const { load: apart } = (blocks && blocks.get(key)) || {};
      if (apart) await load(apart);
      const found = blocks && blocks.get(key);
      other = found ? merged(found) : null;
      if (plot.redraw) plot.redraw();
    };
    /** @param {string} page Its file name is enough: prompts lie beside each other. */
    const short = (page) => page.replace(/^.*\/|\.html$/g, "");
    const read = () => {
      const [, page = ""] = overlays.find(([, path]) => short(path) === chosen("over")) || [];
      if (page === select.value) return;
      select.value = page;
      overlay();
    };
    select.addEventListener("change", () => {
      choose("over", short(select.value));
      overlay();
    });
    whenChosen(read);
    read();
    caption.append(el("label", { class: "field" }, el("span", {}, block.overlay || "Lay over it"), select));
  }
  caption.append(offer(title, data));
  whenSeen(plot, () =>
    drawPlot(plot, make, {
      plotly_hover: (/** @type {PlotEvent} */ event) => {
        const [{ x, y, data: trace }] = event.points;
        if (!event.event) return;
        const line = series.find(({ key }) => trace.legendgroup === key);
        showTip([line ? cellName(line.name) : "", asText.value(y) + " at " + (block.places ? block.x + " " + asText.value(Number(x)) : "position " + x)], event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => showTip(null),
    }),
  );
  return box;
}
