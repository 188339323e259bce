// Examples: running text with each token's activation as its background.
import { store } from "../core/data.js";
import { around, el, maybe, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { latentHref } from "../core/latents.js";
import { loadLatent, loadSequence, loadTable } from "../core/load.js";
import { remember } from "../core/memory.js";
import { thisPage } from "../core/page.js";
import { showTip } from "../core/tip.js";
import { proseText, running, tokenText, unpack } from "../core/tokens.js";
import { CUTS, changeView, distinct, foldTokens, groupsOf, peakToken, readersOf, reading, sentenceAround } from "../latents/reading.js";
import { offer } from "../shell/downloads.js";
import { segments } from "./figures.js";
import { tokenCode } from "./lists.js";
import { merged } from "./merge.js";

/** @import { BlockNode, Context, ExamplesBlock, Eyes, Folded, Group, LatentKey } from "../types" */
/** @import { ExampleRow } from "../records" */

/** @typedef {{ peak: number, start: number, stop?: number, whole?: boolean }} Own What an example has of its text. */
/** @typedef {{ id: number, position: number, value: number | undefined }} Token A token and the activation on it. */
/** @typedef {{ title: string, group: Group | null, rows: Folded[], limit: number }} Section Examples under one heading. */

const FIRST = { top: 10, other: 4 };
/** @type {WeakMap<Element, { lines?: string[], tokens: Token[], text: string, name?: string }>} */
const info = new WeakMap();
/**
 * What the tooltip says on a token that another panel made.
 * @param {HTMLElement} token
 * @param {string[]} lines
 */
export const describeToken = (token, lines) => info.set(token, { lines, tokens: [], text: "" });

/**
 * @param {number} activation
 * @param {number} max
 */
function level(activation, max) {
  if (!(max > 0) || !(activation > 0)) return 0;
  return Math.min(9, Math.floor((10 * activation) / max));
}
export const levelOf = level;

/** @param {Group} group */
const activations = ({ range }) => (range ? asText.value(range.low) + " – " + asText.value(range.high) : "");

/**
 * What a group is called: by the quantiles between which its activations lie, or by these.
 * @param {Group} group
 * @param {number[]} edges
 * @param {number} n How many groups there are by quantile.
 */
function nameOfGroup(group, edges, n) {
  const [kind, number] = group.group.split(":");
  if (kind === "top") return "Strongest";
  if (kind === "quantile") {
    const ends = [0, ...edges, 1].slice(Number(number), Number(number) + 2);
    if (edges.length && ends.length === 2) return "Quantile " + ends.map(asText.percent).join(" – ");
    return "Quantile group " + (Number(number) + 1) + " of " + n;
  }
  return group.range ? "Activation " + activations(group) : kind + " " + number;
}

/** @param {Element} token */
function about(token) {
  const data = info.get(token);
  if (!data || data.lines) return data?.lines || null;
  /** @param {number | undefined} value */
  const active = (value) => (value === undefined ? "not active" : "activation " + asText.value(value));
  /** @param {number | undefined} value */
  const by = (value) => (data.name ? active(value) + ", " + data.name : active(value));
  if (data.tokens.length === 1) {
    const [{ id, position, value }] = data.tokens;
    return [tokenText(id), by(value), "token " + id + " · position " + position];
  }
  // The bytes of a character that is split over several tokens, and what each was.
  const each = data.tokens.map(({ id, position, value }) => tokenText(id) + " " + by(value) + " · token " + id + " · position " + position);
  return [data.text + ", in " + data.tokens.length + " tokens", ...each];
}

// A mark that a token begins with stands on a dotted circle; in running text it joins the letter
// before it, unless its colour would then have no place.
const JOINS = /^◌(?=\p{M})/u;

/**
 * Tokens as running text: `eyes` says what each is coloured by.
 * @param {HTMLElement} words
 * @param {number[]} ids
 * @param {number} low
 * @param {Eyes} eyes
 * @param {Own} own
 */
function fill(words, ids, low, eyes, own) {
  const parts = [];
  if (low > 0 && !own.whole) parts.push("…");
  let last = "";
  let stop = false;
  running(ids).forEach(({ first, length, text: read }) => {
    const tokens = ids.slice(first, first + length).map((id, i) => {
      const position = low + first + i;
      return { id, position, value: eyes.active.get(position) };
    });
    const values = tokens.map((token) => token.value).filter((active) => active !== undefined);
    const value = values.length ? Math.max(...values) : undefined;
    const isPeak = !stop && tokens.some((token) => token.position === own.peak);
    const classes = [];
    if (value !== undefined) classes.push("a" + level(value, eyes.max));
    if (isPeak) classes.push("peak");
    if (store.special.has(tokens[0].id)) classes.push("special");
    if (!own.whole && (low + first + length <= own.start || low + first >= (own.stop ?? Infinity))) classes.push("far");
    let text = proseText(read);
    if (value === undefined && last && !last.endsWith(" ")) text = text.replace(JOINS, "");
    last = text;
    // The space before a word stays outside its colour, so that lines break cleanly.
    const word = text.length > 1 && text.startsWith(" ") ? text.slice(1) : text;
    if (word !== text) parts.push(" ");
    const span = el("span", classes.length ? { class: classes.join(" ") } : {}, word);
    info.set(span, { tokens, text: read, name: eyes.name });
    // The peak is reached by keyboard; the bytes of any split character as well.
    if (isPeak || length > 1) span.tabIndex = 0;
    stop = stop || isPeak;
    parts.push(span);
  });
  if (low + ids.length === own.stop) parts.push("…");
  words.replaceChildren(...parts);
}

/**
 * The activations of an example by position.
 * @param {ExampleRow} from
 */
const activeIn = ({ places, values }) => new Map(places.map((place, i) => [place, values[i]]));

/**
 * @param {string} slug
 * @param {number} latent
 */
const nameOf = (slug, latent) => (store.saes.get(slug) || { label: slug }).label + " " + latent;

/**
 * A choice among the other latents with an example in this text; `look` is given what one sees.
 * @param {number} sequence
 * @param {LatentKey} here
 * @param {(eyes: Eyes | null) => unknown} look
 */
function otherEyes(sequence, here, look) {
  const others = readersOf(sequence).filter(({ slug, latent }) => slug !== here.slug || latent !== here.latent);
  const box = el("div", { class: "also" });
  if (!others.length) return box;
  const select = el("select", { title: "Latents of this report with a stored example in this text: a sample, not all that are active" });
  const fill_ = () => {
    const kept = select.value;
    const options = others.map(({ slug, latent }, i) => {
      const table = store.tables.get(slug);
      const row = table && table.byLatent.get(latent);
      const gloss = row ? row.label || unpack(row.tokens).slice(0, 3).map(tokenText).join(" ") : "";
      return el("option", { value: String(i) }, nameOf(slug, latent) + (gloss ? ": " + gloss.slice(0, 60) : ""));
    });
    select.replaceChildren(el("option", { value: "" }, "this latent alone"), ...options);
    select.value = kept;
  };
  fill_();
  const slugs = Array.from(new Set(others.map(({ slug }) => slug))).filter((slug) => (store.saes.get(slug)?.count ?? Infinity) <= 2000);
  Promise.all(slugs.map(loadTable)).then(fill_, () => {});
  const said = el("span", { class: "seen", role: "status" });
  select.addEventListener("change", async () => {
    said.replaceChildren();
    if (select.value === "") return look(null);
    const { slug, latent } = others[Number(select.value)];
    const record = await loadLatent(slug, latent);
    const [block] = (record && new Map(record.panels).get("examples")) || [];
    const found = block && distinct(groupsOf(merged(block))).find((example) => example.sequence === sequence);
    if (!record || !found) return look(null);
    const name = nameOf(slug, latent);
    look({ active: activeIn(found), max: record.max, name });
    said.append("Coloured by ", el("a", { href: latentHref(slug, latent) }, name), legend(record.max));
    return null;
  });
  box.append(el("label", {}, el("span", {}, "Also active here (" + others.length + ", a sample)"), select), said);
  return box;
}

/**
 * One example as a row, cut as the reader asked; its button shows all that is kept of the text.
 * @param {Folded} from
 * @param {number} max
 * @param {LatentKey} here
 */
function row({ example, folded }, max, here) {
  const { sequence, peak, activation, start } = example;
  const window_ = unpack(example.window);
  const own = { peak, start, stop: start + window_.length };
  const mine = { active: activeIn(example), max };
  const words = el("div", { class: "words", dir: "auto" });
  const fold = el("button", { class: "fold", type: "button" });
  fold.title = "Full context";
  fold.setAttribute("aria-label", "Full context");
  const also = el("div", { class: "also-box" });
  let open = reading.cut === "full";
  let asked = 0;

  /** @param {Eyes | null} eyes */
  async function show(eyes) {
    asked += 1;
    const now = asked;
    fold.setAttribute("aria-expanded", String(open));
    fold.textContent = open ? "▾" : "▸";
    if (!open) also.replaceChildren();
    if (!open && reading.cut !== "sentence") return fill(words, window_, start, mine, own);
    if (!words.firstChild) fill(words, window_, start, mine, own);
    const ids = await loadSequence(sequence);
    if (now !== asked) return null;
    if (open) {
      fill(words, ids, 0, eyes || mine, own);
      if (!also.firstChild) also.append(otherEyes(sequence, here, show));
      return null;
    }
    const [low, high] = sentenceAround(ids, peak);
    return fill(words, ids.slice(low, high), low, mine, { peak, start: low, whole: true });
  }
  fold.addEventListener("click", () => {
    open = !open;
    show(null);
  });
  /**
   * The row is as good as its button, unless the click was for something in it, or for choosing text.
   * @param {Event} event
   */
  const pressed = (event) => {
    if (!around(event, "a, button, select, label") && self.getSelection()?.isCollapsed !== false) fold.click();
  };
  show(null);
  const where = "doc " + example.document + " · seq " + sequence + ":" + peak + " ";
  const more = folded ? el("span", { class: "folded" }, "+" + folded + " on ", tokenCode(peakToken(example)), " ") : null;
  const end = el("span", { class: "at" }, where);
  const item = el(
    "li",
    { class: "example" },
    el("span", { class: "value" }, asText.value(activation)),
    words,
    el("span", { class: "tail" }, more, end, fold),
    also,
  );
  item.addEventListener("click", pressed);
  return item;
}

/**
 * @param {Section} section
 * @param {number} max
 * @param {LatentKey} here
 */
function groupNode(section, max, here) {
  const { group } = section;
  const heading = el("h3", {}, section.title);
  if (group && group.range) {
    if (group.group.startsWith("quantile:")) heading.append(el("span", {}, "activation " + activations(group)));
    const { n_active, share } = group.range;
    const bar = el("i", {});
    bar.style.setProperty("width", 100 * share + "%");
    // Of an imported group only the share of all tokens is known.
    const text = n_active === null ? asText.percent(share) + " of all tokens" : asText.count(n_active) + " active tokens, " + asText.percent(share) + " of all";
    heading.append(el("span", {}, text), el("span", { class: "share", "aria-hidden": "true" }, bar));
  }
  const list = el("ul", {});
  const { rows, limit } = section;
  rows.slice(0, limit).forEach((item) => list.append(row(item, max, here)));
  const box = el("section", { class: "group" }, heading, list);
  if (!rows.length) {
    const empty = group && group.range && group.range.n_active === 0;
    const why = empty ? "None of its active tokens lies in this range." : group ? "No example was drawn from this range." : "No stored example lies in this range.";
    box.append(el("p", { class: "none" }, why));
  }
  if (rows.length > limit) {
    const more = el("button", { class: "linkish", type: "button" }, "all " + rows.length + " examples");
    more.addEventListener("click", () => {
      const items = rows.slice(limit).map((item) => row(item, max, here));
      list.append(...items);
      more.remove();
      within(items[0], ".fold").focus();
    });
    box.append(more);
  }
  return box;
}

/**
 * What the underlined token of an example is; where colours have two signs the line has none of them.
 * @param {boolean} [signed]
 */
export const peakKey = (signed) => {
  const sample = el("span", { class: signed ? "s-peak signed" : "s-peak", "aria-hidden": "true" }, "ab");
  return el("span", { class: "legend" }, sample, "peak");
};

/** @param {number} max */
function legend(max) {
  const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
  for (let i = 0; i < 10; i += 1) ramp.append(el("i", { class: "a" + i }));
  return el("span", { class: "legend" }, "0", ramp, asText.value(max));
}

const KINDS = [
  ["top", "Strongest"],
  ["interval", "By interval"],
  ["quantile", "By quantile"],
];

/**
 * Two number fields: the range by keyboard, and what the brush over the histogram chose.
 * @param {number} max
 * @returns {BlockNode}
 */
function rangeFields(max) {
  /** @param {string} name */
  const field = (name) => el("input", { type: "number", step: "any", min: "0", "aria-label": "Activation " + name, placeholder: name === "from" ? "0" : asText.value(max) });
  const [low, high] = [field("from"), field("to")];
  const change = () => {
    const ends = [low.value === "" ? 0 : Number(low.value), high.value === "" ? max : Number(high.value)];
    const none = low.value === "" && high.value === "";
    changeView({ range: none ? null : [Math.max(0, Math.min(...ends)), Math.max(0, ...ends)] });
  };
  for (const input of [low, high]) input.addEventListener("change", change);
  /** @type {BlockNode} */
  const box = el("span", { class: "range", role: "group", "aria-label": "Activations" }, el("span", {}, "activation"), low, "–", high);
  box.follow = () => {
    const { range } = reading;
    low.value = range ? String(range[0]) : "";
    high.value = range ? String(range[1]) : "";
  };
  return box;
}

/**
 * @param {ExamplesBlock} block
 * @param {Context} from
 * @returns {BlockNode}
 */
export function examplesBlock(block, { sae, latent, max }) {
  const here = { slug: sae, latent };
  const groups = groupsOf(block);
  const byKind = KINDS.map(([kind, label]) => ({
    kind,
    label,
    groups: groups.filter((group) => group.group.split(":")[0] === kind),
  })).filter((item) => item.groups.length);
  const nQuantiles = groups.filter(({ group }) => group.startsWith("quantile:")).length;
  const all = distinct(groups);
  const wanted = byKind.findIndex((item) => item.kind === remember("examples"));
  let current = wanted < 0 ? 0 : wanted;

  /** @returns {Section[]} */
  function sections() {
    const { range, unique } = reading;
    if (!range) {
      const chosen = byKind.length ? byKind[current].groups : [];
      return chosen.map((group) => ({
        title: nameOfGroup(group, block.quantiles || [], nQuantiles),
        group,
        rows: foldTokens(group.examples, unique),
        limit: group.group === "top" ? FIRST.top : FIRST.other,
      }));
    }
    const inside = all.filter((example) => example.activation >= range[0] && example.activation <= range[1]);
    const title = "Activation " + range.map(asText.value).join(" to ");
    return [{ title, group: null, rows: foldTokens(inside, unique), limit: FIRST.top }];
  }

  const body = el("div", {});
  const said = el("span", { role: "status" });
  const reset = el("button", { type: "button", class: "linkish" }, "Reset");
  reset.addEventListener("click", () => changeView({ range: null, unique: false }));
  const sieve = el("p", { class: "sieve" }, said, " ", reset);
  /** @type {BlockNode} */
  const box = el("div", { class: "block follows" }, sieve, body);
  const kinds = segments(byKind.map((item) => item.label), current, (i) => {
    current = i;
    remember("examples", byKind[i].kind);
    show();
  }, "which examples");
  const cuts = segments(CUTS.map((cut) => cut[0].toUpperCase() + cut.slice(1)), 0, (i) => changeView({ cut: CUTS[i] }), "how much text");
  const unique = el("button", { type: "button", class: "toggle", title: "The strongest example of each peak token" }, "One per token");
  unique.addEventListener("click", () => changeView({ unique: !reading.unique }));
  const range = rangeFields(max);

  let shown = "";
  function show() {
    const view = reading;
    const found = sections();
    const rows = found.flatMap((section) => section.rows);
    const stored = view.range ? all.length : rows.reduce((sum, { folded }) => sum + folded + 1, 0);
    const parts = [rows.length + " of " + stored + " stored examples"];
    if (view.range) parts.push("activation " + view.range.map(asText.value).join(" to "));
    if (view.unique) parts.push("the strongest of each peak token");
    said.textContent = view.range || view.unique ? parts.join(", ") : "";
    sieve.hidden = !said.textContent;
    kinds.hidden = byKind.length < 2 || Boolean(view.range);
    Array.from(cuts.children).forEach((button, i) => button.setAttribute("aria-pressed", String(CUTS[i] === view.cut)));
    unique.setAttribute("aria-pressed", String(view.unique));
    range.follow?.();
    shown = JSON.stringify(view);
    body.replaceChildren(...found.map((section) => groupNode(section, max, here)));
  }
  box.follow = () => JSON.stringify(reading) !== shown && show();
  show();

  const columns = ["group", "activation", "peak token", "text", "document", "sequence", "position", "active positions", "activations"];
  const table = () => ({
    columns,
    rows: sections().flatMap((section) =>
      section.rows.map(({ example }) => {
        const prose = running(unpack(example.window)).map((piece) => proseText(piece.text)).join("");
        const { sequence, peak, activation, places, values } = example;
        return [section.title, activation, tokenText(peakToken(example)), prose, example.document, sequence, peak, places.join(" "), values.join(" ")];
      }),
    ),
  });
  const own = thisPage.kind === "latents" ? range : null;
  box.controls = [kinds, cuts, unique, ...(own ? [own] : []), legend(max), peakKey(), offer("examples", table)];
  return box;
}

// Tooltips and walking from token to token, for every example on the page.
export function watchExamples() {
  /** @param {Event} event */
  const token = (event) => {
    const span = around(event, ".words span");
    return span instanceof HTMLElement ? span : null;
  };
  document.addEventListener("mouseover", (event) => {
    const span = token(event);
    if (span) showTip(about(span), event.clientX, event.clientY);
  });
  document.addEventListener("mouseout", (event) => {
    if (token(event)) showTip(null);
  });
  document.addEventListener("focusin", (event) => {
    const span = token(event);
    if (!span) return showTip(null);
    const box = span.getBoundingClientRect();
    return showTip(about(span), box.left, box.bottom - 12);
  });
  document.addEventListener("focusout", () => showTip(null));
  document.addEventListener("keydown", (event) => {
    const span = token(event);
    if (span && event.key === "Enter") {
      // The text is made again; its button stays.
      const fold = maybe(span.closest(".example") || span, ".fold");
      event.preventDefault();
      fold?.focus();
      fold?.click();
    }
    if (!span || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    const next = event.key === "ArrowRight" ? span.nextElementSibling : span.previousElementSibling;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!(next instanceof HTMLElement)) return;
    next.tabIndex = 0;
    if (!span.classList.contains("peak")) span.tabIndex = -1;
    next.focus();
  });
}
