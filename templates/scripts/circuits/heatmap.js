// Gradient maps: a heatmap of the strongest rows and columns, with controls and a card for a cell.
import { diverging, divergingLegend, drawPlot, plotBox, plotText } from "../blocks/figures.js";
import { addressOf } from "../core/address.js";
import { store } from "../core/data.js";
import { el, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { showTip } from "../core/tip.js";
import { offer } from "../shell/downloads.js";

/** @import { Colours, GradientMap, PlotEvent, Prompt } from "../types" */

/** @typedef {{ name: string, token: string, position: number, label: string, href: string, gloss: string }} Place A row or a column. */
/** @typedef {{ size: number, threshold: number, sort: string, cross: boolean }} Choice What the reader chose. */

const SIZES = [12, 24, 48, 96];
let ids = 0;

/**
 * @param {string[]} texts
 * @param {Colours} colours
 */
export function nameAxis(texts, colours) {
  return {
    type: "linear",
    tickmode: "array",
    tickvals: texts.map((_, i) => i),
    ticktext: texts.map(plotText),
    range: [-0.5, texts.length - 0.5],
    showgrid: false,
    zeroline: false,
    automargin: true,
    ticks: "",
    tickfont: { size: 10, color: colours["ink-2"] },
  };
}

/** @param {Colours} colours */
export const frameLayout = (colours) => ({
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
  margin: { l: 8, r: 8, t: 8, b: 8 },
  showlegend: false,
  hovermode: "closest",
  dragmode: self.matchMedia("(pointer: coarse)").matches ? false : "zoom",
});

/**
 * Long text is cut in its middle: what tells labels apart is often at the end.
 * @param {string} text
 * @param {number} most
 */
export const shorten = (text, most) =>
  text.length > most ? text.slice(0, Math.ceil(most / 2) - 1) + "…" + text.slice(text.length - Math.floor(most / 2)) : text;
/** @param {string} text */
const short = (text) => shorten(text, 14);

/**
 * @param {Prompt} prompt
 * @param {GradientMap} map
 * @param {"early" | "late"} side
 */
function words(prompt, map, side) {
  const slug = side === "early" ? map.from : map.to;
  const sae = store.saes.get(slug);
  return map[side].map(({ latent, position }) => {
    const token = prompt.text[position];
    if (slug) {
      const { href, gloss } = prompt.names.get(slug + "." + latent) || { href: "", gloss: "" };
      const name = (sae ? sae.label : slug) + "." + latent;
      const label = short(name) + " · " + short(token) + " · " + position;
      return { name, token, position, label, href, gloss };
    }
    if (side === "early") return { name: "token", token, position, label: short(token) + " · " + position, href: "", gloss: "" };
    const shown = prompt.logits.get(latent) || "<token " + latent + ">";
    return { name: "logit " + shown, token: shown, position, label: "logit " + short(shown), href: "", gloss: "" };
  });
}

/** @param {Place} end */
function link(end) {
  const outside = end.href.startsWith("https:");
  const name = end.href
    ? el("a", { href: outside ? end.href : addressOf(end.href), rel: outside ? "noreferrer" : null }, end.name)
    : el("span", {}, end.name);
  const parts = [name, " ", el("code", { class: "tok" }, end.token), " ", el("small", {}, String(end.position))];
  if (end.gloss) parts.push(" ", el("small", { class: "gloss" }, end.gloss));
  return el("span", { class: "c-end" }, ...parts);
}

/**
 * The cells to show: those above the threshold, in the strongest rows and columns, sorted.
 * @param {GradientMap} map
 * @param {Choice} state
 */
function view(map, state) {
  const most = Math.max(...map.g.map(Math.abs));
  /** @type {number[]} */
  const cells = [];
  map.g.forEach((gradient, i) => {
    const at = map.late[map.l[i]].position;
    if (Math.abs(gradient) < state.threshold * most) return;
    if (state.cross && map.early[map.e[i]].position === at) return;
    cells.push(i);
  });
  /**
   * @param {number[]} places
   * @param {"early" | "late"} side
   */
  const pick = (places, side) => {
    const strength = new Map();
    for (const i of cells) {
      const place = places[i];
      strength.set(place, Math.max(strength.get(place) || 0, Math.abs(map.g[i])));
    }
    const ranked = [...strength.keys()].sort((a, b) => (strength.get(b) || 0) - (strength.get(a) || 0) || a - b);
    const kept = ranked.slice(0, state.size);
    if (state.sort === "position") kept.sort((a, b) => a - b);
    if (state.sort === "latent")
      kept.sort((a, b) => map[side][a].latent - map[side][b].latent || map[side][a].position - map[side][b].position);
    if (side === "early" && state.sort.startsWith("logit-")) {
      const by = new Map();
      const wanted = Number(state.sort.slice(6));
      map.g.forEach((g, i) => {
        if (map.late[map.l[i]].latent === wanted) by.set(map.e[i], g);
      });
      kept.sort((a, b) => (by.get(b) || 0) - (by.get(a) || 0) || a - b);
    }
    return kept;
  };
  return { most, cells, columns: pick(map.e, "early"), rows: pick(map.l, "late") };
}

/**
 * @param {HTMLElement} figure
 * @param {Prompt} prompt
 * @param {GradientMap} map
 */
export function drawHeatmap(figure, prompt, map) {
  const state = { size: SIZES[1], threshold: 0, sort: "position", cross: false };
  const early = words(prompt, map, "early");
  const late = words(prompt, map, "late");
  const summary = "Heatmap of gradients, " + map.title + ": " + asText.count(map.g.length) + " pairs; later in rows, earlier in columns. The strongest pairs are in the tables below.";
  const best = map.g.reduce((top, value, i) => (Math.abs(value) > Math.abs(map.g[top]) ? i : top), 0);
  const largest = map.g.length ? " The largest gradient is " + asText.value(map.g[best]) + ", from " + early[map.e[best]].label + " to " + late[map.l[best]].label + "." : "";
  const label = summary + largest + " The arrow keys walk from cell to cell.";
  const plot = plotBox({ class: "plot c-heat", role: "application", tabindex: "0", "aria-label": label });
  const hint = "Click a cell, or walk there with the arrow keys, to pin it here.";
  const card = el("div", { class: "c-card", role: "status" }, el("p", { class: "none" }, hint));
  const lists = el("details", {}, el("summary", {}, "Rows and columns shown, as links"));
  const caption = within(figure, "figcaption");
  let shown = view(map, state);
  // The pair in each cell that is drawn, -1 where there is none, and the cell that is pinned.
  /** @type {number[][]} */
  let cells = [];
  let pinned = -1;

  /** @param {number} i */
  const pin = (i) => {
    pinned = i;
    if (plot.redraw) plot.redraw();
    const [before, after] = [early[map.e[i]], late[map.l[i]]];
    const { activation } = map.early[map.e[i]];
    /** @type {[string, number][]} */
    const facts = [
      ["activation", activation],
      ["later activation", map.late[map.l[i]].activation],
      ["gradient", map.g[i]],
      ["activation × gradient", activation * map.g[i]],
    ];
    const check = map.checks.get(i);
    if (check) facts.push(["ablated: predicted", check.predicted], ["ablated: measured", check.measured]);
    const list = el("dl", { class: "kv" });
    for (const [name, value] of facts) list.append(el("div", {}, el("dt", {}, name), el("dd", {}, asText.value(value))));
    card.replaceChildren(el("p", {}, link(before), " → ", link(after)), list);
  };

  /**
   * @param {number} i
   * @returns {[number, number] | null}
   */
  const placeOf = (i) => {
    const y = cells.findIndex((row) => row.includes(i));
    return y < 0 ? null : [cells[y].indexOf(i), y];
  };

  /**
   * The next cell with a pair in a direction; the strongest one where none is pinned.
   * @param {number} dx
   * @param {number} dy
   */
  const walk = (dx, dy) => {
    const from = pinned < 0 ? null : placeOf(pinned);
    if (!from) {
      const drawn = cells.flat().filter((i) => i >= 0);
      if (drawn.length) pin(drawn.reduce((a, b) => (Math.abs(map.g[b]) > Math.abs(map.g[a]) ? b : a)));
      return;
    }
    const best = { distance: Infinity, cell: -1 };
    cells.forEach((row, y) =>
      row.forEach((i, x) => {
        const ahead = (x - from[0]) * dx + (y - from[1]) * dy;
        if (i < 0 || ahead <= 0) return;
        // Straight ahead first: a step aside counts for more than one ahead.
        const aside = Math.abs((x - from[0]) * dy) + Math.abs((y - from[1]) * dx);
        const distance = ahead + 4 * aside;
        if (distance < best.distance) Object.assign(best, { distance, cell: i });
      }),
    );
    if (best.cell >= 0) pin(best.cell);
  };
  /** @type {Record<string, [number, number]>} */
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  plot.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !Object.hasOwn(STEPS, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    walk(...STEPS[event.key]);
  });

  /**
   * @param {number} x
   * @param {number} y
   * @param {string} colour
   * @param {number} width
   */
  const box = (x, y, colour, width) => ({
    type: "rect",
    x0: x - 0.5,
    x1: x + 0.5,
    y0: y - 0.5,
    y1: y + 0.5,
    line: { color: colour, width },
  });
  /** @param {Colours} colours */
  const outlines = (colours) =>
    shown.rows.flatMap((row, y) =>
      shown.columns
        .map((column, x) => ({ x, expected: prompt.expected.get(map.late[row].position) === map.early[column].position }))
        .filter(({ expected }) => map.kind === "latents" && expected)
        .map(({ x }) => box(x, y, colours.act, 1.5)),
    );
  /** @param {Colours} colours */
  const mark = (colours) => {
    const place = pinned < 0 ? null : placeOf(pinned);
    return place ? [box(...place, colours.ink, 2)] : [];
  };

  /** @param {Colours} colours */
  const make = (colours) => {
    const columnOf = new Map(shown.columns.map((place, i) => [place, i]));
    const rowOf = new Map(shown.rows.map((place, i) => [place, i]));
    /** @type {(number | null)[][]} */
    const z = shown.rows.map(() => shown.columns.map(() => null));
    const at = shown.rows.map(() => shown.columns.map(() => -1));
    for (const i of shown.cells) {
      const column = columnOf.get(map.e[i]);
      const row = rowOf.get(map.l[i]);
      if (column === undefined || row === undefined) continue;
      z[row][column] = map.g[i];
      at[row][column] = i;
    }
    cells = at;
    const limit = shown.most || 1;
    const trace = {
      type: "heatmap",
      z,
      customdata: at,
      zmin: -limit,
      zmax: limit,
      colorscale: diverging(colours),
      showscale: false,
      hoverinfo: "none",
      hoverongaps: false,
      xgap: 1,
      ygap: 1,
    };
    const narrow = plot.clientWidth < 560;
    const y = nameAxis(shown.rows.map((row) => shorten(late[row].label, narrow ? 18 : 48)), colours);
    const layout = {
      ...frameLayout(colours),
      xaxis: { ...nameAxis(shown.columns.map((column) => early[column].label), colours), tickangle: -90 },
      yaxis: { ...y, range: [shown.rows.length - 0.5, -0.5] },
      shapes: [...outlines(colours), ...mark(colours)],
    };
    return { data: [trace], layout };
  };

  /**
   * @param {string} title
   * @param {number[]} places
   * @param {Place[]} ends
   */
  const listing = (title, places, ends) =>
    el("div", {}, el("h3", {}, title), el("ol", {}, ...places.map((place) => el("li", {}, link(ends[place])))));
  const update = () => {
    shown = view(map, state);
    plot.style.setProperty("height", Math.min(900, 190 + 15 * Math.max(shown.rows.length, 6)) + "px");
    const grid = el("div", { class: "columns" }, listing("Rows", shown.rows, late), listing("Columns", shown.columns, early));
    lists.replaceChildren(within(lists, "summary"), grid);
    if (plot.redraw) plot.redraw();
  };
  /**
   * @param {string} label
   * @param {[string | number, string][]} options
   * @param {(value: string) => unknown} act
   * @returns {[HTMLLabelElement, HTMLSelectElement]}
   */
  const chosen = (label, options, act) => {
    const id = "c-" + (ids += 1);
    const select = el("select", { id });
    options.forEach(([value, text]) => select.append(el("option", { value: String(value) }, text)));
    select.addEventListener("change", () => {
      act(select.value);
      update();
    });
    return [el("label", { class: "field", for: id }, el("span", {}, label), select), select];
  };
  const [size, sizes] = chosen("Strongest rows, columns", SIZES.map((n) => [n, String(n)]), (value) => (state.size = Number(value)));
  sizes.value = String(state.size);
  /** @type {[string, string][]} */
  const sorts = [["position", "position"], ["strength", "strength"], ["latent", "latent"]];
  if (map.kind === "logits")
    map.late.forEach(({ latent: token }, i) => sorts.push(["logit-" + token, late[i].name]));
  const [sort] = chosen("Sort by", sorts, (value) => (state.sort = value));
  /** @type {[number, string][]} */
  const limits = [0, 0.05, 0.1, 0.25, 0.5].map((t) => [t, t ? "≥ " + asText.percent(t) + " of the largest" : "all"]);
  const [threshold] = chosen("Threshold", limits, (value) => (state.threshold = Number(value)));
  caption.append(size, sort, threshold);
  if (map.kind === "latents") {
    const [cross] = chosen("Pairs", [["", "all"], ["cross", "across tokens"]], (value) => (state.cross = value === "cross"));
    caption.append(cross);
  }
  const data = () => ({
    columns: ["earlier", "earlier token", "earlier position", "later", "later token", "later position", "gradient", "predicted", "measured"],
    rows: map.g.map((gradient, i) => {
      const [from, to] = [early[map.e[i]], late[map.l[i]]];
      const check = map.checks.get(i);
      return [from.name, from.token, from.position, to.name, to.token, to.position, gradient, ...(check ? [check.predicted, check.measured] : [])];
    }),
  });
  caption.append(divergingLegend(shown.most), offer("gradients " + map.title, data));
  figure.append(plot, card, lists);
  update();
  /** @param {PlotEvent} event */
  const cellOf = (event) => event.points[0].customdata;
  return drawPlot(plot, make, {
    /** @param {PlotEvent} event */
    plotly_hover: (event) => {
      const i = cellOf(event);
      if (i < 0 || !event.event) return;
      const lines = ["gradient " + asText.value(map.g[i]), early[map.e[i]].label + " → " + late[map.l[i]].label];
      showTip(lines, event.event.clientX, event.event.clientY);
    },
    plotly_unhover: () => showTip(null),
    /** @param {PlotEvent} event */
    plotly_click: (event) => cellOf(event) >= 0 && pin(cellOf(event)),
  });
}
