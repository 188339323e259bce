// A prompt's page: its tokens filter the tables; maps and figures are drawn when first seen.
import { diverging, divergingLegend, drawPlot, freshen, gridTable, plotBox, plotText, unfolding } from "../blocks/figures.js";
import { store } from "../core/data.js";
import { all, byId, el, maybe, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { load } from "../core/load.js";
import { whenSeen } from "../core/seen.js";
import { session } from "../core/state.js";
import { showTip } from "../core/tip.js";
import { proseText } from "../core/tokens.js";
import { offer } from "../shell/downloads.js";
import { drawHeatmap, frameLayout, nameAxis, shorten } from "./heatmap.js";

/** @import { Colours, DataTable, Fields, HeatTrace, PlotEvent, PointTrace, Prompt, PromptView, Trace } from "../types" */

const N_LINES = 10;

/** @param {Prompt} prompt */
function tokenFilter(prompt) {
  const note = byId("filter-note", HTMLElement);
  const said = note.textContent;
  const buttons = all(document, "[data-token]");
  const rows = all(document, "tr[data-at]");
  let wanted = "";
  const apply = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.token === wanted));
    for (const row of rows) row.hidden = wanted !== "" && !(row.dataset.at || "").split(" ").includes(wanted);
    note.textContent = wanted === "" ? said : "Only rows about " + prompt.text[Number(wanted)] + " at position " + wanted + ". Choose it again to see all.";
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const { token = "" } = button.dataset;
      wanted = wanted === token ? "" : token;
      apply();
    });
  }
}

/** @param {Prompt} prompt */
function mapFigures(prompt) {
  for (const box of all(document, "[data-map]")) {
    const figure = maybe(box, "figure");
    if (!figure) continue;
    let begun = false;
    const opened = () => box instanceof HTMLDetailsElement && box.open;
    const open = async () => {
      if (!opened() || begun) {
        freshen();
        return;
      }
      begun = true;
      const place = Number(box.dataset.map);
      if (prompt.apart) await load("circuits/" + prompt.slug + "-map" + place + ".js");
      await drawHeatmap(figure, prompt, prompt.maps[place]);
    };
    box.addEventListener("toggle", open);
    if (opened()) open();
  }
}

/** @param {PromptView} view */
const heatOf = (view) => view.data.find((trace) => trace.type === "heatmap");

/**
 * The largest value of a heatmap in absolute value, or hardly more than nothing.
 * @param {HeatTrace} heat
 */
const largest = (heat) => Math.max(...heat.z.flat().map((value) => Math.abs(value || 0)), 1e-12);

/**
 * @param {HeatTrace | PointTrace} trace
 * @param {Colours} colours
 */
function styled(trace, colours) {
  if (trace.type === "heatmap") {
    const most = largest(trace);
    return { ...trace, zmin: -most, zmax: most, colorscale: diverging(colours), showscale: false, hoverongaps: false, xgap: 1, ygap: 1 };
  }
  const colour = colours[trace.meta || "accent"] || colours.accent;
  return { ...trace, line: { color: colour, width: 1, ...trace.line }, marker: { color: colour, size: 7, opacity: 0.8 } };
}

/** @param {string} text */
const plain = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

/**
 * @param {Fields} own
 * @param {Colours} colours
 * @param {number} cut
 */
function axis(own, colours, cut) {
  const base = { gridcolor: colours.line, zerolinecolor: colours["line-2"], automargin: true };
  const texts = own.ticktext && {
    ticktext: own.ticktext.map((/** @type {string} */ text) => plotText(shorten(plain(text), cut))),
    showgrid: false,
    zeroline: false,
  };
  return { ...base, ...own, ...texts };
}

/**
 * What a place on an axis is called.
 * @param {Fields} own
 * @param {number} i
 */
const nameAt = (own, i) => (own.ticktext ? plain(own.ticktext[i]) : asText.value(i));

/**
 * The cells of a heatmap that have a value, the largest first; none of another figure.
 * @param {PromptView} view
 */
function cellsOf(view) {
  const { xaxis, yaxis } = view.layout;
  const rows = heatOf(view)?.z || [];
  const cells = rows.flatMap((row, y) => row.map((value, x) => ({ row: nameAt(yaxis, y), column: nameAt(xaxis, x), value: value || 0 })));
  return cells.filter((cell) => cell.value).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

/**
 * What a figure shows, as a table.
 * @param {PromptView} view
 * @returns {DataTable}
 */
function viewData(view) {
  if (heatOf(view)) return { columns: ["row", "column", "value"], rows: cellsOf(view).map(({ row, column, value }) => [row, column, value]) };
  const points = view.data.flatMap((trace) => (trace.type === "scatter" && trace.mode === "markers" ? [trace] : []));
  return { columns: ["predicted", "measured"], rows: points.flatMap(({ x, y }) => x.map((value, i) => [value, y[i]])) };
}

/**
 * In words what stands out.
 * @param {PromptView} view
 */
function finding(view) {
  const [best] = cellsOf(view);
  return best ? " Largest: " + asText.value(best.value) + ", " + best.row + " by " + best.column + "." : "";
}

/**
 * @param {Prompt} prompt
 * @param {number[]} values
 */
function sources(prompt, values) {
  const strip = within(document, ".c-sources");
  const most = Math.max(...values.map(Math.abs), 1e-12);
  strip.replaceChildren(
    ...values.map((value, i) => {
      const share = Math.round((50 * Math.abs(value)) / most);
      const token = el("span", { title: asText.value(value) }, proseText(prompt.text[i]));
      const colour = "color-mix(in srgb, var(--" + (value < 0 ? "down" : "up") + ") " + share + "%, transparent)";
      token.style.setProperty("background", colour);
      return token;
    }),
  );
}

// The largest cells in words, behind the figure.
const MOST_CELLS = 200;
/** @param {PromptView} view */
function cellTable(view) {
  const rows = cellsOf(view).slice(0, MOST_CELLS).map(({ row, column, value }) => [row, column, asText.value(value)]);
  return gridTable({ columns: ["row", "column", "value"], rows });
}

/**
 * @param {Prompt} prompt
 * @param {HTMLElement} figure
 * @param {string} name
 * @param {PromptView[]} views
 */
function viewsFigure(prompt, figure, name, views) {
  const summary = within(figure, ".summary");
  const tall = name !== "checks";
  const plot = plotBox({ class: "plot c-plot", role: "img", "aria-label": summary.textContent });
  summary.after(plot);
  let current = 0;
  /** @param {Colours} colours */
  const make = (colours) => {
    const { data, layout } = views[current];
    const cut = plot.clientWidth < 560 ? 14 : 44;
    const rows = layout.yaxis.ticktext ? layout.yaxis.ticktext.length : 12;
    plot.style.setProperty("height", (tall ? Math.min(760, 150 + 15 * rows) : 340) + "px");
    return {
      data: data.map((trace) => styled(trace, colours)),
      layout: {
        ...frameLayout(colours),
        xaxis: axis(layout.xaxis, colours, cut),
        yaxis: axis(layout.yaxis, colours, cut),
        shapes: (layout.shapes || []).map((/** @type {Fields} */ shape) => ({ ...shape, line: { color: colours.act, width: 1.5 } })),
      },
    };
  };
  const legend = el("span", {});
  /** @param {number} i */
  const pick = (i) => {
    current = i;
    const { sources: values } = views[i];
    if (values) sources(prompt, values);
    const heat = heatOf(views[i]);
    if (heat) legend.replaceChildren(divergingLegend(largest(heat)));
    plot.setAttribute("aria-label", summary.textContent + finding(views[i]));
    if (plot.redraw) plot.redraw();
    if (cells) cells.open = false;
  };
  const cells = tall ? unfolding("Largest cells", () => cellTable(views[current])) : null;
  if (cells) plot.after(cells);
  if (views.length > 1) {
    const select = el("select", { "aria-label": "What to show" });
    views.forEach((view, i) => select.append(el("option", { value: String(i) }, view.label)));
    select.addEventListener("change", () => pick(Number(select.value)));
    within(figure, "figcaption").append(select);
  }
  within(figure, "figcaption").append(legend, offer(name, () => viewData(views[current])));
  pick(0);
  whenSeen(plot, () =>
    drawPlot(plot, make, {
      /** @param {PlotEvent} event */
      plotly_hover: (event) => {
        const point = event.points[0];
        if (!event.event) return;
        const { layout } = views[current];
        const lines =
          point.z === undefined
            ? ["predicted " + asText.value(point.x), "measured " + asText.value(point.y)]
            : [asText.value(point.z), nameAt(layout.yaxis, point.y), nameAt(layout.xaxis, point.x)];
        showTip(lines, event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => showTip(null),
    }),
  );
}

/** @param {Prompt} prompt */
function activationFigure(prompt) {
  const figure = document.getElementById("activations");
  if (!figure) return;
  const summary = within(figure, ".summary");
  const rows = prompt.activations.slice(0, N_LINES);
  const [first] = rows;
  const most = first ? Math.max(...first.values) : 0;
  const peak = first ? " Strongest: " + first.name + ", " + asText.value(most) + " on " + prompt.text[first.values.indexOf(most)] + "." : "";
  const plot = plotBox({ class: "plot c-lines", role: "img", "aria-label": "Line plot. " + summary.textContent + peak });
  summary.after(plot);
  const data = () => ({
    columns: ["SAE", "latent", ...prompt.text.map((text, i) => i + " " + text)],
    rows: prompt.activations.map(({ sae, latent, values }) => [sae, latent, ...values]),
  });
  within(figure, "figcaption").append(offer("activations", data));
  /** @type {Prompt | null} */
  let other = null;
  /** @param {Colours} colours */
  const palette = (colours) => [colours.accent, colours.act, colours.down, colours["ink-2"], colours.quiet];
  /** @param {Colours} colours */
  const make = (colours) => {
    /**
     * @param {Prompt} from
     * @param {string} dash
     * @returns {Trace[]}
     */
    const lines = (from, dash) =>
      rows.flatMap(({ sae, latent, name }, i) => {
        const row = from.activations.find((item) => item.sae === sae && item.latent === latent);
        if (!row) return [];
        const colour = palette(colours)[i % 5];
        return [{ type: "scatter", mode: "lines+markers", name: plotText(shorten(name, 24)), showlegend: !dash, legendgroup: sae + latent, x: row.values.map((_, x) => x), y: row.values, hoverinfo: "none", line: { color: colour, width: 1.6, dash: dash || (i >= 5 ? "dot" : "solid") }, marker: { color: colour, size: dash ? 3 : 5, symbol: i >= 5 ? "diamond" : "circle" } }];
      });
    const texts = prompt.text.map((text, i) => shorten(text, 14) + " · " + i);
    const narrow = session.paper || plot.clientWidth < 560;
    return {
      data: [...lines(prompt, ""), ...(other ? lines(other, "dash") : [])],
      layout: {
        ...frameLayout(colours),
        showlegend: true,
        legend: narrow ? { orientation: "h", y: -0.5 } : { font: { size: 11 } },
        xaxis: { ...nameAxis(texts, colours), range: [-0.3, Math.max(texts.length, other ? other.text.length : 0) - 0.7], tickangle: texts.length > 12 || narrow ? -90 : "auto" },
        yaxis: { ...axis({}, colours, 40), rangemode: "tozero", title: { text: "activation" } },
      },
    };
  };
  const overlay = document.getElementById("overlay");
  if (overlay instanceof HTMLSelectElement)
    overlay.addEventListener("change", async () => {
      if (overlay.value) await load("circuits/" + overlay.value + ".js");
      other = store.prompts.get(overlay.value) || null;
      if (plot.redraw) plot.redraw();
    });
  whenSeen(plot, () =>
    drawPlot(plot, make, {
      /** @param {PlotEvent} event */
      plotly_hover: (event) => {
        const { x, y, data } = event.points[0];
        if (!event.event) return;
        const row = rows.find(({ sae, latent }) => data.legendgroup === sae + latent);
        showTip([row ? row.name : "", asText.value(y) + " at position " + x], event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => showTip(null),
    }),
  );
}

export function promptPage() {
  const prompt = store.prompts.get(byId("prompt", HTMLElement).dataset.slug || "");
  if (!prompt) return;
  tokenFilter(prompt);
  mapFigures(prompt);
  activationFigure(prompt);
  for (const figure of all(document, "[data-views]")) {
    const { views: name = "" } = figure.dataset;
    const views = prompt.figures.get(name) || [];
    if (views.length) viewsFigure(prompt, figure, name, views);
  }
}
