// Heatmaps about zero: one drawing for all, and the block of those that have every cell.
import { all, el } from "../core/dom.js";
import { asText } from "../core/format.js";
import { largestOf, shareOf } from "../core/scale.js";
import { whenSeen } from "../core/seen.js";
import { showTip } from "../core/tip.js";
import { proseText } from "../core/tokens.js";
import { offer } from "../shell/downloads.js";
import { frameLayout, frameOf, nameAxis, shorten } from "./axes.js";
import { diverging, divergingLegend, drawPlot, filled, gridTable, segments, unfolding } from "./figures.js";
import { keyList } from "./keys.js";
import { sparseHeatmap } from "./sparse.js";

/** @import { Colours, DenseHeatmap, HeatKey, HeatView, HeatmapBlock, PlotEvent } from "../types" */

const MOST_ROWS = 200;
// Characters of the names of columns up to which a heatmap is shown as a whole table.
const NARROW = 200;
const SHORT_LABELS = 40;

/**
 * What the library draws: cells by row and column with the same scale to both sides.
 * @param {{ z: (number | null)[][], most: number, rows: string[], columns: string[], x?: string, places?: number[][] }} cells
 * @param {{ x: number, y: number, colour: string, width: number }[]} boxes
 * @param {Colours} colours
 */
export function heatDrawing({ z, most, rows, columns, x, places }, boxes, colours) {
  const trace = {
    type: "heatmap",
    z,
    customdata: places,
    zmin: -(most || 1),
    zmax: most || 1,
    colorscale: diverging(colours),
    showscale: false,
    hoverinfo: "none",
    hoverongaps: false,
    xgap: 1,
    ygap: 1,
  };
  const layout = {
    ...frameLayout(colours),
    // A cell without a value is not one of the value zero, which has the colour of the panel.
    plot_bgcolor: colours.line,
    xaxis: { ...nameAxis(columns, colours), ...(x ? { title: { text: x } } : { tickangle: -90 }) },
    yaxis: { ...nameAxis(rows, colours), range: [rows.length - 0.5, -0.5] },
    shapes: boxes.map((box) => ({
      type: "rect",
      x0: box.x - 0.5,
      x1: box.x + 0.5,
      y0: box.y - 0.5,
      y1: box.y + 0.5,
      line: { color: box.colour, width: box.width },
    })),
  };
  return { data: [trace], layout };
}

/**
 * The numbers of a view, row by row: what is stored are multiples of its unit.
 * @param {HeatView} view
 */
const numbersOf = (view) => view.z.map((row) => row.map((n) => (n === null ? null : n * (view.unit || 1))));

/** @param {HeatView} view */
const largest = (view) => largestOf(numbersOf(view).flat().map((n) => n || 0));

/**
 * The cells that have a value, the largest first.
 * @param {HeatView} view
 */
function cellsOf(view) {
  const cells = numbersOf(view).flatMap((row, y) => row.map((value, x) => ({ row: view.rows[y], column: view.columns[x], value: value || 0 })));
  return cells.filter((cell) => cell.value).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

/**
 * The key to a heatmap, below it.
 * @param {HeatKey} block
 * @param {boolean} missing Whether any cell has no value.
 * @param {boolean} outlined
 */
export function heatKey(block, missing, outlined) {
  /** @type {[string, string][]} */
  const items = [];
  if (missing) items.push(["zero", "zero"], ["missing", block.missing || "not stored"]);
  if (outlined) items.push(["outlined", block.outline || "outlined"]);
  return keyList(items);
}

/**
 * A view as a table: all of it where its columns have short names, else its largest cells.
 * @param {HeatView} view
 * @param {(value: number) => string | number} show
 */
function tableOf(view, show) {
  if (isNarrow(view)) {
    const rows = numbersOf(view).map((row, y) => [view.rows[y], ...row.map((n) => (n === null ? "" : show(n)))]);
    return { columns: ["row", ...view.columns], rows };
  }
  return { columns: ["row", "column", "value"], rows: cellsOf(view).map(({ row, column, value }) => [row, column, show(value)]) };
}
/** @param {HeatView} view */
const isNarrow = (view) => view.columns.join("").length <= NARROW;

/** @param {HeatView} view */
function finding(view) {
  const [best] = cellsOf(view);
  return best ? " Largest: " + asText.value(best.value) + ", " + best.row + " by " + best.column + "." : "";
}

/**
 * A value for each word, as colour behind it.
 * @param {string[]} words
 * @param {number[]} values
 */
function strip(words, values) {
  const most = largestOf(values);
  return values.map((value, i) => {
    const share = Math.round(50 * shareOf(value, most));
    const token = el("span", { title: asText.value(value) }, proseText(words[i]));
    const colour = "color-mix(in srgb, var(--" + (value < 0 ? "down" : "up") + ") " + share + "%, transparent)";
    token.style.setProperty("background", colour);
    return token;
  });
}

/**
 * What one chooses between the views by: buttons where their labels are short.
 * @param {HeatView[]} views
 * @param {(place: number) => void} pick
 * @param {string} name
 */
function chooser(views, pick, name) {
  const labels = views.map((view) => view.label);
  if (labels.join("").length <= SHORT_LABELS) return segments(labels, 0, pick, name);
  const select = el("select", { "aria-label": name });
  labels.forEach((label, i) => select.append(el("option", { value: i }, label)));
  select.addEventListener("change", () => pick(Number(select.value)));
  return select;
}

/**
 * @param {DenseHeatmap} block
 * @param {HTMLElement | null} given
 */
function denseHeatmap(block, given) {
  const { views } = block;
  const { box, caption, plot, summary, name } = frameOf(block, given);
  // What the page says without scripts: the same is here for the view that is chosen.
  for (const details of all(box, "details")) details.remove();
  let current = 0;
  const make = (/** @type {Colours} */ colours) => {
    const view = views[current];
    const cut = plot.clientWidth < 560 ? 14 : 44;
    plot.style.setProperty("height", Math.min(760, 150 + 15 * view.rows.length) + "px");
    const boxes = (view.outlined || []).map(([x, y]) => ({ x, y, colour: colours.act, width: 1.5 }));
    const [rows, columns] = [view.rows, view.columns].map((texts) => texts.map((text) => shorten(text, cut)));
    return heatDrawing({ z: numbersOf(view), most: largest(view), rows, columns, x: view.x }, boxes, colours);
  };
  const note = el("p", { class: "view-note" });
  const words = el("p", { class: "strip", dir: "auto" });
  const legend = el("span", {});
  const cells = unfolding(isNarrow(views[0]) ? "Table" : "Largest cells", () => {
    const { columns, rows } = tableOf(views[current], asText.value);
    return gridTable({ columns, rows: rows.slice(0, MOST_ROWS) });
  });
  /** @param {number} i */
  const pick = (i) => {
    current = i;
    const view = views[i];
    note.textContent = filled(view.note, view.v);
    if (view.strip) words.replaceChildren(...strip(block.words || [], view.strip));
    legend.replaceChildren(divergingLegend(largest(view)));
    plot.setAttribute("aria-label", summary + finding(view));
    if (plot.redraw) plot.redraw();
    cells.open = false;
  };
  const missing = views.some((view) => view.z.some((row) => row.includes(null)));
  const key = heatKey(block, missing, views.some((view) => view.outlined && view.outlined.length));
  if (views.some((view) => view.note)) plot.after(note);
  if (views.some((view) => view.strip)) plot.after(words);
  if (key) plot.after(key);
  box.append(cells);
  if (views.length > 1) caption.append(chooser(views, pick, block.choice || "what to show"));
  const data = () => tableOf(views[current], (value) => value);
  caption.append(legend, offer(name, data));
  pick(0);
  whenSeen(plot, () =>
    drawPlot(plot, make, {
      plotly_hover: (/** @type {PlotEvent} */ event) => {
        const [{ x, y, z }] = event.points;
        if (!event.event || z === null || z === undefined) return;
        const view = views[current];
        showTip([asText.value(z), view.rows[y], view.columns[x]], event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => showTip(null),
    }),
  );
  return box;
}

/**
 * A heatmap as an element; `given` is the figure that is in the page already.
 * @param {HeatmapBlock} block
 * @param {HTMLElement | null} [given]
 */
export function heatmapBlock(block, given) {
  return "views" in block ? denseHeatmap(block, given || null) : sparseHeatmap(block, given || null, { heatDrawing, heatKey });
}
