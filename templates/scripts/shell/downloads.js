// The data behind a figure or a table as a file: CSV or JSON, offered by one small menu beside it.
import { say } from "../core/announce.js";
import { store } from "../core/data.js";
import { all, el, maybe, within } from "../core/dom.js";
import { thisPage } from "../core/page.js";

/** @import { DataTable } from "../types" */

// A spreadsheet would run a cell that begins so; an apostrophe makes it text.
const FORMULA = /^[\s\u200b\ufeff]*[=+\-@＝＋－＠|%]/;
/** @param {string | number | null | undefined} value */
const cell = (value) => {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const text = FORMULA.test(value) || /^[\t\r\n]/.test(value) ? "'" + value : String(value);
  return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
};

/**
 * RFC 4180: fields in quotes where needed, lines end in CR LF, the first one names the columns.
 * @param {DataTable} from
 */
export const csv = ({ columns, rows }) => [columns, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");

/** @param {string} text */
const plain = (text) =>
  text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 48)
    .replace(/-$/, "");

/**
 * Report, SAE, latent or prompt, and what it is.
 * @param {string} what
 * @param {string} ending
 * @param {number | null} latent
 */
export function fileName(what, ending, latent) {
  const { title } = store.report;
  const page = /([^/]+)\.html$/.exec(thisPage.kind === "prompt" || thisPage.kind === "graph" ? decodeURIComponent(pagePath()) : "");
  const parts = [title || "report", thisPage.sae, page ? page[1] : "", latent === null ? "" : "latent-" + latent, what];
  return parts.map((part) => plain(String(part || ""))).filter(Boolean).join("_") + "." + ending;
}
export const pagePath = () => (thisPage.single ? document.documentElement.dataset.path || "" : self.location.pathname);

/**
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function saveFile(name, type, text) {
  const href = URL.createObjectURL(new Blob([text], { type: type + ";charset=utf-8" }));
  const link = el("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  self.setTimeout(() => URL.revokeObjectURL(href), 1000);
  say("Saved " + name);
}

/** @param {Element} node */
const latentAt = (node) => {
  const article = node.closest("article.latent");
  return article ? Number(article.id.slice("latent-".length)) : null;
};

/**
 * The menu: a button that opens into CSV and JSON. `get` gives { columns, rows } when asked.
 * @param {string | (() => string)} what
 * @param {() => DataTable | Promise<DataTable>} get
 */
export function offer(what, get) {
  const title = () => (typeof what === "function" ? what() : what);
  /** @param {"csv" | "json"} ending */
  const save = async (ending) => {
    const table = await get();
    const latent = latentAt(box);
    const name = fileName(title(), ending, latent);
    if (ending === "csv") return saveFile(name, "text/csv", csv(table));
    const about = { report: store.report.title, fingerprint: store.report.fingerprint, sae: thisPage.sae || null, latent, what: title() };
    return saveFile(name, "application/json", JSON.stringify({ ...about, ...table }, null, 1) + "\n");
  };
  /** @param {"csv" | "json"} ending */
  const choice = (ending) => {
    const button = el("button", { type: "button", "aria-label": ending.toUpperCase() + ": data of " + title() }, ending.toUpperCase());
    button.addEventListener("click", () => save(ending));
    return button;
  };
  const inside = el("span", { class: "data-choices", hidden: "" }, choice("csv"), choice("json"));
  const button = el("button", { class: "data-open", type: "button", "aria-expanded": "false", "aria-label": "Data of " + title(), title: "Download the data" }, "⤓");
  const box = el("span", { class: "data" }, inside, button);
  /** @param {boolean} now */
  const open = (now) => {
    inside.hidden = !now;
    button.setAttribute("aria-expanded", String(now));
  };
  button.addEventListener("click", () => {
    open(Boolean(inside.hidden));
    if (!inside.hidden) within(inside, "button").focus();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || inside.hidden) return;
    event.stopPropagation();
    open(false);
    button.focus();
  });
  return box;
}

// A number as the pages write it; anything else stays text.
const DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
/** @param {string} text */
export function read(text) {
  const folded = text.replace(/×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)/, (_, /** @type {string} */ power) => "e" + power.replace("⁻", "-").replace(/[⁰-⁹¹²³]/g, (d) => String(DIGITS.indexOf(d))));
  const number = folded.replace("−", "-").replace(/(\d),(?=\d{3})/g, "$1");
  return /^[+-]?\d+(\.\d+)?(e-?\d+)?$/.test(number) ? Number(number) : text;
}

/**
 * What a table of the page shows, as it is written there.
 * @param {HTMLTableElement} table
 */
export function tableTexts(table) {
  /** @param {HTMLTableRowElement} row */
  const texts = (row) => Array.from(row.cells).map((item) => item.textContent.replace(/\s+/g, " ").trim());
  const rows = Array.from(table.tBodies).flatMap((body) => Array.from(body.rows));
  const head = table.tHead ? texts(table.tHead.rows[0]) : [];
  const width = Math.max(0, ...rows.map((row) => row.cells.length));
  const columns = head.length ? head : Array.from({ length: width }, (_, i) => (i ? "value" : "name"));
  return { columns, rows: rows.map(texts) };
}

/**
 * The same with its numbers as numbers.
 * @param {HTMLTableElement} table
 * @returns {DataTable}
 */
export function tableData(table) {
  const { columns, rows } = tableTexts(table);
  return { columns, rows: rows.map((row) => row.map(read)) };
}

/**
 * What a list of facts of the page shows.
 * @param {HTMLElement} list
 * @returns {DataTable}
 */
function factsData(list) {
  const rows = all(list, ":scope > div").map((fact) => {
    const said = within(fact, "dd");
    const note = (maybe(said, "small")?.textContent || "").trim();
    const value = Array.from(said.childNodes).filter((node) => !(node instanceof HTMLElement && node.matches("small")));
    return [within(fact, "dt").textContent.trim(), read(value.map((node) => node.textContent || "").join("").trim()), note];
  });
  return { columns: ["name", "value", "note"], rows };
}

/** @param {HTMLElement} node */
function titleOf(node) {
  const box = node.closest("details, figure, .block, section");
  const near = box && maybe(box, "h3, h2, summary b");
  const section = node.closest("section");
  const heading = near || (section && maybe(section, "h2, h3"));
  return heading ? heading.textContent.trim() : document.title;
}

// A menu for each table and each list of facts that the server made.
export function offerTables() {
  for (const node of all(document, "main table.grid, main .told dl.kv")) {
    if (node.closest("[data-figure], article.latent")) continue;
    const menu = offer(titleOf(node), () => (node instanceof HTMLTableElement ? tableData(node) : factsData(node)));
    const section = node.closest("section > *") && node.closest("section");
    const how = section && maybe(section, ":scope > header > .how");
    if (how && !node.closest("details") && !how.parentElement?.querySelector(".data")) how.before(menu);
    else (node.closest(".scroll") || node).before(el("div", { class: "data-line" }, menu));
  }
}

/**
 * A figure that is drawn offers all of its data: its table, which tells a part, offers none beside it.
 * @param {HTMLElement} figure
 */
export function offerOnce(figure) {
  if (maybe(figure, ".data:not(.data-line .data)")) for (const line of all(figure, ".data-line")) line.remove();
}
