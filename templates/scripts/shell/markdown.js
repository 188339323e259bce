// A page as Markdown, with nothing in it that Markdown or HTML would act on.
import { all, byId, maybe } from "../core/dom.js";
import { merged } from "../blocks/merge.js";
import { store } from "../core/data.js";
import { asText } from "../core/format.js";
import { thisPage } from "../core/page.js";
import { proseText, running, tokenText, unpack } from "../core/tokens.js";
import { viewAddress } from "../core/address.js";
import { groupsOf } from "../latents/reading.js";
import { read, tableTexts } from "./downloads.js";

/** @import { ExampleRow } from "../records" */

const N_EXAMPLES = 5;
const N_ROWS = 10;

/**
 * Every sign that could mean something is escaped; a name behind @ or a number behind # stays text.
 * @param {string} text
 */
const plain = (text) =>
  text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/[\\`*_{}[\]()#+\-.!|~$:=^'"]/g, (sign) => ("-.:'\"()+=".includes(sign) ? sign : "\\" + sign))
    .replace(/([@#])(?=\w)/g, "$1\u2060")
    .replace(/:(?=\/\/)/g, "\\:")
    .replace(/\bwww\./gi, "www\\.")
    .replace(/^([-+=])/, "\\$1")
    // A number and a dot begin a list where a space follows; before a digit a backslash would be seen.
    .replace(/^(\d+)([.)])(?=\s|$)/, "$1\\$2");

/**
 * Text as code: in a longer fence than any that is in it.
 * @param {string} text
 */
const code = function (text) {
  const longest = Math.max(0, ...Array.from(text.matchAll(/`+/g), (found) => found[0].length));
  const fence = "`".repeat(longest + 1);
  const pad = /^[` ]|[` ]$/.test(text) ? " " : "";
  return fence + pad + text.replace(/\s+/g, " ") + pad + fence;
};

/** @param {Element | null} node */
const text = (node) => (node ? node.textContent : "");
/**
 * The texts in an element, which stand apart on the page by their style.
 * @param {Element | null} node
 */
const apart = (node) => Array.from(node ? node.childNodes : [], (part) => part.textContent).join(" ");
/** @param {HTMLElement | null} node */
const shown = (node) => node && !node.hidden && !node.closest("[hidden]");
/**
 * @param {string} label
 * @param {string} address
 */
const link = (label, address) => "[" + plain(label) + "](<" + address.replace(/[<>\\\s]/g, encodeURIComponent) + ">)";

/**
 * Running text with what is active in bold.
 * @param {ExampleRow} example
 */
function marked(example) {
  const { peak, activation, start, window: packed } = example;
  const active = new Set(example.places);
  /** @type {{ on: boolean, part: string }[]} */
  const runs = [];
  /** @type {(on: boolean, part: string) => void} */
  const add = (on, part) => {
    const last = runs[runs.length - 1];
    if (last && last.on === on) last.part += part;
    else runs.push({ on, part });
  };
  running(unpack(packed)).forEach(({ first, length, text: read }) => {
    const on = Array.from({ length }, (_, i) => start + first + i).some((place) => active.has(place));
    const own = proseText(read);
    if (on && own.startsWith(" ") && own.length > 1) {
      add(false, " ");
      add(true, own.slice(1));
    } else add(on, own);
  });
  const words = runs.map(({ on, part }) => {
    const [, before = "", word = "", after = ""] = /^( *)(.*?)( *)$/s.exec(part) || [];
    return before + (on && word ? "<b>" + plain(word) + "</b>" : plain(word)) + after;
  });
  const at = unpack(packed)[peak - start];
  return asText.value(activation) + " on " + code(tokenText(at)) + ": …" + words.join("") + "…";
}

/** @param {HTMLElement} article */
function latent(article) {
  const name = store.saes.get(thisPage.sae)?.label || thisPage.sae;
  const index = Number(article.id.slice("latent-".length));
  const out = ["## " + link(name + " latent " + index, viewAddress()), ""];
  const label = maybe(article, ".label");
  if (shown(label)) out.push("> " + plain(text(label)), "");
  out.push("*" + plain(store.report.title) + "*", "");
  for (const note of all(article, ".dead, .blind-note")) if (shown(note)) out.push(plain(text(note)), "");
  for (const section of all(article, ".story > section")) {
    const title = text(maybe(section, "h2"));
    /** @type {string[]} */
    const lines = [];
    all(section, "dl > div").forEach((row) => lines.push(plain(text(maybe(row, "dt"))) + ": " + plain(text(maybe(row, "dd")))));
    for (const line of all(section, ".line")) {
      if (!shown(line)) continue;
      const tokens = all(line, "code").map((token) => code(text(token)));
      lines.push(plain(text(maybe(line, "span"))) + ": " + tokens.join(" "));
    }
    all(section, "li").forEach((item) => shown(item) && lines.push(plain(text(item))));
    all(section, ".none").forEach((item) => lines.push(plain(text(item))));
    out.push("**" + plain(title) + "**", "", ...lines.map((line) => "- " + line), "");
  }
  const shard = Array.from(store.shards.values()).find((item) => item.sae === thisPage.sae && item.byLatent.has(index));
  const record = shard && maybe(article, "[data-panel='examples']") && shard.byLatent.get(index);
  const [block] = (record && new Map(record.panels).get("examples")) || [];
  const top = block && groupsOf(merged(block)).find((group) => group.group === "top");
  if (top && top.examples.length) {
    out.push("**Strongest examples**, active tokens in bold", "");
    top.examples.slice(0, N_EXAMPLES).forEach((example, i) => out.push(i + 1 + ". " + marked(example)));
    out.push("");
  }
  return out;
}

/** @param {HTMLTableElement} node */
function table(node) {
  const { columns, rows } = tableTexts(node);
  /** @param {string[]} cells */
  const line = (cells) => "| " + cells.map((cell) => (typeof read(cell) === "number" ? cell : plain(cell))).join(" | ") + " |";
  const out = [line(columns), "|" + " --- |".repeat(columns.length), ...rows.slice(0, N_ROWS).map(line)];
  if (rows.length > N_ROWS) out.push("", "and " + (rows.length - N_ROWS) + " more");
  return [...out, ""];
}

// What is said of a page: its facts, sentences and tables, with what stands above them.
const SAID = ".g-prompt, .c-tokens, .facts > div, .g-said p, .c-note, section > h2, header > h2, .summary, .g-text, table";
// The same of the blocks that the server tells.
const TOLD = ".told .kv > div, .told .counts, .told .unfold > summary, .told .block > h3, .told figcaption > h3";

// Any other page: its title, facts, sentences, and the beginning of its tables.
function page() {
  const main = byId("main", HTMLElement);
  const out = ["## " + link(text(maybe(main, "h1")) || document.title, viewAddress()), "", "*" + plain(store.report.title || document.title) + "*", ""];
  for (const node of all(main, SAID + ", " + TOLD)) {
    if (!shown(node) || node.closest(".data, .contents, .c-card")) continue;
    if (node.matches(".facts > div, .kv > div")) out.push("- " + plain(text(maybe(node, "dt"))) + ": " + plain(apart(maybe(node, "dd"))));
    else if (node.matches(".c-tokens")) out.push(all(node, "code").map((token) => code(text(token))).join(" "), "");
    else if (node.matches("h2")) out.push("", "### " + plain(text(node)), "");
    else if (node.matches("h3, summary")) out.push("", "#### " + plain(text(node)), "");
    else if (node.matches(".counts")) out.push(...Array.from(node.children).map((line) => "- " + plain(text(line))), "");
    else if (node instanceof HTMLTableElement) out.push("", ...table(node));
    else out.push(plain(text(node)), "");
  }
  return out;
}

export function markdownOf() {
  const article = maybe(document, "article.current");
  const lines = article ? latent(article) : page();
  return lines.join("\n").replace(/\n{3,}/g, "\n\n").trim() + "\n";
}
export const markdownParts = { plain, code };
