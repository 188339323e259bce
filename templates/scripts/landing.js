// The landing page: theme, help, and the table of SAEs, filtered and sorted, remembered in the address.
import { fragmentNow, setFragment } from "./core/address.js";
import { all, around, byId, el, focused } from "./core/dom.js";
import { startHelp, startTheme } from "./shell/theme.js";


const nextTheme = startTheme(() => {});
const { keys, toggle: help } = startHelp();

// Going to a part by its address would take the place of the filters there.
for (const link of all(document, ".skip, .nav a[href^='#']")) {
  if (!(link instanceof HTMLAnchorElement)) continue;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const part = byId(link.hash.slice(1), HTMLElement);
    part.tabIndex = -1;
    part.focus({ preventScroll: true });
    part.scrollIntoView();
  });
}

const body = byId("rows", HTMLTableSectionElement);
const filter = byId("filter", HTMLInputElement);
const sort = byId("sort", HTMLSelectElement);
const heads = all(document, "th[data-sort]");
const selects = all(document, "select[data-filter]").flatMap((node) =>
  node instanceof HTMLSelectElement ? [{ name: node.dataset.filter || "", node }] : [],
);
const columns = heads.map((head) => head.dataset.sort || "");
/** @typedef {{ node: HTMLTableRowElement, place: number, value: Record<string, string | number | null>, chosen: Record<string, string>, words: string }} Line */

/** @type {Line[]} */
const rows = Array.from(body.rows, (node, place) => {
  const cells = Array.from(node.cells, (cell) => cell.textContent);
  const { layer = "" } = node.dataset;
  /** @type {Record<string, string | number | null>} */
  const value = { layer };
  columns.forEach((name, i) => {
    const order = node.cells[i].dataset.order;
    value[name] = order === undefined ? cells[i].toLowerCase() : order === "" ? null : Number(order);
  });
  const chosen = { model: cells[columns.indexOf("model")], layer, architecture: cells[columns.indexOf("architecture")] };
  return { node, place, value, chosen, words: cells.join(" ").toLowerCase() };
});
/** @type {{ sort: string, down: boolean, q: string, chosen: Record<string, string> }} */
const state = { sort: "", down: false, q: "", chosen: {} };

/**
 * @param {Line} a
 * @param {Line} b
 */
function compare(a, b) {
  const [x, y] = [a.value[state.sort], b.value[state.sort]];
  // What was not measured is last in either order.
  if (x === null || y === null) return Number(x === null) - Number(y === null);
  const sign = state.down ? -1 : 1;
  return sign * (x < y ? -1 : x > y ? 1 : 0);
}

function apply() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const fits = selects.every(({ name }) => !state.chosen[name] || row.chosen[name] === state.chosen[name]);
    row.node.hidden = !fits || !words.every((word) => row.words.includes(word));
    if (!row.node.hidden) shown += 1;
  }
  const ordered = rows.slice().sort((a, b) => (state.sort && compare(a, b)) || a.place - b.place);
  body.append(...ordered.map((row) => row.node));
  for (const head of heads) {
    if (head.dataset.sort === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  sort.value = (state.down ? "-" : "") + state.sort;
  byId("nothing", HTMLElement).hidden = shown > 0;
  const all = rows.length === 1 ? "1 SAE" : rows.length.toLocaleString("en") + " SAEs";
  byId("found", HTMLElement).textContent = shown === rows.length ? all : shown.toLocaleString("en") + " of " + all;
}

function write() {
  const parts = new URLSearchParams();
  if (state.q) parts.set("q", state.q);
  for (const { name } of selects) if (state.chosen[name]) parts.set(name, state.chosen[name]);
  if (state.sort) parts.set("sort", (state.down ? "-" : "") + state.sort);
  setFragment(parts.toString());
}

/** @param {string} order */
function take(order) {
  const name = order.replace(/^-/, "");
  state.sort = columns.includes(name) ? name : "";
  state.down = state.sort !== "" && order.startsWith("-");
}

function read() {
  const parts = new URLSearchParams(fragmentNow());
  state.q = parts.get("q") || "";
  filter.value = state.q;
  for (const { name, node } of selects) {
    const wanted = parts.get(name) || "";
    const known = Array.from(node.options).some((option) => option.value === wanted);
    node.value = known ? wanted : "";
    state.chosen[name] = node.value;
  }
  take(parts.get("sort") || "");
  apply();
}

function changed() {
  apply();
  write();
}

sort.append(el("option", { value: "" }, "order of the reports"));
for (const head of heads) {
  const { sort: name = "" } = head.dataset;
  const title = head.textContent;
  const button = el("button", { type: "button" }, title);
  button.addEventListener("click", () => {
    if (state.sort === name) state.down = !state.down;
    else [state.sort, state.down] = [name, head.classList.contains("num")];
    changed();
  });
  head.replaceChildren(button);
  sort.append(el("option", { value: name }, title + ", rising"), el("option", { value: "-" + name }, title + ", falling"));
}
sort.addEventListener("change", () => {
  take(sort.value);
  changed();
});
let timer = 0;
filter.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    state.q = filter.value.trim();
    changed();
  }, 90);
});
for (const { name, node } of selects) {
  node.addEventListener("change", () => {
    state.chosen[name] = node.value;
    changed();
  });
}
self.addEventListener("hashchange", () => {
  // An address of a part of the page, from elsewhere, has no filters.
  if (fragmentNow().includes("=") || !fragmentNow()) read();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (around(event, "input, select")) {
    if (event.key === "Escape") focused()?.blur();
    return;
  }
  /** @type {Record<string, () => void>} */
  const actions = { "?": help, t: nextTheme, "/": () => filter.focus() };
  if (!Object.hasOwn(actions, event.key) || (keys.open && event.key !== "?")) return;
  event.preventDefault();
  actions[event.key]();
});
read();
