// The table of latents: drawn only where it is seen, so that 25,000 rows are light.
import { fragmentNow, setFragment } from "../core/address.js";
import { aligned, cellClass } from "../core/align.js";
import { all, byId, el, focused, maybe, svg, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { densityText, latentHref } from "../core/latents.js";
import { listeners, session } from "../core/state.js";
import { tokenText, unpack } from "../core/tokens.js";
import { blindMark } from "../reader/blind.js";
import { markButtons } from "../reader/marks.js";
import { noteBook } from "../reader/notebook.js";
import { offer } from "../shell/downloads.js";
import { columnNames, countFilters, noFilters, numberFrom, readFilters, rowFinder, rowsAsData, TEXTS, writeFilters } from "./filters.js";

/** @import { End, SortName, Table, TableView } from "../types" */
/** @import { LatentRow } from "../records" */

const MARGIN = 12;
const PRINTED = 2000;
const LOWEST = -7;
// Without a column of explanations the last is not there: a cell over it would take its room.
const COLUMNS = { labelled: 8, unlabelled: 7 };
const FIRST_DOWN = new Set(["density", "max", "score", "shape", "marked"]);
/** @type {Record<SortName, string>} */
const WORDS = { latent: "latent", marked: "marked", density: "density", max: "max", score: "output score", shape: "activations", tokens: "active on", raises: "raises", label: "explanation" };
/** @param {LatentRow} row */
const maxText = (row) => (row.max > 0 ? asText.value(row.max) : "–");
/** @param {LatentRow} row */
const scoreText = (row) => (typeof row.score === "number" ? asText.value(row.score) : "–");
/** @param {string} id */
const field = (id) => byId(id, HTMLInputElement);

/** @param {string} text */
function sparkPath(text) {
  const width = 92 / text.length;
  let path = "";
  for (let i = 0; i < text.length; i += 1) {
    const height = text.charCodeAt(i) - 65;
    if (height > 0) path += "M" + (i * width).toFixed(1) + " 20v-" + height + "h" + (width - 0.8).toFixed(1) + "v" + height + "z";
  }
  return path;
}

/** @param {number[]} ids */
function codes(ids) {
  /** @type {(Node | string)[]} */
  const nodes = [];
  ids.forEach((id, i) => {
    if (i) nodes.push(" ");
    nodes.push(el("code", {}, tokenText(id)));
  });
  return nodes;
}

/**
 * Returns what sets the range of densities from elsewhere, and tells of its changes and of the rows that fit.
 * @param {Table} table
 * @returns {TableView}
 */
export function latentTable(table) {
  const { rows, sae } = table;
  const scroller = byId("scroller", HTMLElement);
  const body = byId("rows", HTMLElement);
  const grid = within(scroller, "table");
  const unlabelled = grid.classList.contains("unlabelled");
  const heads = all(scroller, "th[data-sort]").flatMap((node) => {
    const name = columnNames.find((one) => one === node.dataset.sort);
    return name ? [{ name, node }] : [];
  });
  const from = field("from");
  const to = field("to");
  const logs = rows.filter((row) => row.density > 0).map((row) => Math.log10(row.density));
  const lowest = logs.length ? Math.floor(10 * logs.reduce((a, b) => Math.min(a, b), 0)) / 10 : LOWEST;
  const find = rowFinder(table);
  const texts = { q: field("filter"), tokens: field("by-tokens"), raises: field("by-raises"), label: field("by-label") };
  const scored = grid.classList.contains("scored");
  const ranges = /** @type {("latent" | "max" | "score")[]} */ (scored ? ["latent", "max", "score"] : ["latent", "max"]);
  const numbers = ranges.flatMap((name) => [
    { name, end: 0, input: field(name + "-from") },
    { name, end: 1, input: field(name + "-to") },
  ]);
  const only = all(document, "#filters input[name='only']").filter((node) => node instanceof HTMLInputElement);
  const then = byId("then", HTMLSelectElement);
  const reset = byId("reset", HTMLButtonElement);
  /** @type {(id: string, text: string) => void} */
  const said = (id, text) => (byId(id, HTMLElement).textContent = text);
  /** @type {((range: [End, End]) => void)[]} */
  const watchers = [];
  /** @type {((rows: LatentRow[]) => void)[]} */
  const readers = [];
  let state = noFilters();
  let shown = rows;
  let drawn = "";

  // ---- rows
  /** @param {(row: LatentRow) => string} text */
  const inLines = (text) => new Map((aligned(rows.map(text)) || []).map((parts, i) => [rows[i], parts]));
  const lines = { density: inLines(densityText), max: inLines(maxText), score: inLines(scoreText) };
  /** @param {LatentRow} row */
  function line(row) {
    const link = el("a", { href: latentHref(sae, row.latent) }, String(row.latent));
    const meter = el("i", {});
    const share = row.density > 0 ? (Math.log10(row.density) - lowest) / -Math.min(lowest, -1e-6) : 0;
    meter.style.setProperty("width", 100 * Math.max(0, share) + "%");
    const spark = el("td", { class: "c-spark" });
    if (row.spark) spark.append(svg(sparkPath(row.spark), 92, 20));
    const own = noteBook.label(sae, row);
    const label = el("td", { class: "c-label", title: own || row.label });
    if (own) label.append(el("bdi", { class: "own" }, own), row.label ? " · " : "");
    label.append(row.label);
    const node = el(
      "tr",
      {},
      el("th", { scope: "row" }, link),
      el("td", { class: "c-marks" }, markButtons(sae, row.latent)),
      el("td", { class: cellClass("c-density", lines.density.get(row)) }, densityText(row), el("span", { class: "meter", "aria-hidden": "true" }, meter)),
      el("td", { class: cellClass("c-max", lines.max.get(row)) }, maxText(row)),
      ...(scored ? [el("td", { class: cellClass("c-score", lines.score.get(row)) }, scoreText(row))] : []),
      spark,
      el("td", { class: "c-tokens" }, ...(row.blind ? [blindMark()] : codes(unpack(row.tokens)))),
      el("td", { class: "c-logits" }, ...codes(unpack(row.raises))),
      label,
    );
    node.dataset.latent = String(row.latent);
    return node;
  }

  const columns = () => COLUMNS[grid.classList.contains("unlabelled") ? "unlabelled" : "labelled"] + Number(scored);
  /** @param {number} height */
  function gap(height) {
    const cell = el("td", { colspan: columns() });
    cell.style.setProperty("height", height + "px");
    return el("tr", { class: "gap", "aria-hidden": "true" }, cell);
  }

  /** @param {Element} row */
  const targets = (row) => all(row, "a, button");
  // Where the focus is: the latent, and the how-manieth thing in its row.
  function focus() {
    const now = focused();
    const row = now && body.contains(now) && now.closest("tr");
    return row ? { latent: row.dataset.latent, place: targets(row).indexOf(now) } : null;
  }

  function draw() {
    // A row's height is in rem: it follows the reader's text size.
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
    const height = rem * (parseFloat(getComputedStyle(scroller).getPropertyValue("--row")) || 2.1875);
    const first = session.paper ? 0 : Math.max(0, Math.floor(scroller.scrollTop / height) - MARGIN);
    const last = session.paper ? Math.min(shown.length, PRINTED) : Math.min(shown.length, first + Math.ceil(self.innerHeight / height) + 2 * MARGIN);
    const key = first + "-" + last;
    if (key === drawn) return;
    drawn = key;
    if (!shown.length) {
      const cell = el("td", { colspan: columns() }, rows.length ? "No latent fits the filters." : "The report shows no latent of this SAE.");
      body.replaceChildren(el("tr", { class: "empty" }, cell));
      return;
    }
    const had = focus();
    const rest = "The first " + asText.count(last) + " of " + asText.count(shown.length) + " latents; the downloaded table has all.";
    body.replaceChildren(
      gap(first * height),
      ...shown.slice(first, last).map(line),
      session.paper && last < shown.length ? el("tr", { class: "empty" }, el("td", { colspan: columns() }, rest)) : gap((shown.length - last) * height),
    );
    if (!had) return;
    const again = maybe(body, "tr[data-latent='" + had.latent + "']");
    (again ? targets(again)[had.place] : scroller).focus({ preventScroll: true });
  }

  // ---- the state and its controls
  function apply() {
    shown = find(state);
    heads.forEach(({ name, node }) => {
      const rank = state.sort.findIndex((key) => key.name === name);
      const key = state.sort[rank];
      node.removeAttribute("aria-sort");
      delete node.dataset.rank;
      if (rank === 0) node.setAttribute("aria-sort", key.down ? "descending" : "ascending");
      else if (rank > 0) node.dataset.rank = rank + 1 + (key.down ? "▼" : "▲");
    });
    const whole = asText.count(rows.length) + " latents";
    said("found", shown.length === rows.length ? whole : asText.count(shown.length) + " of " + whole);
    const [low, high] = state.density;
    said("from-out", low === null ? "any" : asText.percent(low));
    said("to-out", asText.percent(high === null ? 1 : Math.min(1, high)));
    const n = countFilters(state);
    said("filters-count", n ? "(" + n + ")" : "");
    reset.disabled = writeFilters(state) === "";
    const labelled = rows.some((row) => noteBook.label(sae, row));
    grid.classList.toggle("unlabelled", unlabelled && !labelled);
    for (const watch of watchers) watch(state.density);
    for (const watch of readers) watch(shown);
    drawn = "";
    draw();
  }

  function fill() {
    for (const name of TEXTS) texts[name].value = state[name];
    for (const { name, end, input } of numbers) input.value = state[name][end] === null ? "" : String(state[name][end]);
    for (const box of only) box.checked = state.only.has(box.value);
    /**
     * @param {End} value
     * @param {number} other
     */
    const place = (value, other) => (value === null ? other : Math.max(lowest, Math.min(0, Math.log10(value || 1e-30))));
    const [low, high] = state.density;
    for (const { input, value } of [{ input: from, value: place(low, lowest) }, { input: to, value: place(high, 0) }]) {
      input.min = String(lowest);
      input.max = "0";
      input.value = String(value);
      input.setAttribute("aria-valuetext", asText.percent(10 ** value));
    }
    const second = state.sort[1];
    then.value = second ? (second.down ? "-" : "") + second.name : "";
  }

  const write = () => setFragment(writeFilters(state));
  function changed() {
    scroller.scrollTop = 0;
    apply();
    write();
  }
  function read() {
    state = readFilters(fragmentNow());
    if (countFilters(state)) byId("filters", HTMLDetailsElement).open = true;
    fill();
    apply();
  }

  // What was typed waits a moment; whatever fills the fields again takes it in first.
  let timer = 0;
  function flush() {
    if (timer) typed();
    clearTimeout(timer);
    timer = 0;
  }

  /**
   * @param {SortName} name
   * @param {boolean} more
   */
  function sortBy(name, more) {
    flush();
    const old = state.sort.find((key) => key.name === name);
    const key = { name, down: old ? !old.down : FIRST_DOWN.has(name) };
    if (!more) state.sort = [{ name, down: old === state.sort[0] ? key.down : FIRST_DOWN.has(name) }];
    else if (old) state.sort = state.sort.map((other) => (other === old ? key : other));
    else state.sort = [...state.sort.slice(0, 2), key];
    fill();
    changed();
  }

  heads.forEach(({ name, node }) => {
    const button = el("button", { type: "button", title: "Sort; with Shift, sort further" }, ...node.childNodes);
    button.addEventListener("click", (event) => sortBy(name, event.shiftKey));
    node.replaceChildren(button);
  });
  then.append(el("option", { value: "" }, "latent"));
  for (const name of columnNames.slice(1).filter((one) => one !== "score" || scored)) {
    then.append(el("option", { value: name }, WORDS[name] + " ▲"), el("option", { value: "-" + name }, WORDS[name] + " ▼"));
  }
  then.addEventListener("change", () => {
    flush();
    const name = columnNames.find((one) => one === then.value.replace(/^-/, ""));
    const [first] = state.sort;
    state.sort = name && name !== first.name ? [first, { name, down: then.value.startsWith("-") }] : [first];
    fill();
    changed();
  });

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      flush();
      changed();
    }, 90);
  };
  const typed = () => {
    for (const name of TEXTS) state[name] = texts[name].value.slice(0, 200);
    for (const { name, end, input } of numbers) {
      state[name][end] = numberFrom(input.value);
      input.setAttribute("aria-invalid", String(input.value.trim() !== "" && state[name][end] === null));
    }
  };
  for (const input of [...Object.values(texts), ...numbers.map(({ input }) => input)]) input.addEventListener("input", soon);
  for (const box of only) {
    box.addEventListener("change", () => {
      state.only[box.checked ? "add" : "delete"](box.value);
      changed();
    });
  }

  /**
   * @param {End} low
   * @param {End} high
   */
  function density(low, high) {
    flush();
    /** @param {End} value */
    const rounded = (value) => (value === null ? null : Number(value.toPrecision(4)));
    state.density = [rounded(low), rounded(high)];
    fill();
    changed();
  }
  [from, to].forEach((input, moved) => {
    input.addEventListener("input", () => {
      const ends = [Number(from.value), Number(to.value)];
      if (ends[0] > ends[1]) ends[1 - moved] = ends[moved];
      density(ends[0] <= lowest ? null : 10 ** ends[0], ends[1] >= 0 ? null : 10 ** ends[1]);
    });
  });
  reset.addEventListener("click", () => {
    flush();
    state = noFilters();
    fill();
    changed();
    texts.q.focus();
  });
  reset.after(offer("latents", () => rowsAsData(shown, sae)));

  // ---- what else changes the table
  let frame = 0;
  scroller.addEventListener("scroll", () => {
    if (!frame)
      frame = requestAnimationFrame(() => {
        frame = 0;
        draw();
      });
  }, { passive: true });
  const again = () => {
    drawn = "";
    draw();
  };
  self.addEventListener("resize", again);
  listeners.paper.push(again);
  noteBook.changed.push(apply);
  listeners.pins.push(apply);
  self.addEventListener("hashchange", () => {
    const fragment = fragmentNow();
    if (scroller.isConnected && !(fragment && document.getElementById(fragment)) && fragment !== writeFilters(state)) read();
  });
  read();
  performance.mark("saereport-table");
  /** @param {(range: [End, End]) => void} watch */
  const onDensity = (watch) => {
    watchers.push(watch);
    watch(state.density);
  };
  /** @param {(rows: LatentRow[]) => void} watch */
  const onShown = (watch) => {
    readers.push(watch);
    watch(shown);
  };
  return { density, onDensity, onShown };
}
