// Pinned latents side by side: one row a panel, one column a latent.
import { blockNode } from "../blocks/blocks.js";
import { figureBlock, plotText } from "../blocks/figures.js";
import { glossNode, latentRows } from "../blocks/lists.js";
import { merged } from "../blocks/merge.js";
import { fragmentNow, setFragment } from "../core/address.js";
import { store } from "../core/data.js";
import { all, around, byId, el, within } from "../core/dom.js";
import { asText, formatOf } from "../core/format.js";
import { densityText, latentHref } from "../core/latents.js";
import { loadLatent, loadTable } from "../core/load.js";
import { listeners, session } from "../core/state.js";
import { revealed } from "../reader/blind.js";
import { markButtons } from "../reader/marks.js";
import { noteBook } from "../reader/notebook.js";
import { dropPins } from "../reader/pins.js";

/** @import { Bars, BlockNode, FigureBlock, LatentKey, ListBlock, View } from "../types" */
/** @import { LatentRecord, LatentRow, PanelRecord } from "../records" */

/**
 * What is known of a pinned latent.
 * @typedef {LatentKey & { place: number, row: LatentRow, record: LatentRecord, hidden: boolean, panels: Map<string, any[]>, name: string }} Item
 */

const FIRST = ["examples", "activation", "tokens", "logits", "deembedding", "related"];
const LISTS = ["tokens", "logits", "deembedding"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const COLOURS = 6;

/**
 * What is known of a pinned latent: its row in the table, and its panels.
 * @param {LatentKey} pin
 * @param {number} place
 * @returns {Promise<Item | null>}
 */
async function known({ slug, latent }, place) {
  const sae = store.saes.get(slug);
  if (!sae || !latentHref(slug, latent)) return null;
  const [table, record] = await Promise.all([loadTable(slug), loadLatent(slug, latent)]);
  const row = table && table.byLatent.get(latent);
  if (!row || !record) return null;
  const hidden = Boolean(row.blind) && !revealed(slug, latent);
  return { slug, latent, place, row, record, hidden, panels: new Map(record.panels), name: sae.label + " " + latent };
}

/** @param {number} place */
const swatch = (place) => el("i", { class: "swatch k" + (place % COLOURS), "aria-hidden": "true" });
/** @param {Item} item */
const title = (item) => el("h3", {}, swatch(item.place), item.name);

// ---- the head of each column
/** @param {Item} item */
function head(item) {
  const { slug, latent, row, hidden } = item;
  const own = hidden ? "" : noteBook.label(slug, row);
  const facts = [
    ["Density", densityText(row)],
    ["Max", row.max > 0 ? asText.value(row.max) : "–"],
  ];
  const list = el("dl", { class: "kv" });
  for (const [name, value] of facts) list.append(el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  const gloss = own ? el("span", { class: "gloss own" }, own) : glossNode(row);
  const name = el("h3", {}, swatch(item.place), el("a", { href: latentHref(slug, latent) }, item.name));
  return [name, gloss, list, markButtons(slug, latent)];
}

// ---- all histograms over one axis
/**
 * The bars of a view.
 * @param {View} view
 * @returns {Required<Pick<Bars, "x0" | "dx" | "y">>}
 */
function barsOf(view) {
  const { x0 = 0, dx = 1, y } = view.data[0];
  return { x0, dx, y };
}

/**
 * Widths are powers of two, so counts in wide bins are sums of counts in narrow ones.
 * @param {ReturnType<typeof barsOf>} trace
 * @param {number} width
 */
function widened(trace, width) {
  const { x0, dx, y } = trace;
  const start = x0 - dx / 2;
  /** @type {number[]} */
  const counts = [];
  y.forEach((n, i) => {
    const bin = Math.floor((start + i * dx) / width);
    counts[bin] = (counts[bin] || 0) + n;
  });
  return Array.from(counts, (n) => n || 0);
}

/** @param {Item[]} items */
function histograms(items) {
  const found = items.flatMap((item) => {
    /** @type {FigureBlock[]} */
    const blocks = (item.panels.get("activation") || []).map(merged);
    const block = blocks.find((one) => one.base === "activation.histogram");
    return block ? [{ item, linear: barsOf(block.views[0]), octaves: barsOf(block.views[1]) }] : [];
  });
  if (!found.length) return null;
  const width = Math.max(...found.map(({ linear }) => linear.dx));
  const wide = found.map(({ linear }) => widened(linear, width));
  const most = Math.max(...wide.map((y) => y.length));
  const low = Math.min(...found.map(({ octaves }) => octaves.x0));
  const high = Math.max(...found.map(({ octaves }) => octaves.x0 + octaves.y.length));
  /**
   * @param {Item} item
   * @param {number[]} y
   * @param {number} x0
   * @param {number} dx
   */
  const trace = (item, y, x0, dx) => ({
    type: "scatter",
    mode: "lines",
    meta: "k" + (item.place % COLOURS),
    line: { shape: "hvh", width: 2, dash: DASHES[Math.floor(item.place / COLOURS) % DASHES.length] },
    hoverinfo: "none",
    name: plotText(item.name),
    x0,
    dx,
    y,
  });
  /**
   * @param {number[]} y
   * @param {number} before
   * @param {number} length
   */
  const padded = (y, before, length) => Array.from({ length }, (_, i) => y[i - before] || 0);
  const names = found.map(({ item }) => item.name);
  const columns = ["from", "to", ...names];
  const counts = { title: { text: "tokens" }, rangemode: "tozero" };
  const ticks = Array.from({ length: Math.ceil((high - low) / 4) + 1 }, (_, i) => 4 * (Math.ceil(low / 4) + i)).filter((k) => k <= high);
  const few = ticks.filter((k, i) => i % Math.ceil(ticks.length / 8) === 0);
  return figureBlock({
    base: "compare.histogram",
    title: "Non-zero activations, over one axis",
    summary: "Histograms of the non-zero activations of " + names.join(", ") + ".",
    log: "y",
    views: [
      {
        label: "linear bins",
        columns,
        data: found.map(({ item }, i) => trace(item, padded(wide[i], 0, most), width / 2, width)),
        layout: { xaxis: { title: { text: "activation" }, rangemode: "tozero" }, yaxis: counts },
      },
      {
        label: "log bins",
        columns,
        octaves: 4,
        data: found.map(({ item, octaves }) => trace(item, padded(octaves.y, octaves.x0 - low, high - low), low, 1)),
        layout: {
          xaxis: { title: { text: "activation (log scale)" }, tickmode: "array", tickvals: few.map((k) => k - 0.5), ticktext: few.map((k) => asText.value(2 ** (k / 4))) },
          yaxis: counts,
        },
      },
    ],
  });
}

// ---- what the report knows about two of them together
/**
 * The lists of latents among blocks.
 * @param {any[]} blocks
 * @returns {Generator<ListBlock>}
 */
function* lists(blocks) {
  for (const block of blocks.map(merged)) {
    if (block.b === "grid") yield* lists(block.blocks);
    else if (block.b === "latents") yield block;
  }
}

/** @param {Item[]} items */
function pairs(items) {
  const lines = [];
  const blind = new Set(store.report.panels.filter((panel) => panel.reveals_text).map((panel) => panel.name));
  for (const item of items) {
    for (const [name, blocks] of item.panels) {
      if (item.hidden && blind.has(name)) continue;
      for (const block of lists(blocks)) {
        for (const other of items) {
          const row = other !== item && (block.sae || item.slug) === other.slug && latentRows(block).find((one) => one.latent === other.latent);
          if (!row) continue;
          const shown = row.values.map((value, i) => {
            const format = formatOf((block.formats || [])[i]);
            return ((block.columns || [])[i] || "") + " " + format(value);
          });
          lines.push(el("li", {}, el("b", {}, item.name), " → ", el("b", {}, other.name), ": " + shown.join(", "), el("small", {}, " " + (block.title || ""))));
        }
      }
    }
  }
  return lines;
}

// ---- tokens that two or more lists share
/** @param {Element[]} cells */
function markShared(cells) {
  const where = new Map();
  cells.forEach((cell, i) => {
    for (const code of all(cell, "code.tok[title]")) {
      if (!where.has(code.title)) where.set(code.title, { places: new Set(), text: code.textContent });
      where.get(code.title).places.add(i);
    }
  });
  const shared = Array.from(where).filter(([, { places }]) => places.size > 1);
  const names = new Set(shared.map(([name]) => name));
  for (const cell of cells) {
    for (const code of all(cell, "code.tok[title]")) code.classList.toggle("shared", names.has(code.title));
  }
  return shared.map(([, { text }]) => text);
}

/**
 * @param {PanelRecord} panel
 * @param {Item[]} items
 */
function section(panel, items) {
  const cells = items.map((item) => {
    const cell = el("div", { class: "cell" }, title(item));
    const blocks = item.panels.get(panel.name);
    if (item.hidden && panel.reveals_text) cell.append(el("p", { class: "none" }, "Hidden: it is blinded."));
    else if (!blocks) cell.append(el("p", { class: "none" }, "Not given for this latent."));
    else cell.append(...blocks.map((/** @type {unknown} */ block) => blockNode(block, { sae: item.slug, latent: item.latent, max: item.record.max, blind: item.hidden })));
    for (const block of all(cell, ".block")) {
      const { controls } = /** @type {BlockNode} */ (block);
      if (controls) block.prepend(...controls);
    }
    return cell;
  });
  const box = el("section", { class: "aspect" }, el("h2", {}, panel.title));
  box.dataset.panel = panel.name;
  const words = el("p", { class: "shared-words" });
  const update = () => {
    const tokens = markShared(cells);
    words.replaceChildren(tokens.length ? "In more than one list: " : "No token is in more than one list.");
    tokens.slice(0, 30).forEach((text) => words.append(el("code", { class: "tok shared" }, text), " "));
  };
  if (LISTS.includes(panel.name) && items.length > 1) {
    box.append(words);
    update();
    box.addEventListener("click", (event) => around(event, ".linkish, .seg button") && setTimeout(update));
  }
  box.append(el("div", { class: "cells" }, ...cells));
  return box;
}

// ---- which panels are shown, in the address
function asked() {
  const text = new URLSearchParams(fragmentNow()).get("panels");
  return new Set(text === null ? FIRST : text.split(","));
}

/**
 * @param {PanelRecord[]} panels
 * @param {Set<string>} chosen
 * @param {(name: string, wanted: boolean) => void} change
 */
function chooser(panels, chosen, change) {
  const box = el("fieldset", { class: "field only panels-shown" }, el("legend", {}, "Panels"));
  for (const panel of panels) {
    const check = el("input", { type: "checkbox", value: panel.name });
    check.checked = chosen.has(panel.name);
    check.addEventListener("change", () => change(panel.name, check.checked));
    box.append(el("label", {}, check, " " + panel.title));
  }
  return box;
}

export function comparePage() {
  const box = byId("compare", HTMLElement);
  const about = Array.from(box.childNodes);
  /** @type {string | null} */
  let drawn = null;

  async function draw() {
    const pins = session.pinned.slice();
    drawn = session.pins;
    // What has the focus is made again: without more, a keyboard would begin at the top.
    const inside = box.contains(document.activeElement);
    if (!pins.length) {
      box.replaceChildren(el("p", { class: "absent", role: "status" }, "No latent is pinned."), ...about);
      if (inside) byId("main", HTMLElement).focus({ preventScroll: true });
      return;
    }
    const items = await Promise.all(pins.map(known)).catch(() => null);
    if (drawn !== session.pins) return;
    if (!items) {
      const again = el("button", { type: "button" }, "Try again");
      again.addEventListener("click", draw);
      box.replaceChildren(el("p", { class: "absent", role: "status" }, "What the report holds of the pinned latents could not be loaded. ", again));
      if (inside) again.focus();
      return;
    }
    const whole = items.filter((item) => item !== null);
    const lost = pins.filter((_, i) => !items[i]);
    if (lost.length) {
      dropPins(lost);
      return;
    }
    show(whole);
    if (inside) within(box, ".compared").focus({ preventScroll: true });
  }

  /** @param {Item[]} items */
  function show(items) {
    const held = store.report.panels.filter((panel) => items.some((item) => item.panels.has(panel.name)));
    const chosen = asked();
    const scroller = el("div", { class: "compared", tabindex: "0", role: "region", "aria-label": "Latents side by side" });
    scroller.style.setProperty("--columns", String(items.length));
    const heads = items.map((item) => el("div", { class: "cell" }, ...head(item)));
    /** @type {Map<string, HTMLElement>} */
    const aspects = new Map();
    /** @param {string} name */
    const place = (name) => {
      const panel = held.find((one) => one.name === name);
      if (!panel) return;
      const node = section(panel, items);
      aspects.set(name, node);
      const after = held.slice(held.indexOf(panel) + 1).map((one) => aspects.get(one.name)).find((one) => one && one.isConnected);
      if (after) after.before(node);
      else scroller.append(node);
    };
    /**
     * @param {string} name
     * @param {boolean} wanted
     */
    const change = (name, wanted) => {
      chosen[wanted ? "add" : "delete"](name);
      if (wanted) place(name);
      else aspects.get(name)?.remove();
      const names = held.map((panel) => panel.name).filter((one) => chosen.has(one));
      const usual = held.map((panel) => panel.name).filter((one) => FIRST.includes(one));
      setFragment(names.join() === usual.join() ? "" : "panels=" + names.join(","));
    };
    scroller.append(el("section", { class: "aspect" }, el("h2", { class: "sr" }, "Latents"), el("div", { class: "cells" }, ...heads)));
    /** @type {HTMLElement[]} */
    const parts = [chooser(held, chosen, change)];
    if (items.length < 2) parts.unshift(el("p", { class: "absent", role: "status" }, "One latent is pinned; pin another to see them side by side."));
    const together = histograms(items);
    if (together) {
      const key = el("ul", { class: "keys-of" }, ...items.map((item) => el("li", {}, swatch(item.place), item.name)));
      within(together, "figcaption").after(key);
      parts.push(el("section", { class: "panel wide" }, el("header", {}, el("h2", {}, "How strongly")), together));
    }
    const known_ = pairs(items);
    if (items.length > 1) {
      const none = el("p", { class: "none" }, "None of them is in a list of another.");
      const body = known_.length ? el("ul", { class: "pairs" }, ...known_) : none;
      parts.push(el("section", { class: "panel wide" }, el("header", {}, el("h2", {}, "What the report knows of them together")), body));
    }
    box.replaceChildren(...parts, scroller);
    for (const panel of held) if (chosen.has(panel.name)) place(panel.name);
    document.title = "Compare " + items.map((item) => item.name).join(", ") + " · " + store.report.title;
  }

  listeners.pins.push(() => {
    if (box.isConnected && session.pins !== drawn) draw();
  });
  self.addEventListener("hashchange", () => {
    if (!box.isConnected) return;
    const now = all(box, ".panels-shown input:checked").map((check) => check.getAttribute("value")).join();
    if (drawn && now !== Array.from(asked()).join()) draw();
  });
  draw();
}
