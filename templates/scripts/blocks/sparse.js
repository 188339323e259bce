// A heatmap of few cells over many rows and columns: the strongest of them, with controls, a card
// for a cell, and the arrow keys to walk from cell to cell.
import { el } from "../core/dom.js";
import { asText } from "../core/format.js";
import { largestOf } from "../core/scale.js";
import { whenSeen } from "../core/seen.js";
import { showTip } from "../core/tip.js";
import { choose, chosen, whenChosen } from "../core/view.js";
import { offer } from "../shell/downloads.js";
import { frameOf, shorten } from "./axes.js";
import { cellNode } from "./cells.js";
import { divergingLegend, drawPlot } from "./figures.js";

/** @import { Colours, PlotEvent, SparseHeatmap } from "../types" */
/** @import { heatDrawing, heatKey } from "./heatmap.js" */

/**
 * A row or a column.
 * @typedef {object} End
 * @property {string} name
 * @property {string} token
 * @property {number} position
 * @property {string} label
 * @property {string} href
 * @property {string} gloss
 * @property {number} place Of its name among the names.
 * @property {number} value
 */

/** @typedef {{ size: number, threshold: number, sort: string, across: boolean }} Choice */

const SIZES = [12, 24, 48, 96];
const STEPS = new Map([["ArrowLeft", [-1, 0]], ["ArrowRight", [1, 0]], ["ArrowUp", [0, -1]], ["ArrowDown", [0, 1]]]);
let ids = 0;

/**
 * @param {SparseHeatmap} block
 * @param {"rows" | "columns"} side
 * @returns {End[]}
 */
function endsOf(block, side) {
  const { values } = side === "rows" ? block.row_values : block.column_values;
  return block[side].map(([place, position], i) => {
    const { text, href, gloss, token: own } = block.names[side][place];
    const token = own || block.words[position];
    const label = [shorten(text, 14), shorten(token, 14), position].join(" · ");
    return { name: text, token, position, label, href: href || "", gloss: gloss || "", place, value: values[i] };
  });
}

/** @param {End} end */
const link = ({ name, href, token, position, gloss }) => cellNode({ text: name, href, token, position, gloss });

/**
 * The cells to show: those above the threshold, in the strongest rows and columns, sorted.
 * @param {SparseHeatmap} block
 * @param {{ rows: End[], columns: End[] }} ends
 * @param {Choice} state
 */
function chosenCells(block, ends, state) {
  const { x, y, value } = block;
  const most = largestOf(value);
  const cells = Array.from(value.keys()).filter(
    (i) => Math.abs(value[i]) >= state.threshold * most && !(state.across && ends.columns[x[i]].position === ends.rows[y[i]].position),
  );
  /**
   * @param {number[]} places
   * @param {End[]} own
   */
  const strongest = (places, own) => {
    /** @type {Map<number, number>} */
    const strength = new Map();
    for (const i of cells) strength.set(places[i], Math.max(strength.get(places[i]) || 0, Math.abs(value[i])));
    const ranked = [...strength].sort(([a, s], [b, t]) => t - s || a - b).map(([place]) => place);
    const kept = ranked.slice(0, state.size);
    if (state.sort === "position") kept.sort((a, b) => a - b);
    if (state.sort === "latent") kept.sort((a, b) => own[a].place - own[b].place || own[a].position - own[b].position);
    return kept;
  };
  const [columns, rows] = [strongest(x, ends.columns), strongest(y, ends.rows)];
  if (state.sort.startsWith("row-")) {
    const wanted = Number(state.sort.slice(4));
    const by = new Map(Array.from(value.keys()).filter((i) => y[i] === wanted).map((i) => [x[i], value[i]]));
    columns.sort((a, b) => (by.get(b) || 0) - (by.get(a) || 0) || a - b);
  }
  return { most, cells, columns, rows };
}

/**
 * @param {SparseHeatmap} block
 * @param {HTMLElement | null} given
 * @param {{ heatDrawing: typeof heatDrawing, heatKey: typeof heatKey }} drawing How all heatmaps are drawn.
 */
export function sparseHeatmap(block, given, drawing) {
  /** @type {Choice} */
  const state = { size: SIZES[1], threshold: 0, sort: "position", across: false };
  const { x, y, value } = block;
  const ends = { rows: endsOf(block, "rows"), columns: endsOf(block, "columns") };
  const more = new Map(block.more.rows.map(([cell, ...values]) => [cell, values]));
  const expected = new Set(block.outlined.map(([early, late]) => early + " " + late));
  const { box, caption, plot, summary } = frameOf(block, given);
  // The largest comes first.
  const largest = value.length ? " The largest " + block.quantity + " is " + asText.value(value[0]) + ", from " + ends.columns[x[0]].label + " to " + ends.rows[y[0]].label + "." : "";
  plot.className = "plot c-heat";
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-label", summary + largest + " The arrow keys walk from cell to cell.");
  plot.tabIndex = 0;
  const hint = "Click a cell, or walk there with the arrow keys, to pin it here; again, or Escape, unpins it.";
  const card = el("div", { class: "c-card", role: "status" }, el("p", { class: "none" }, hint));
  const lists = el("details", {}, el("summary", {}, "Rows and columns shown, as links"));
  let shown = chosenCells(block, ends, state);
  // The cell at each place that is drawn, -1 where there is none, and the one that is pinned.
  /** @type {number[][]} */
  let cells = [];
  let pinned = -1;

  const key = box.dataset.block || "";
  /**
   * A cell by what it is about, for the address.
   * @param {number} i
   */
  const nameOf = (i) => key + "~" + [ends.columns[x[i]], ends.rows[y[i]]].map(({ name, position }) => name + "@" + position).join("~");

  const unpin = () => {
    pinned = -1;
    if (plot.redraw) plot.redraw();
    card.replaceChildren(el("p", { class: "none" }, hint));
  };
  /** @param {number} i */
  const pin = (i) => {
    pinned = i;
    if (plot.redraw) plot.redraw();
    const [before, after] = [ends.columns[x[i]], ends.rows[y[i]]];
    /** @type {[string, number][]} */
    const facts = [
      [block.column_values.name, before.value],
      [block.row_values.name, after.value],
      [block.quantity, value[i]],
      [block.product, before.value * value[i]],
    ];
    (more.get(i) || []).forEach((number, k) => facts.push([block.more.names[k], number]));
    const list = el("dl", { class: "kv" });
    for (const [name, number] of facts) list.append(el("div", {}, el("dt", {}, name), el("dd", {}, asText.value(number))));
    card.replaceChildren(el("p", {}, link(before), " → ", link(after)), list);
  };
  // The reader's own choice goes into the address; the one that is pinned is let go by another press.
  const press = (/** @type {number} */ i) => {
    if (i === pinned || i < 0) {
      unpin();
      choose("cell", "");
    } else {
      pin(i);
      choose("cell", nameOf(i));
    }
  };

  /**
   * @param {number} i
   * @returns {[number, number] | null}
   */
  const placeOf = (i) => {
    const row = cells.findIndex((line) => line.includes(i));
    return row < 0 ? null : [cells[row].indexOf(i), row];
  };

  /**
   * The next cell in a direction; the strongest one where none is pinned.
   * @param {number} dx
   * @param {number} dy
   */
  const walk = (dx, dy) => {
    const from = pinned < 0 ? null : placeOf(pinned);
    if (!from) {
      const drawn = cells.flat().filter((i) => i >= 0);
      if (drawn.length) press(drawn.reduce((a, b) => (Math.abs(value[b]) > Math.abs(value[a]) ? b : a)));
      return;
    }
    const best = { distance: Infinity, cell: -1 };
    cells.forEach((line, row) =>
      line.forEach((i, column) => {
        const ahead = (column - from[0]) * dx + (row - from[1]) * dy;
        if (i < 0 || ahead <= 0) return;
        // Straight ahead first: a step aside counts for more than one ahead.
        const aside = Math.abs((column - from[0]) * dy) + Math.abs((row - from[1]) * dx);
        const distance = ahead + 4 * aside;
        if (distance < best.distance) Object.assign(best, { distance, cell: i });
      }),
    );
    if (best.cell >= 0) press(best.cell);
  };
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && pinned >= 0) press(-1);
    const step = STEPS.get(event.key);
    if (event.altKey || event.ctrlKey || event.metaKey || !step) return;
    event.preventDefault();
    event.stopPropagation();
    walk(step[0], step[1]);
  });

  const make = (/** @type {Colours} */ colours) => {
    const columnOf = new Map(shown.columns.map((place, i) => [place, i]));
    const rowOf = new Map(shown.rows.map((place, i) => [place, i]));
    /** @type {(number | null)[][]} */
    const z = shown.rows.map(() => shown.columns.map(() => null));
    cells = shown.rows.map(() => shown.columns.map(() => -1));
    for (const i of shown.cells) {
      const [column, row] = [columnOf.get(x[i]), rowOf.get(y[i])];
      if (column === undefined || row === undefined) continue;
      z[row][column] = value[i];
      cells[row][column] = i;
    }
    const boxes = shown.rows.flatMap((later, row) =>
      shown.columns
        .map((sooner, column) => ({ x: column, y: row, colour: colours.act, width: 1.5, pair: ends.columns[sooner].position + " " + ends.rows[later].position }))
        .filter(({ pair }) => expected.has(pair)),
    );
    const place = pinned < 0 ? null : placeOf(pinned);
    const mark = place ? [{ x: place[0], y: place[1], colour: colours.ink, width: 2 }] : [];
    const narrow = plot.clientWidth < 560;
    const rows = shown.rows.map((row) => shorten(ends.rows[row].label, narrow ? 18 : 48));
    const columns = shown.columns.map((column) => ends.columns[column].label);
    return drawing.heatDrawing({ z, most: shown.most, rows, columns, places: cells }, [...boxes, ...mark], colours);
  };

  /**
   * @param {string} title
   * @param {number[]} places
   * @param {End[]} own
   */
  const listing = (title, places, own) =>
    el("div", {}, el("h3", {}, title), el("ol", {}, ...places.map((place) => el("li", {}, link(own[place])))));
  const update = () => {
    shown = chosenCells(block, ends, state);
    plot.style.setProperty("height", Math.min(900, 190 + 15 * Math.max(shown.rows.length, 6)) + "px");
    const grid = el("div", { class: "columns" }, listing("Rows", shown.rows, ends.rows), listing("Columns", shown.columns, ends.columns));
    lists.replaceChildren(el("summary", {}, "Rows and columns shown, as links"), grid);
    if (plot.redraw) plot.redraw();
  };
  /**
   * @param {string} label
   * @param {[string, string][]} options
   * @param {string} current
   * @param {(value: string) => unknown} act
   */
  const choice = (label, options, current, act) => {
    const id = "heatmap-" + (ids += 1);
    const select = el("select", { id });
    options.forEach(([option, text]) => select.append(el("option", { value: option }, text)));
    select.value = current;
    select.addEventListener("change", () => {
      act(select.value);
      update();
    });
    caption.append(el("label", { class: "field", for: id }, el("span", {}, label), select));
    return select;
  };
  const sizes = choice("Strongest rows, columns", SIZES.map((n) => [String(n), String(n)]), String(state.size), (size) => (state.size = Number(size)));
  /** @type {[string, string][]} */
  const sorts = [["position", "position"], ["strength", "strength"], ["latent", "latent"]];
  if (block.one_by_one) ends.rows.forEach((end, i) => sorts.push(["row-" + i, end.name + " " + end.token]));
  choice("Sort by", sorts, state.sort, (sort) => (state.sort = sort));
  /** @type {[string, string][]} */
  const limits = [0, 0.05, 0.1, 0.25, 0.5].map((t) => [String(t), t ? "≥ " + asText.percent(t) + " of the largest" : "all"]);
  choice("Threshold", limits, "0", (limit) => (state.threshold = Number(limit)));
  if (block.across) choice("Pairs", [["", "all"], ["across", "across tokens"]], "", (wanted) => (state.across = wanted === "across"));
  const data = () => ({
    columns: ["earlier", "earlier token", "earlier position", "later", "later token", "later position", block.quantity, ...block.more.names],
    rows: value.map((number, i) => {
      const [from, to] = [ends.columns[x[i]], ends.rows[y[i]]];
      return [from.name, from.token, from.position, to.name, to.token, to.position, number, ...(more.get(i) || [])];
    }),
  });
  caption.append(divergingLegend(shown.most), offer(block.quantity + " " + (block.title || ""), data));
  const legend = drawing.heatKey(block, true, expected.size > 0);
  plot.after(...(legend ? [legend] : []), card, lists);
  update();
  const read = () => {
    const wanted = chosen("cell");
    const found = wanted.startsWith(key + "~") ? Array.from(value.keys()).find((i) => nameOf(i) === wanted) : undefined;
    if (found === undefined || found === pinned) return;
    // As many rows and columns as it takes for the cell to be among them.
    const fits = SIZES.find((size) => {
      const { columns, rows } = chosenCells(block, ends, { ...state, size });
      return size >= state.size && columns.includes(x[found]) && rows.includes(y[found]);
    });
    if (fits && fits !== state.size) {
      state.size = fits;
      sizes.value = String(fits);
      update();
    }
    pin(found);
  };
  whenChosen(read);
  read();
  const cellOf = (/** @type {PlotEvent} */ event) => event.points[0].customdata;
  whenSeen(plot, () =>
    drawPlot(plot, make, {
      plotly_hover: (/** @type {PlotEvent} */ event) => {
        const i = cellOf(event);
        if (i < 0 || !event.event) return;
        const lines = [block.quantity + " " + asText.value(value[i]), ends.columns[x[i]].label + " → " + ends.rows[y[i]].label];
        showTip(lines, event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => showTip(null),
      plotly_click: (/** @type {PlotEvent} */ event) => cellOf(event) >= 0 && press(cellOf(event)),
    }),
  );
  return box;
}
