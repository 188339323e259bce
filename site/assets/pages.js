// Made from templates/scripts; see CONTRIBUTING.md.
"use strict";
"use strict";
(() => {
  // core/dom.js
  var SVG = "http://www.w3.org/2000/svg";
  function el(tag, fields, ...children) {
    const node = document.createElement(tag);
    for (const [name3, value2] of Object.entries(fields)) {
      if (name3 === "class") node.className = String(value2);
      else if (value2 !== void 0 && value2 !== null) node.setAttribute(name3, String(value2));
    }
    for (const child of children) if (child !== null && child !== void 0) node.append(child);
    return node;
  }
  function svgNode(tag, fields, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name3, value2] of Object.entries(fields)) node.setAttribute(name3, String(value2));
    node.append(...children);
    return node;
  }
  function within(part, selector) {
    const found = part.querySelector(selector);
    if (!(found instanceof HTMLElement)) throw new Error("the page has no " + selector);
    return found;
  }
  function maybe(part, selector) {
    const found = part.querySelector(selector);
    return found instanceof HTMLElement ? found : null;
  }
  var focused = () => document.activeElement instanceof HTMLElement ? document.activeElement : null;
  var all = (part, selector) => Array.from(part.querySelectorAll(selector)).filter((node) => node instanceof HTMLElement);
  function byId(id, kind) {
    const found = document.getElementById(id);
    if (!(found instanceof kind)) throw new Error("the page has no " + id);
    return found;
  }
  var around = (event, selector) => event.target instanceof Element ? event.target.closest(selector) : null;
  function svg(path, width2, height, label2) {
    const node = svgNode("svg", { viewBox: "0 0 " + width2 + " " + height, preserveAspectRatio: "none" }, svgNode("path", { d: path }));
    if (label2) {
      node.setAttribute("role", "img");
      node.setAttribute("aria-label", label2);
    } else node.setAttribute("aria-hidden", "true");
    return node;
  }
  function colourOf(name3) {
    const probe = el("span", {});
    probe.style.setProperty("color", "var(--" + name3 + ")");
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }

  // single/open.js
  var root = document.documentElement;
  var REFERENCES = ["id", "for", "headers", "list", "aria-labelledby", "aria-describedby", "aria-controls"];
  var pages = new Map(all(document, "section[data-path]").map((page2) => [page2.dataset.path, page2]));
  function wanted() {
    const [path, ...rest] = self.location.hash.slice(1).split("#");
    const [home] = pages.keys();
    return { path: pages.has(path) ? path : home, place: rest.join("#").replace(/(^|&)pins=[^&#]*/, "") };
  }
  function plain(part, prefix) {
    const strip2 = (name3) => name3.startsWith(prefix) ? name3.slice(prefix.length) : name3;
    for (const name3 of REFERENCES) {
      for (const node of all(part, "[" + name3 + "]"))
        node.setAttribute(name3, (node.getAttribute(name3) || "").split(" ").map(strip2).join(" "));
    }
  }
  function open() {
    const { path } = wanted();
    const page2 = pages.get(path);
    if (!page2) return;
    const { kind, sae: sae2, title: title2 = "", needs: needs2, frame } = page2.dataset;
    const around3 = byId(String(frame), HTMLTemplateElement).content;
    plain(around3, frame + "#");
    plain(page2, path + "#");
    within(around3, "main").replaceChildren(...page2.childNodes);
    all(document, "body > :not(script)").forEach((node) => node.remove());
    document.body.prepend(around3);
    document.title = title2;
    Object.assign(root.dataset, { path, page: kind, needs: needs2 });
    if (sae2) root.dataset.sae = sae2;
  }
  if (root.dataset.single !== void 0) open();

  // core/rows.js
  var names = {};
  function nameRows(header) {
    names = header;
  }
  function named(kind, row2) {
    const fields = names[kind];
    const result = {};
    row2.forEach((value2, i) => result[fields[i]] = value2);
    return result;
  }
  var allNamed = (kind, rows) => rows.map((row2) => named(kind, row2));

  // core/data.js
  var store = {
    /** @type {ReportRecord} */
    report: { title: "", fingerprint: "", single: false, texts: [], rows: {}, saes: [], panels: [], bases: [] },
    /** @type {Map<string, Fields>} */
    bases: /* @__PURE__ */ new Map(),
    /** @type {Map<string, SaeRecord>} */
    saes: /* @__PURE__ */ new Map(),
    /** @type {Map<number, string>} */
    tokens: /* @__PURE__ */ new Map(),
    /**
     * By first token, runs of tokens that are text together only; see saereport/site/context.py.
     * @type {Map<number, Joint[]>}
     */
    joints: /* @__PURE__ */ new Map(),
    /** @type {Set<number>} */
    special: /* @__PURE__ */ new Set(),
    /** @type {Map<string, Table>} */
    tables: /* @__PURE__ */ new Map(),
    /** @type {Map<string, Shard>} */
    shards: /* @__PURE__ */ new Map(),
    /** @type {Map<number, string>} */
    sequences: /* @__PURE__ */ new Map(),
    /**
     * Packed latents with a stored example in a sequence; see saereport/site/sequences.py.
     * @type {Map<number, string>}
     */
    readers: /* @__PURE__ */ new Map(),
    /**
     * What is drawn on the pages that have come, by their path.
     * @type {Map<string, PageData>}
     */
    pages: /* @__PURE__ */ new Map(),
    /** @type {GraphRecord | null} */
    graph: null
  };
  var receivers = {
    /** @param {ReportRecord} record */
    report(record) {
      nameRows(record.rows);
      store.report = record;
      record.bases.forEach(([name3, fields]) => store.bases.set(name3, fields));
      record.saes.forEach((sae2) => store.saes.set(sae2.slug, sae2));
    },
    /** @param {VocabularyRecord} record */
    vocabulary(record) {
      for (const { token, text: text4, special } of allNamed("token", record.tokens)) {
        store.tokens.set(token, text4);
        if (special) store.special.add(token);
      }
      for (const { run, pieces } of allNamed("joint", record.joints)) {
        const joint = { run, pieces: allNamed("piece", pieces) };
        store.joints.set(run[0], [...store.joints.get(run[0]) || [], joint]);
      }
    },
    /** @param {IndexRecord} record */
    latents(record) {
      const rows = allNamed("latent", record.rows);
      store.tables.set(record.sae, { ...record, rows, byLatent: new Map(rows.map((row2) => [row2.latent, row2])) });
    },
    /** @param {ShardRecord} record */
    shard(record) {
      const byLatent = new Map(record.latents.map((item2) => [item2.latent, item2]));
      store.shards.set(record.sae + "/" + record.shard, { ...record, byLatent });
    },
    /** @param {GraphRecord} record */
    graph(record) {
      store.graph = record;
    },
    /** @param {PageRecord} record */
    page(record) {
      store.pages.set(record.page, { ...record, blocks: new Map(record.blocks) });
    },
    /** @param {BlockRecord} record */
    block(record) {
      store.pages.get(record.page)?.blocks.set(record.id, record.block[0]);
    },
    /** @param {TextRecord} record */
    text(record) {
      for (const { sequence, tokens: tokens2, readers } of allNamed("sequence", record.sequences)) {
        store.sequences.set(sequence, tokens2);
        if (readers) store.readers.set(sequence, readers);
      }
    }
  };
  function receive(record) {
    const known2 = Object.hasOwn(receivers, record.kind) ? receivers[record.kind] : null;
    if (known2) known2(record);
  }
  var early = Array.isArray(self.saereport) ? self.saereport : [];
  self.saereport = { push: receive };
  early.forEach(receive);

  // core/page.js
  var root2 = document.documentElement;
  var thisPage = {
    /** The way to the report's root, `../` or empty. */
    root: root2.dataset.root || "",
    /** The kind of page: `latents`, `sae`, `graph`, … */
    kind: root2.dataset.page || "",
    /** The SAE's slug, or empty. */
    sae: root2.dataset.sae || "",
    /** Whether the report is one file. */
    single: root2.dataset.single !== void 0
  };

  // core/state.js
  var session = {
    /** The pinned latents as the address has them. */
    pins: "",
    /** @type {LatentKey[]} */
    pinned: [],
    /** Whether a link of this page is being followed. */
    leaving: false,
    /** Whether the page is laid out for printing. */
    paper: false
  };
  var listeners = {
    /** When a page goes to paper, and when it comes back. @type {(() => void)[]} */
    paper: [],
    /** When the pins change. @type {(() => void)[]} */
    pins: [],
    /** Each time that a latent's article is shown. @type {((article: HTMLElement, latent: number, hidden: boolean) => void)[]} */
    latent: []
  };

  // core/address.js
  var PINS = /(?:^|&)pins=([^&#]*)/;
  var unwritten = null;
  self.addEventListener("hashchange", () => unwritten = null);
  function behind() {
    if (unwritten !== null) return unwritten;
    const hash = self.location.hash.slice(1);
    const at2 = thisPage.single ? hash.indexOf("#") : -1;
    return thisPage.single && at2 < 0 ? "" : hash.slice(at2 + 1);
  }
  var fragmentNow = () => behind().replace(PINS, "");
  function pinsInAddress() {
    const found = PINS.exec(behind());
    return found ? found[1] : "";
  }
  var withPins = (fragment) => [fragment, session.pins ? "pins=" + session.pins : ""].filter(Boolean).join("&");
  function setFragment(fragment) {
    const rest = withPins(fragment);
    const text4 = thisPage.single ? document.documentElement.dataset.path + (rest ? "#" + rest : "") : rest;
    const { pathname, search } = self.location;
    try {
      self.history.replaceState(null, "", text4 ? "#" + text4 : pathname + search);
      unwritten = null;
    } catch {
      unwritten = rest;
    }
  }
  function viewAddress() {
    setFragment(fragmentNow());
    return self.location.href;
  }
  function linkTo(path, fragment) {
    const rest = withPins(fragment || "");
    return (thisPage.single ? "#" : thisPage.root) + path + (rest ? "#" + rest : "");
  }
  function addressOf(href) {
    const [path, fragment] = href.split("#");
    return linkTo(path, fragment);
  }
  function goTo(href, replace) {
    const hash = href.slice(href.indexOf("#"));
    session.leaving = true;
    if (!thisPage.single || !hash.startsWith("#")) {
      if (replace) self.location.replace(href);
      else self.location.href = href;
    } else if (self.location.hash === hash) {
      self.dispatchEvent(new HashChangeEvent("hashchange"));
    } else if (replace) self.location.replace(self.location.href.split("#")[0] + hash);
    else self.location.hash = hash;
  }
  session.pins = pinsInAddress();

  // core/format.js
  var UP = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  var minus = (text4) => text4.replace(/-/g, "−");
  var whole = (n) => (n <= -0.5 ? "−" : "") + Math.round(Math.abs(n)).toLocaleString("en-US");
  var raised = (n) => (n < 0 ? "⁻" : "") + String(Math.abs(n)).replace(/\d/g, (d) => UP[Number(d)]);
  function value(n) {
    if (!n) return "0";
    const power = Math.floor(Math.log10(Math.abs(n)));
    if (power < -4 || power > 8) {
      const [mantissa, exponent] = n.toExponential(2).split("e");
      return minus(mantissa) + "×10" + raised(Number(exponent));
    }
    if (power >= 3) return whole(n);
    const rounded = Number(n.toPrecision(3));
    return Math.abs(rounded) >= 1e3 ? whole(rounded) : minus(String(rounded));
  }
  function percent(share2) {
    if (share2 === 0) return "0 %";
    if (share2 < 1e-5) return "< 0.001 %";
    if (share2 > 0.9995) return share2 >= 1 ? "100 %" : "> 99.9 %";
    const hundred = share2 * 100;
    return String(Number(hundred >= 10 ? hundred.toFixed(1) : hundred.toPrecision(2))) + " %";
  }
  var shown = (n) => typeof n === "string" ? n : Number.isInteger(n) && Math.abs(n) < 1e15 ? whole(n) : value(n);
  var asText = {
    shown,
    value,
    percent,
    count: whole,
    /** @param {number} n */
    times: (n) => "×" + value(n),
    /** @param {string | number} n */
    text: (n) => String(n)
  };
  var formatOf = (name3) => name3 === "percent" || name3 === "count" || name3 === "times" || name3 === "text" || name3 === "value" ? asText[name3] : asText.shown;

  // core/latents.js
  var counted = (row2) => /[^A]/.test(row2.spark);
  var alive = (row2) => row2.density > 0 || row2.max > 0 || counted(row2);
  function densityText(row2) {
    if (row2.density > 0) return asText.percent(row2.density);
    if (!alive(row2)) return "dead";
    return counted(row2) ? asText.percent(Number.MIN_VALUE) : "–";
  }
  function before(firsts, value2) {
    let low = 0;
    let high2 = firsts.length - 1;
    while (low < high2) {
      const middle2 = low + high2 + 1 >> 1;
      if (firsts[middle2] <= value2) low = middle2;
      else high2 = middle2 - 1;
    }
    return low;
  }
  var numbered = (letter, n) => letter + String(n).padStart(4, "0");
  function latentHref(slug, latent2) {
    const sae2 = store.saes.get(slug);
    if (!sae2 || !sae2.count || latent2 < sae2.firsts[0] || latent2 > sae2.last) return null;
    const page2 = numbered("l", before(sae2.firsts, latent2));
    return linkTo(slug + "/" + page2 + ".html", "latent-" + latent2);
  }

  // core/tokens.js
  var ALPHABET = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).filter((c) => !`"\\<>&'`.includes(c)).join("");
  var BASE = ALPHABET.length;
  var SHORT = 36;
  var DIGIT = new Uint8Array(128);
  for (let i = 0; i < BASE; i += 1) DIGIT[ALPHABET.charCodeAt(i)] = i;
  function unpack(text4) {
    const ids2 = [];
    for (let at2 = 0; at2 < text4.length; ) {
      const a = DIGIT[text4.charCodeAt(at2)];
      const b = DIGIT[text4.charCodeAt(at2 + 1)];
      if (a < SHORT) {
        ids2.push(a * BASE + b);
        at2 += 2;
      } else {
        ids2.push(SHORT * BASE + ((a - SHORT) * BASE + b) * BASE + DIGIT[text4.charCodeAt(at2 + 2)]);
        at2 += 3;
      }
    }
    return ids2;
  }
  var tokenText = (id) => store.tokens.get(id) || "<token " + id + ">";
  function running(ids2) {
    const pieces = [];
    for (let at2 = 0; at2 < ids2.length; ) {
      const start2 = at2;
      const found = (store.joints.get(ids2[at2]) || []).find(({ run }) => run.every((id, i) => id === ids2[start2 + i]));
      if (found) for (const piece of found.pieces) pieces.push({ ...piece, first: start2 + piece.first });
      else pieces.push({ first: start2, length: 1, text: tokenText(ids2[start2]) });
      at2 += found ? found.run.length : 1;
    }
    return pieces;
  }
  var proseText = (shown3) => shown3.startsWith("␣") ? " " + shown3.slice(1) : shown3;

  // core/load.js
  var scripts = /* @__PURE__ */ new Map();
  var blocks = /* @__PURE__ */ new Map();
  for (const block of all(document, "script[data-path]"))
    if (block instanceof HTMLScriptElement) blocks.set(block.dataset.path, block);
  function open2(path) {
    const block = blocks.get(path);
    if (!block) throw new Error("cannot load " + path);
    if (block.type === "application/json") JSON.parse(block.text).forEach(receive);
    else document.head.append(el("script", {}, block.text));
  }
  function fetched(path) {
    return new Promise((done, fail) => {
      const script = el("script", { src: thisPage.root + path });
      script.onload = () => done();
      script.onerror = () => fail(new Error("cannot load " + path));
      document.head.append(script);
    });
  }
  function load(path) {
    const begun = scripts.get(path);
    if (begun) return begun;
    const loading = thisPage.single ? new Promise((done) => done(open2(path))) : fetched(path);
    loading.catch(() => scripts.delete(path));
    scripts.set(path, loading);
    return loading;
  }
  async function loadTable(slug) {
    if (!store.tables.has(slug)) await load(slug + "/latents.js");
    return store.tables.get(slug);
  }
  async function loadSequence(sequence) {
    if (!store.sequences.has(sequence))
      await load("text/" + numbered("t", before(store.report.texts, sequence)) + ".js");
    return unpack(store.sequences.get(sequence) || "");
  }
  async function loadLatent(slug, latent2) {
    const found = /\/l(\d+)\.html/.exec(latentHref(slug, latent2) || "");
    if (!found) return null;
    const shard = slug + "/" + Number(found[1]);
    if (!store.shards.has(shard)) await load(slug + "/d" + found[1] + ".js");
    const record = store.shards.get(shard);
    return record && record.byLatent.get(latent2) || null;
  }
  var { needs } = document.documentElement.dataset;
  if (thisPage.single && needs) needs.split(" ").forEach(load);

  // single/travel.js
  function scrollTo(place) {
    const target = place && document.getElementById(place);
    if (target) target.scrollIntoView();
  }
  function tab(name3, value2) {
    const key = "saereport-" + name3 + "-" + self.location.pathname;
    try {
      const had = self.sessionStorage.getItem(key);
      if (value2 === null) self.sessionStorage.removeItem(key);
      else if (value2 !== void 0) self.sessionStorage.setItem(key, value2);
      return had;
    } catch {
      return null;
    }
  }
  function stay(top) {
    let moved = false;
    for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"])
      self.addEventListener(kind, () => moved = true, { once: true, passive: true });
    for (const wait of [0, 60, 250, 600]) self.setTimeout(() => moved || self.scrollTo(0, top), wait);
  }
  function save(link3) {
    const from = (link3.getAttribute("href") || "").slice(1);
    const block = all(document, "script[data-path]").find((node) => node.dataset.path === from);
    const href = URL.createObjectURL(new Blob([block ? block.textContent : ""], { type: "application/json" }));
    el("a", { href, download: from.split("/").pop() }).click();
    self.setTimeout(() => URL.revokeObjectURL(href), 1e3);
  }
  function follow(event) {
    const link3 = around(event, "a[href^='#']");
    if (!link3 || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const href = link3.getAttribute("href") || "";
    const target = document.getElementById(href.slice(1));
    if (link3.hasAttribute("download")) save(link3);
    else if (target) {
      target.tabIndex = -1;
      target.focus();
    } else goTo(href);
  }
  function travel() {
    const { path } = document.documentElement.dataset;
    const top = tab("returned", null) && tab("top" + self.location.hash);
    document.addEventListener("DOMContentLoaded", () => top ? stay(Number(top)) : scrollTo(wanted().place));
    self.addEventListener("hashchange", (event) => {
      if (wanted().path === path) scrollTo(wanted().place);
      else {
        event.stopImmediatePropagation();
        if (session.leaving) {
          tab("top" + new URL(event.oldURL).hash, String(self.scrollY));
          self.scrollTo(0, 0);
        } else tab("returned", "yes");
        self.location.reload();
      }
    });
    document.addEventListener("click", follow);
  }
  if (thisPage.single) travel();

  // core/align.js
  var NUMBER = /^[<>≥×]? ?[+−]?[\d,]+(\.\d+)?(?: %|(×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?$/;
  var NOTHING = /* @__PURE__ */ new Set(["", "–", "dead"]);
  var MOST = 6;
  var decimals = (match) => match[1] ? match[1].length - 1 : 0;
  function aligned(column) {
    const found = column.map((text4) => typeof text4 === "string" ? NUMBER.exec(text4) : null);
    const words2 = column.filter((_, i) => !found[i]);
    if (!found.some(Boolean) || words2.some((text4) => typeof text4 !== "string" || !NOTHING.has(text4))) return null;
    const most = found.reduce((n, match) => match ? Math.max(n, decimals(match)) : n, 0);
    return found.map((match) => {
      const missing = match ? Math.min(MOST, most - decimals(match)) : 0;
      return !match || !missing || match[2] ? "" : (match[1] ? "d" : "e") + missing;
    });
  }
  var linedUp = (rows) => rows.length ? rows[0].map((_, i) => i ? aligned(rows.map((row2) => row2[i])) : null) : [];
  var cellClass = (own2, lacks) => [own2, lacks].filter(Boolean).join(" ") || null;

  // core/scale.js
  var largestOf = (numbers2) => numbers2.reduce((most, n) => Math.max(most, Math.abs(n)), 0);
  var shareOf = (value2, most) => most > 0 ? Math.abs(value2) / most : 0;

  // core/seen.js
  var seen = /* @__PURE__ */ new WeakMap();
  var observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        const action = seen.get(entry.target);
        seen.delete(entry.target);
        if (action) Promise.resolve(action()).catch(() => {
        });
      }
    },
    { rootMargin: "240px" }
  );
  function whenSeen(node, action) {
    seen.set(node, action);
    observer.observe(node);
  }
  var whenIdle = (action) => (self.requestIdleCallback || self.setTimeout)(action);
  var seeAll = (part) => all(part, "*").filter((node) => seen.has(node)).map((node) => {
    const action = seen.get(node);
    seen.delete(node);
    observer.unobserve(node);
    return Promise.resolve(action && action()).catch(() => {
    });
  });

  // core/memory.js
  var PREFIX = "saereport-";
  function remember(name3, value2) {
    try {
      if (value2 === void 0) return self.localStorage.getItem(PREFIX + name3);
      if (value2 === null) self.localStorage.removeItem(PREFIX + name3);
      else self.localStorage.setItem(PREFIX + name3, value2);
    } catch {
    }
    return null;
  }
  function remembered(start2) {
    const full = PREFIX + start2;
    try {
      return Object.keys(self.localStorage).filter((key) => key.startsWith(full)).map((key) => [key.slice(full.length), self.localStorage.getItem(key) || ""]);
    } catch {
      return [];
    }
  }

  // core/announce.js
  var said = el("p", { class: "said", role: "status" });
  document.body.append(said);
  var quiet = 0;
  function say(text4) {
    self.clearTimeout(quiet);
    said.textContent = text4;
    quiet = self.setTimeout(() => said.textContent = "", 5e3);
  }

  // shell/downloads.js
  var FORMULA = /^[\s\u200b\ufeff]*[=+\-@＝＋－＠|%]/;
  var cell = (value2) => {
    if (value2 === null || value2 === void 0) return "";
    if (typeof value2 === "number") return Number.isFinite(value2) ? String(value2) : "";
    const text4 = FORMULA.test(value2) || /^[\t\r\n]/.test(value2) ? "'" + value2 : String(value2);
    return /[",\r\n]/.test(text4) ? '"' + text4.replace(/"/g, '""') + '"' : text4;
  };
  var csv = ({ columns, rows }) => [columns, ...rows].map((row2) => row2.map(cell).join(",") + "\r\n").join("");
  var plain2 = (text4) => text4.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 48).replace(/-$/, "");
  function fileName(what, ending, latent2) {
    const { title: title2 } = store.report;
    const page2 = /([^/]+)\.html$/.exec(thisPage.kind === "prompt" || thisPage.kind === "graph" ? decodeURIComponent(pagePath()) : "");
    const parts = [title2 || "report", thisPage.sae, page2 ? page2[1] : "", latent2 === null ? "" : "latent-" + latent2, what];
    return parts.map((part) => plain2(String(part || ""))).filter(Boolean).join("_") + "." + ending;
  }
  var pagePath = () => thisPage.single ? document.documentElement.dataset.path || "" : self.location.pathname;
  function saveFile(name3, type2, text4) {
    const href = URL.createObjectURL(new Blob([text4], { type: type2 + ";charset=utf-8" }));
    const link3 = el("a", { href, download: name3 });
    document.body.append(link3);
    link3.click();
    link3.remove();
    self.setTimeout(() => URL.revokeObjectURL(href), 1e3);
    say("Saved " + name3);
  }
  var latentAt = (node) => {
    const article = node.closest("article.latent");
    return article ? Number(article.id.slice("latent-".length)) : null;
  };
  function offer(what, get) {
    const title2 = () => typeof what === "function" ? what() : what;
    const save2 = async (ending) => {
      const table3 = await get();
      const latent2 = latentAt(box);
      const name3 = fileName(title2(), ending, latent2);
      if (ending === "csv") return saveFile(name3, "text/csv", csv(table3));
      const about3 = { report: store.report.title, fingerprint: store.report.fingerprint, sae: thisPage.sae || null, latent: latent2, what: title2() };
      return saveFile(name3, "application/json", JSON.stringify({ ...about3, ...table3 }, null, 1) + "\n");
    };
    const choice = (ending) => {
      const button3 = el("button", { type: "button", "aria-label": ending.toUpperCase() + ": data of " + title2() }, ending.toUpperCase());
      button3.addEventListener("click", () => save2(ending));
      return button3;
    };
    const inside = el("span", { class: "data-choices", hidden: "" }, choice("csv"), choice("json"));
    const button2 = el("button", { class: "data-open", type: "button", "aria-expanded": "false", "aria-label": "Data of " + title2(), title: "Download the data" }, "⤓");
    const box = el("span", { class: "data" }, inside, button2);
    const open4 = (now) => {
      inside.hidden = !now;
      button2.setAttribute("aria-expanded", String(now));
    };
    button2.addEventListener("click", () => {
      open4(Boolean(inside.hidden));
      if (!inside.hidden) within(inside, "button").focus();
    });
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || inside.hidden) return;
      event.stopPropagation();
      open4(false);
      button2.focus();
    });
    return box;
  }
  var DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  function read(text4) {
    const folded2 = text4.replace(/×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)/, (_, power) => "e" + power.replace("⁻", "-").replace(/[⁰-⁹¹²³]/g, (d) => String(DIGITS.indexOf(d))));
    const number = folded2.replace("−", "-").replace(/(\d),(?=\d{3})/g, "$1");
    return /^[+-]?\d+(\.\d+)?(e-?\d+)?$/.test(number) ? Number(number) : text4;
  }
  function tableTexts(table3) {
    const texts = (row2) => Array.from(row2.cells).map((item2) => item2.textContent.replace(/\s+/g, " ").trim());
    const rows = Array.from(table3.tBodies).flatMap((body) => Array.from(body.rows));
    const head3 = table3.tHead ? texts(table3.tHead.rows[0]) : [];
    const width2 = Math.max(0, ...rows.map((row2) => row2.cells.length));
    const columns = head3.length ? head3 : Array.from({ length: width2 }, (_, i) => i ? "value" : "name");
    return { columns, rows: rows.map(texts) };
  }
  function tableData(table3) {
    const { columns, rows } = tableTexts(table3);
    return { columns, rows: rows.map((row2) => row2.map(read)) };
  }
  function factsData(list2) {
    const rows = all(list2, ":scope > div").map((fact) => {
      const said3 = within(fact, "dd");
      const note = (maybe(said3, "small")?.textContent || "").trim();
      const value2 = Array.from(said3.childNodes).filter((node) => !(node instanceof HTMLElement && node.matches("small")));
      return [within(fact, "dt").textContent.trim(), read(value2.map((node) => node.textContent || "").join("").trim()), note];
    });
    return { columns: ["name", "value", "note"], rows };
  }
  function titleOf(node) {
    const box = node.closest("details, figure, .block, section");
    const near = box && maybe(box, "h3, h2, summary b");
    const section2 = node.closest("section");
    const heading = near || section2 && maybe(section2, "h2, h3");
    return heading ? heading.textContent.trim() : document.title;
  }
  function offerTables() {
    for (const node of all(document, "main table.grid, main .told dl.kv")) {
      if (node.closest("[data-figure], article.latent")) continue;
      const menu2 = offer(titleOf(node), () => node instanceof HTMLTableElement ? tableData(node) : factsData(node));
      const section2 = node.closest("section > *") && node.closest("section");
      const how = section2 && maybe(section2, ":scope > header > .how");
      if (how && !node.closest("details") && !how.parentElement?.querySelector(".data")) how.before(menu2);
      else (node.closest(".scroll") || node).before(el("div", { class: "data-line" }, menu2));
    }
  }
  function offerOnce(figure) {
    if (maybe(figure, ".data:not(.data-line .data)")) for (const line2 of all(figure, ".data-line")) line2.remove();
  }

  // reader/files.js
  var explanationLines = (rows) => rows.slice().sort((a, b) => a.index - b.index).map((row2) => JSON.stringify(row2) + "\n").join("");
  var saveLines = (name3, text4) => saveFile(name3, "application/x-ndjson", text4);

  // reader/blind.js
  var blindMark = () => el("span", { class: "blind-mark" }, "blind");
  var own = (what, slug) => what + "-" + store.report.fingerprint + "-" + slug + "-";
  var revealed = (slug, latent2) => remember(own("revealed", slug) + latent2) === "yes";
  function blindness(sae2) {
    const slug = sae2 ? sae2.slug : "";
    const boxes2 = /* @__PURE__ */ new Map();
    let asked2 = false;
    function of(article, latent2) {
      const start2 = article.dataset.blind;
      return start2 === "redacted" || asked2 || start2 === "hidden" && !revealed(slug, latent2);
    }
    function everyone(latent2, text4) {
      const found = remembered(own("hypothesis", slug)).map(([name3, kept]) => (
        /** @type {[number, string]} */
        [Number(name3), kept]
      )).filter(([name3]) => Number.isSafeInteger(name3) && name3 !== latent2);
      found.push([latent2, text4]);
      return found.filter(([, kept]) => kept.trim());
    }
    function hypothesis(latent2) {
      const id = "hypothesis-" + latent2;
      const area = el("textarea", { id, rows: "3", spellcheck: "true" });
      area.value = remember(own("hypothesis", slug) + latent2) || "";
      const note = el("span", { class: "kept", role: "status" });
      const save2 = el("button", { type: "button" }, "Export");
      const update = () => {
        const others = everyone(latent2, area.value).length;
        save2.disabled = !others;
        const kept = remember(own("hypothesis", slug) + latent2) === area.value;
        if (!area.value.trim()) note.textContent = "What do you think that it stands for?";
        else note.textContent = kept ? "Kept in this browser" : "This browser keeps nothing: export it";
      };
      let refused = false;
      function keep() {
        const text4 = area.value.trim() ? area.value : null;
        remember(own("hypothesis", slug) + latent2, text4);
        refused = text4 !== null && remember(own("hypothesis", slug) + latent2) !== text4;
        update();
      }
      function reread2() {
        const now = remember(own("hypothesis", slug) + latent2) || "";
        if (refused) return keep();
        if (now.trim() !== area.value.trim()) area.value = now;
        return update();
      }
      area.addEventListener("input", keep);
      self.addEventListener("storage", reread2);
      self.addEventListener("pageshow", (event) => event.persisted && reread2());
      save2.title = "Your hypotheses on latents of this SAE, as a file of explanations";
      save2.addEventListener("click", () => {
        const wanted2 = everyone(latent2, area.value);
        const rows = wanted2.map(([index, description]) => ({ index, description, source: "hypothesis", sae: slug }));
        if (rows.length) saveLines("hypotheses-" + slug + ".jsonl", explanationLines(rows));
      });
      update();
      const label2 = el("label", { for: id }, "Your hypothesis");
      return { area, node: el("div", { class: "hypothesis" }, label2, area, el("div", {}, note, save2)) };
    }
    function make2(article, latent2, change) {
      const start2 = article.dataset.blind;
      const switch_ = el("button", { type: "button", class: "blind-switch", "aria-keyshortcuts": "b" });
      switch_.addEventListener("click", () => {
        const now = of(article, latent2);
        if (now && start2 === "redacted") return;
        if (now && start2 === "hidden") remember(own("revealed", slug) + latent2, "yes");
        change(!now);
      });
      const header = within(article, ":scope > header");
      if (start2 !== "redacted") header.append(switch_);
      const note = maybe(article, ".blind-note");
      const { area, node } = hypothesis(latent2);
      const box = el("section", { class: "blind-box", "aria-label": "Blind case study" });
      if (note) box.append(note);
      box.append(node);
      header.after(box);
      return { switch_, note, box, area };
    }
    function dress(article, latent2, change) {
      const made = boxes2.get(latent2) || make2(article, latent2, change);
      boxes2.set(latent2, made);
      const { switch_, note, box, area } = made;
      const now = of(article, latent2);
      article.classList.toggle("blind", now);
      all(article, "[data-reveals-text]").forEach((node) => node.hidden = now);
      switch_.textContent = now ? "Reveal" : "Blind";
      switch_.title = now ? "Show what is hidden (b)" : "Hide examples and explanation (b)";
      if (note && article.dataset.blind === "hidden") note.hidden = !now;
      box.hidden = !now && !area.value.trim() && !article.dataset.blind;
    }
    return { of, dress, ask: (wanted2) => asked2 = wanted2, suffix: () => asked2 ? "&blind" : "" };
  }

  // blocks/lists.js
  var SHORT2 = self.matchMedia("(max-width: 47.5em)").matches ? 6 : 10;
  function table(block, first, items) {
    const formats = block.formats || [];
    const head3 = el("tr", {}, el("th", { scope: "col" }, first));
    (block.columns || []).forEach((name3) => head3.append(el("th", { scope: "col" }, name3)));
    const body = el("tbody", {});
    const bar2 = block.bar;
    const most = largestOf(items.map((item2) => (bar2 === void 0 ? 0 : item2.values[bar2]) || 0));
    const texts = items.map((item2) => item2.values.map((value2, i) => formatOf(formats[i])(value2)));
    const lines2 = linedUp(texts.map((row2) => ["", ...row2]));
    const rows = items.map((item2, place) => {
      const row2 = el("tr", {}, el("td", {}, item2.node));
      item2.values.forEach((value2, i) => {
        const cell2 = el("td", { class: cellClass(i === bar2 ? "lead-value" : "", lines2[i + 1]?.[place]) }, texts[place][i]);
        if (i === bar2) {
          const line2 = el("i", { class: value2 < 0 ? "neg" : "" });
          line2.style.setProperty("width", 72 * shareOf(value2, most) + "%");
          cell2.append(line2);
        }
        row2.append(cell2);
      });
      return row2;
    });
    body.append(...rows);
    if (rows.length > SHORT2 + 2) {
      rows.slice(SHORT2).forEach((row2) => row2.hidden = true);
      const more = el("tr", { class: "more" });
      const label2 = "all " + rows.length;
      const button2 = el("button", { class: "linkish", type: "button" }, label2);
      button2.addEventListener("click", () => {
        rows.forEach((row2) => row2.hidden = false);
        more.remove();
      });
      more.append(el("td", { colspan: 1 + (block.columns || []).length }, button2));
      body.append(more);
    }
    return el("table", { class: "list" }, el("thead", {}, head3), body);
  }
  var tokenRows = (block) => block.rows.map(([token, ...values]) => ({ token, values }));
  var latentRows = (block) => block.rows.map(([latent2, shown3, ...values]) => ({ latent: latent2, shown: shown3 === 1, values }));
  var tokenCode = (id) => el("code", { class: "tok", title: "token " + id }, tokenText(id));
  function tokensBlock(block) {
    const items = tokenRows(block).map(({ token, values }) => ({ node: tokenCode(token), values }));
    const data = () => ({
      columns: ["token", "token id", ...block.columns || []],
      rows: tokenRows(block).map(({ token, values }) => [tokenText(token), token, ...values])
    });
    return titled(block, table(block, "token", items), data);
  }
  function glossNode(row2) {
    const gloss = el("span", { class: "gloss" });
    if (row2.blind) gloss.append(blindMark());
    else if (row2.label) gloss.append(row2.label);
    else
      unpack(row2.tokens).slice(0, 3).forEach((id) => gloss.append(el("code", {}, tokenText(id)), " "));
    return gloss;
  }
  function latentsBlock(block, context) {
    const slug = block.sae || context.sae;
    const sae2 = store.saes.get(slug);
    const waiting = [];
    const items = latentRows(block).map(({ latent: latent2, shown: shown3, values }) => {
      const node = el("span", {});
      if (shown3) {
        node.append(el("a", { href: latentHref(slug, latent2) || "#" }, String(latent2)));
        waiting.push({ latent: latent2, node });
      } else if (sae2 && sae2.neuronpedia) {
        const href = sae2.neuronpedia + "/" + latent2;
        node.append(el("a", { href, rel: "noreferrer", title: "on Neuronpedia" }, latent2 + " ↗"));
      } else {
        const title2 = "not shown in this report";
        node.append(el("span", { class: "absent", title: title2 }, String(latent2)));
      }
      return { node, values };
    });
    const data = () => ({
      columns: ["SAE", "latent", ...block.columns || []],
      rows: latentRows(block).map(({ latent: latent2, values }) => [slug, latent2, ...values])
    });
    const list2 = titled(block, table(block, "latent", items), data);
    if (waiting.length && !context.blind)
      whenSeen(list2, async () => {
        const rows = await loadTable(slug);
        for (const { latent: latent2, node } of waiting) {
          const row2 = rows && rows.byLatent.get(latent2);
          if (row2) node.append(glossNode(row2));
        }
      });
    return list2;
  }
  function titled(block, content, data) {
    const box = el("div", { class: "block" });
    if (block.title) box.append(el("h3", {}, block.title));
    if (!block.rows.length) box.append(el("p", { class: "none" }, "none"));
    else box.append(offer(block.title || "list", data), el("div", { class: "scroll-x" }, content));
    return box;
  }

  // reader/pins.js
  var MOST2 = 12;
  var PIN = /^([a-z0-9][a-z0-9._-]{0,120})\.(\d{1,15})$/;
  var OUTSIDE = /^(?:[a-z][a-z0-9+.-]*:|\/)/i;
  var name = ({ slug, latent: latent2 }) => slug + "." + latent2;
  var called = ({ slug, latent: latent2 }) => {
    const sae2 = store.saes.get(slug);
    return (sae2 ? sae2.label : slug) + " " + latent2;
  };
  var isPinned = (slug, latent2) => session.pinned.some((pin) => name(pin) === slug + "." + latent2);
  function parsed(text4) {
    const pins = /* @__PURE__ */ new Map();
    const unknown = [];
    let decoded = text4;
    try {
      decoded = decodeURIComponent(text4);
    } catch {
    }
    for (const part of decoded.split(",").slice(0, 100)) {
      const found = PIN.exec(part);
      const pin = found && { slug: found[1], latent: Number(found[2]) };
      if (pin && (!store.saes.size || latentHref(pin.slug, pin.latent))) pins.set(name(pin), pin);
      else if (part) unknown.push(part.slice(0, 40));
    }
    return { pins: Array.from(pins.values()), unknown };
  }
  function carry(href) {
    const within2 = href.startsWith("#") && (!thisPage.single || document.getElementById(href.slice(1)));
    if (within2 || OUTSIDE.test(href)) return href;
    const lead = thisPage.single && href.startsWith("#") ? "#" : "";
    const [path, ...rest] = href.slice(lead.length).split("#");
    const kept = rest.join("#").split("&").filter((part) => part && !part.startsWith("pins="));
    const fragment = withPins(kept.join("&"));
    return lead + path + (fragment ? "#" + fragment : "");
  }
  function dressLinks() {
    for (const link3 of all(document, "a[href]:not([download])")) {
      const href = link3.getAttribute("href") || "";
      const carried = carry(href);
      if (carried !== href) link3.setAttribute("href", carried);
    }
  }
  var said2 = el("p", { class: "tray-said", role: "status" });
  var list = el("ul", { id: "pinned" });
  var toggle = el("button", { type: "button", "aria-controls": "pinned", "aria-expanded": "false" });
  var compare = el("a", { class: "compare" }, "Compare");
  var clear = el("button", { type: "button" }, "Clear");
  var bar = el("div", {}, toggle, compare, clear);
  var tray = el("aside", { class: "tray js-only", "aria-label": "Pinned latents", hidden: "" }, said2, list, bar);
  function open3(wanted2) {
    toggle.setAttribute("aria-expanded", String(wanted2));
    list.hidden = !wanted2;
    if (wanted2) describe();
  }
  function item(pin) {
    const href = latentHref(pin.slug, pin.latent) || linkTo("index.html");
    const off = el("button", { type: "button", class: "mini-button", "aria-label": "Unpin " + called(pin) }, "×");
    off.addEventListener("click", () => {
      const place = session.pinned.findIndex((other) => name(other) === name(pin));
      togglePin(pin.slug, pin.latent);
      const left = all(list, "button");
      (left[Math.min(place, left.length - 1)] || document.getElementById("main")).focus();
    });
    const line2 = el("li", {}, el("a", { href }, called(pin)), el("span", { class: "gloss" }), off);
    line2.dataset.pin = name(pin);
    return line2;
  }
  async function describe() {
    for (const pin of session.pinned) {
      const table3 = await loadTable(pin.slug).catch(() => null);
      const row2 = table3 && table3.byLatent.get(pin.latent);
      if (table3 && !row2) drop([pin]);
      const line2 = list.querySelector("[data-pin='" + name(pin) + "']");
      if (!row2 || !line2 || !row2.label && !row2.blind && !store.tokens.size) continue;
      within(line2, ".gloss").replaceWith(glossNode(row2));
    }
  }
  function draw() {
    const n = session.pinned.length;
    tray.hidden = !n && !said2.textContent;
    bar.hidden = !n;
    toggle.textContent = n + " pinned";
    compare.href = linkTo("compare.html");
    if (thisPage.kind === "compare") compare.setAttribute("aria-current", "page");
    list.replaceChildren(...session.pinned.map(item));
    if (!n) open3(false);
    else if (!list.hidden) describe();
    document.documentElement.classList.toggle("has-tray", !tray.hidden);
  }
  function say2(text4) {
    said2.textContent = text4;
    if (!text4) return;
    const off = el("button", { type: "button", class: "mini-button", "aria-label": "Dismiss" }, "×");
    off.addEventListener("click", () => {
      say2("");
      draw();
      byId("main", HTMLElement).focus();
    });
    said2.append(" ", off);
  }
  function tab2(name3, value2) {
    const key = "saereport-" + name3 + "-" + store.report.fingerprint;
    try {
      if (value2 === void 0) return self.sessionStorage.getItem(key);
      if (value2 === null) self.sessionStorage.removeItem(key);
      else self.sessionStorage.setItem(key, value2);
    } catch {
    }
    return null;
  }
  function set(pins) {
    session.pinned = pins.slice(0, MOST2);
    session.pins = session.pinned.map(name).join(",");
    tab2("pins", session.pins);
    dressLinks();
    draw();
    for (const changed of listeners.pins) changed();
  }
  function drop(pins) {
    const gone = new Set(pins.map(name));
    say2("Not in this report, so not pinned: " + pins.map(called).join(", ") + ".");
    set(session.pinned.filter((pin) => !gone.has(name(pin))));
    setFragment(fragmentNow());
  }
  var dropPins = drop;
  function togglePin(slug, latent2) {
    const pin = { slug, latent: latent2 };
    const without = session.pinned.filter((other) => name(other) !== name(pin));
    const off = without.length < session.pinned.length;
    say2(off || without.length < MOST2 ? "" : "At most " + MOST2 + " latents can be pinned.");
    set(off ? without : [...without, pin]);
    setFragment(fragmentNow());
  }
  function fromAddress(text4 = pinsInAddress()) {
    const { pins, unknown } = parsed(text4);
    const extra = pins.length > MOST2 ? "Only the first " + MOST2 + " are pinned. " : "";
    const words2 = unknown.length ? "Not in this report, so not pinned: " + unknown.slice(0, 3).join(", ") + (unknown.length > 3 ? " …" : "") : "";
    say2(extra + words2);
    set(pins);
    if (pinsInAddress() !== session.pins) setFragment(fragmentNow());
  }
  toggle.addEventListener("click", () => open3(Boolean(list.hidden)));
  clear.addEventListener("click", () => {
    say2("");
    set([]);
    setFragment(fragmentNow());
    byId("main", HTMLElement).focus();
  });
  tray.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || list.hidden) return;
    open3(false);
    toggle.focus();
  });
  byId("main", HTMLElement).tabIndex = -1;
  document.body.append(tray);
  open3(false);
  var returned = false;
  if (self.navigation)
    self.navigation.addEventListener("navigate", ({ navigationType }) => {
      if (navigationType === "traverse" || navigationType === "push") returned = navigationType === "traverse";
    });
  self.addEventListener("hashchange", () => {
    const asked2 = pinsInAddress();
    if (asked2 && asked2 !== session.pins && !returned) fromAddress();
    else if (asked2 !== session.pins) setFragment(fragmentNow());
    returned = false;
    dressLinks();
  });
  var [came] = self.performance.getEntriesByType("navigation");
  var type = came instanceof PerformanceNavigationTiming ? came.type : "";
  var reloaded = thisPage.single && type === "reload" && (tab2("returned") || !pinsInAddress());
  tab2("returned", null);
  self.addEventListener("pagehide", () => thisPage.single && returned && tab2("returned", "yes"));
  var before2 = type === "back_forward" || reloaded ? tab2("pins") : null;
  fromAddress(before2 === null ? pinsInAddress() : before2);
  self.addEventListener("pageshow", (event) => {
    const now = event.persisted ? tab2("pins") : null;
    if (now !== null && now !== session.pins) fromAddress(now);
  });

  // reader/notebook.js
  var LIMIT = { label: 300, note: 1e4, source: 80, bytes: 5e6, lines: 5e4 };
  var UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
  var NOTHING2 = Object.freeze({ star: false, label: "", note: "", source: "" });
  var books = /* @__PURE__ */ new Map();
  var unkept = /* @__PURE__ */ new Map();
  var text = (value2, most) => typeof value2 === "string" ? value2.replace(/\r\n?/g, "\n").replace(UNSEEN, "").slice(0, most) : "";
  var line = (value2, most) => text(value2, most).replace(/\s+/g, " ");
  var isRecord = (value2) => value2 !== null && typeof value2 === "object" && !Array.isArray(value2);
  function clean(value2) {
    if (!isRecord(value2)) return NOTHING2;
    return {
      star: value2.star === true,
      label: line(value2.label, LIMIT.label),
      note: text(value2.note, LIMIT.note),
      source: line(value2.source, LIMIT.source)
    };
  }
  var isNothing = (entry) => !entry.star && !entry.label.trim() && !entry.note.trim();
  var start = (slug) => "note-" + store.report.fingerprint + "-" + slug + "-";
  function parsed2(json) {
    try {
      return JSON.parse(json);
    } catch {
      return null;
    }
  }
  function book(slug) {
    const known2 = books.get(slug);
    if (known2) return known2;
    const pages2 = /* @__PURE__ */ new Map();
    for (const [latent2, json] of remembered(start(slug))) {
      if (!/^\d{1,15}$/.test(latent2)) continue;
      const entry = clean(parsed2(json));
      if (!isNothing(entry)) pages2.set(Number(latent2), entry);
    }
    books.set(slug, pages2);
    return pages2;
  }
  var noteBook = {
    /** Whether this browser keeps all that is written; known after the first try. */
    kept: true,
    /** Called after each change. @type {(() => void)[]} */
    changed: [],
    /**
     * The note on a latent; an empty one where there is none.
     * @param {string} slug
     * @param {number} latent
     * @returns {Readonly<Note>}
     */
    of: (slug, latent2) => book(slug).get(latent2) || NOTHING2,
    /**
     * All notes on an SAE's latents, by latent.
     * @param {string} slug
     */
    all: (slug) => Array.from(book(slug)).sort(([a], [b]) => a - b),
    /**
     * Changes a note.
     * @param {string} slug
     * @param {number} latent
     * @param {Partial<Note>} change
     */
    set(slug, latent2, change) {
      put({ slug, latent: latent2, entry: clean({ ...noteBook.of(slug, latent2), ...change }) });
      tell();
    },
    /**
     * Takes notes from a file, in place of those that there are on the same latents.
     * @param {Entry[]} items
     */
    take(items) {
      items.forEach(put);
      tell();
    },
    /**
     * Whether there is a note on a latent.
     * @param {Entry} item
     */
    has: ({ slug, latent: latent2 }) => book(slug).has(latent2),
    /**
     * The reader's label; of a latent that is blinded it stays hidden with the rest.
     * @param {string} slug
     * @param {LatentRow} row
     */
    label: (slug, row2) => row2.blind && !revealed(slug, row2.latent) ? "" : noteBook.of(slug, row2.latent).label.trim(),
    /**
     * The notes on some SAEs as a file.
     * @param {string[]} slugs
     */
    lines: (slugs) => slugs.map((slug) => explanationLines(records(slug))).join("")
  };
  function put(item2) {
    const { slug, latent: latent2, entry } = item2;
    const key = start(slug) + latent2;
    if (isNothing(entry)) {
      unkept.delete(key);
      noteBook.kept = !unkept.size;
      book(slug).delete(latent2);
      remember(key, null);
      return;
    }
    book(slug).set(latent2, entry);
    const json = JSON.stringify(entry);
    remember(key, json);
    if (remember(key) === json) unkept.delete(key);
    else unkept.set(key, item2);
    noteBook.kept = !unkept.size;
  }
  var tell = () => noteBook.changed.forEach((changed) => changed());
  function reread() {
    books.clear();
    Array.from(unkept.values()).forEach(put);
    tell();
  }
  function records(slug) {
    return noteBook.all(slug).map(([index, entry]) => ({
      index,
      ...entry.label.trim() ? { description: entry.label.trim() } : {},
      source: entry.source || "reader",
      sae: slug,
      ...entry.star ? { star: true } : {},
      ...entry.note.trim() ? { note: entry.note } : {}
    }));
  }
  function understood(content) {
    const found = /* @__PURE__ */ new Map();
    let elsewhere2 = 0;
    let strange = 0;
    const own2 = thisPage.sae || (store.saes.size === 1 ? Array.from(store.saes.keys())[0] : "");
    for (const json of content.replace(/^\ufeff/, "").split("\n")) {
      if (!json.trim()) continue;
      const row2 = parsed2(json);
      if (!isRecord(row2) || !Number.isSafeInteger(row2.index) || row2.index < 0) {
        strange += 1;
        continue;
      }
      const slug = typeof row2.sae === "string" ? row2.sae : own2;
      const entry = clean({ ...row2, label: row2.description });
      if (entry.source === "reader") entry.source = "";
      if (!store.saes.has(slug) || !latentHref(slug, row2.index)) elsewhere2 += 1;
      else if (!isNothing(entry)) found.set(slug + "." + row2.index, { slug, latent: row2.index, entry });
    }
    return { found: Array.from(found.values()), elsewhere: elsewhere2, strange };
  }
  self.addEventListener("storage", reread);
  self.addEventListener("pageshow", (event) => event.persisted && reread());

  // reader/marks.js
  var STAR = "M8 1.2l2.1 4.4 4.8.6-3.5 3.3.9 4.8L8 11.9l-4.3 2.4.9-4.8L1.1 6.2l4.8-.6z";
  var PIN2 = "M5 1.5h6v1.8L9.9 4.4v2.8l2.7 2.6v1.2H8.6v4H7.4v-4h-4V9.8l2.7-2.6V4.4L5 3.3z";
  var MARKS = {
    star: {
      word: "Star",
      key: "s",
      path: STAR,
      on: (slug, latent2) => noteBook.of(slug, latent2).star,
      act: (slug, latent2) => noteBook.set(slug, latent2, { star: !noteBook.of(slug, latent2).star })
    },
    pin: { word: "Pin", key: "p", path: PIN2, on: isPinned, act: togglePin }
  };
  var KINDS = (
    /** @type {Mark[]} */
    Object.keys(MARKS)
  );
  var toggleMark = (what, slug, latent2) => MARKS[what].act(slug, latent2);
  function markButtons(slug, latent2, words2) {
    const box = el("span", { class: words2 ? "marks" : "marks small" });
    for (const what of KINDS) {
      const { word, key, path, on } = MARKS[what];
      const button2 = el("button", {
        type: "button",
        class: "mark-" + what,
        "aria-pressed": String(on(slug, latent2)),
        "aria-label": word + " latent " + latent2,
        title: word + " (" + key + ")",
        ...words2 ? { "aria-keyshortcuts": key } : {}
      });
      button2.append(svg(path, 16, 16));
      if (words2) button2.append(el("span", { "aria-hidden": "true" }, word));
      Object.assign(button2.dataset, { mark: what, slug, latent: latent2 });
      button2.addEventListener("click", () => toggleMark(what, slug, latent2));
      box.append(button2);
    }
    return box;
  }
  function freshen() {
    for (const button2 of all(document, "[data-mark]")) {
      const { slug = "", latent: latent2 } = button2.dataset;
      const mark3 = KINDS.find((kind) => kind === button2.dataset.mark);
      if (mark3) button2.setAttribute("aria-pressed", String(MARKS[mark3].on(slug, Number(latent2))));
    }
  }
  noteBook.changed.push(freshen);
  listeners.pins.push(freshen);

  // reader/notes.js
  var counted2 = (n, what) => asText.count(n) + " " + what + (n === 1 ? "" : "s");
  function controls(box) {
    const summary = el("p", { class: "kept" });
    const said3 = el("p", { class: "kept", role: "status" });
    const choice = el("div", { class: "row" });
    const button2 = (label2, action) => {
      const node = el("button", { type: "button" }, label2);
      node.addEventListener("click", action);
      return node;
    };
    const every = Array.from(store.saes.keys());
    const out = (label2, slugs, name3) => {
      const node = button2(label2, () => saveLines(name3, noteBook.lines(slugs)));
      node.dataset.slugs = slugs.join(",");
      return node;
    };
    const outs = [];
    if (thisPage.sae) outs.push(out("Export notes", [thisPage.sae], "notes-" + thisPage.sae + ".jsonl"));
    if (!thisPage.sae || every.length > 1) outs.push(out("Export all SAEs' notes", every, "notes.jsonl"));
    const file = el("input", { type: "file", id: "notes-file", class: "sr", accept: ".jsonl,.json,.txt", tabindex: "-1", "aria-label": "File of notes" });
    const bring = button2("Import notes", () => file.click());
    function update() {
      const notes = (thisPage.sae ? [thisPage.sae] : every).flatMap(noteBook.all).map(([, entry]) => entry);
      const labels = notes.filter((entry) => entry.label.trim()).length;
      summary.textContent = notes.length ? counted2(notes.filter((entry) => entry.star).length, "star") + ", " + counted2(labels, "label") + ", " + counted2(notes.filter((entry) => entry.note.trim()).length, "note") + ". " + (noteBook.kept ? "Kept in this browser only." : "This browser keeps nothing: export them before you leave the page.") : "Star latents, label them and write notes on their pages. They stay in this browser until you export them.";
      for (const node of outs) node.disabled = !(node.dataset.slugs || "").split(",").some((slug) => noteBook.all(slug).length);
    }
    function take({ found, elsewhere: elsewhere2, strange }) {
      const clashes = found.filter(noteBook.has).length;
      const rest = (elsewhere2 ? " " + counted2(elsewhere2, "line") + " about latents that this report does not show." : "") + (strange ? " " + counted2(strange, "line") + " that are not notes." : "");
      const finish = (replace) => {
        const taken = found.filter((item2) => replace || !noteBook.has(item2));
        noteBook.take(taken);
        choice.replaceChildren();
        said3.textContent = "Took " + counted2(taken.length, "latent") + "." + rest;
        bring.focus();
      };
      if (!clashes) return finish(true);
      said3.textContent = counted2(found.length, "latent") + " in the file; " + asText.count(clashes) + " of them you have notes on." + rest;
      const cancel = () => {
        choice.replaceChildren();
        said3.textContent = "Nothing was taken.";
        bring.focus();
      };
      choice.replaceChildren(
        button2("Replace mine", () => finish(true)),
        button2("Keep mine", () => finish(false)),
        button2("Cancel", cancel)
      );
      within(choice, "button").focus();
      return void 0;
    }
    file.addEventListener("change", async () => {
      const [chosen2] = file.files || [];
      choice.replaceChildren();
      said3.textContent = "";
      if (!chosen2) return;
      let content = "";
      try {
        if (chosen2.size <= LIMIT.bytes) content = await chosen2.text();
      } catch {
      }
      file.value = "";
      if (chosen2.size > LIMIT.bytes) said3.textContent = "The file is larger than 5 MB, so it is not taken.";
      else if (content.split("\n", LIMIT.lines + 1).length > LIMIT.lines) said3.textContent = "The file has more than 50,000 lines, so it is not taken.";
      else {
        const result = understood(content);
        if (result.found.length || result.elsewhere) take(result);
        else said3.textContent = "The file holds no notes: one JSON object a line, with index and description.";
      }
    });
    noteBook.changed.push(update);
    update();
    box.append(summary, el("div", { class: "row" }, ...outs, bring, file), said3, choice);
  }
  function notesSection() {
    const box = document.getElementById("notes");
    if (box) controls(box);
  }
  var boxes = /* @__PURE__ */ new WeakMap();
  function make(article, latent2) {
    const slug = thisPage.sae;
    within(article, ":scope > header").append(markButtons(slug, latent2, true));
    const label2 = el("input", { type: "text", id: "label-" + latent2, autocomplete: "off", maxlength: LIMIT.label });
    const area = el("textarea", { id: "note-" + latent2, rows: "3", maxlength: LIMIT.note, spellcheck: "true", "aria-keyshortcuts": "n" });
    const own2 = el("bdi", { class: "own" });
    const said3 = el("span", { class: "kept", role: "status" });
    const save2 = el("button", { type: "button" }, "Export notes");
    save2.title = "Your notes on latents of this SAE, as a file of explanations";
    save2.addEventListener("click", () => saveLines("notes-" + slug + ".jsonl", noteBook.lines([slug])));
    const show = () => {
      const entry = noteBook.of(slug, latent2);
      if (label2.value.trim() !== entry.label.trim()) label2.value = entry.label;
      if (area.value.trim() !== entry.note.trim()) area.value = entry.note;
      own2.textContent = [entry.label.trim(), line(entry.note, 100).trim()].filter(Boolean).join(" · ");
      save2.disabled = !noteBook.all(slug).length;
      said3.textContent = isNothing(entry) ? "A label comes back with the next build as an explanation." : noteBook.kept ? "Kept in this browser only" : "This browser keeps nothing: export it";
    };
    label2.addEventListener("input", () => noteBook.set(slug, latent2, { label: label2.value, source: "" }));
    area.addEventListener("input", () => noteBook.set(slug, latent2, { note: area.value }));
    noteBook.changed.push(show);
    show();
    const box = el(
      "details",
      { class: "notes" },
      el("summary", {}, "Your label and note", own2),
      el(
        "div",
        { class: "notes-fields" },
        el("label", { for: label2.id }, "Label"),
        label2,
        el("label", { for: area.id }, "Note"),
        area,
        el("div", { class: "row" }, said3, save2)
      )
    );
    within(article, ".story").after(box);
    return box;
  }
  listeners.latent.push((article, latent2, hidden) => {
    const box = boxes.get(article) || make(article, latent2);
    boxes.set(article, box);
    box.hidden = hidden;
  });
  function writeNote() {
    const box = maybe(document, "article.current > .notes:not([hidden])");
    if (!(box instanceof HTMLDetailsElement)) return;
    box.open = true;
    within(box, "textarea").focus();
  }

  // shell/scroll.js
  var NAME = "Scrolls; use the arrow keys";
  var BOXES = ".scroll, .scroll-x";
  function mark(box) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (scrolls === box.hasAttribute("tabindex")) return;
    if (scrolls) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      const caption = box.closest("figure, details, section");
      const heading = caption && maybe(caption, "h2, h3, summary");
      box.setAttribute("aria-label", heading ? heading.textContent.trim() + ". " + NAME : NAME);
    } else for (const name3 of ["tabindex", "role", "aria-label"]) box.removeAttribute(name3);
  }
  function around2(part) {
    const box = part.closest(BOXES);
    if (box instanceof HTMLElement) mark(box);
  }
  var sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => around2(target)));
  var seen2 = /* @__PURE__ */ new WeakSet();
  function find(node) {
    if (!(node instanceof HTMLElement)) return;
    const inside = all(node, BOXES);
    for (const box of node.matches(BOXES) ? [node, ...inside] : inside) {
      if (seen2.has(box)) continue;
      seen2.add(box);
      for (const part of [box, ...box.children]) sizes.observe(part);
      mark(box);
    }
  }
  var changes = new MutationObserver((records2) => records2.forEach((record) => record.addedNodes.forEach(find)));
  changes.observe(document.body, { childList: true, subtree: true });
  find(document.body);

  // core/tip.js
  var tip = null;
  function showTip(lines2, x = 0, y = 0) {
    if (!tip) {
      tip = el("div", { class: "tip", role: "tooltip", hidden: "" });
      document.body.append(tip);
    }
    if (!lines2) {
      tip.hidden = true;
      return;
    }
    tip.replaceChildren(
      ...lines2.map((line2, i) => i === 0 ? el("b", {}, line2) : el("div", {}, line2))
    );
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.max(4, Math.min(x + 12, self.innerWidth - box.width - 8));
    const top = y + 18 + box.height > self.innerHeight ? y - box.height - 10 : y + 18;
    tip.style.setProperty("left", left + "px");
    tip.style.setProperty("top", Math.max(4, top) + "px");
  }

  // latents/reading.js
  var CUTS = ["snippet", "sentence", "full"];
  var NUMBER2 = "(\\d{1,12}(?:\\.\\d{1,12})?(?:e[+-]?\\d{1,3})?)";
  var RANGE = new RegExp("^" + NUMBER2 + "-" + NUMBER2 + "$");
  var reading = { cut: CUTS[0], range: null, unique: false };
  function fragmentParts(fragment) {
    const [anchor2, ...rest] = fragment.split("&");
    const pairs2 = rest.map((part) => {
      const at2 = part.indexOf("=");
      return at2 < 0 ? [part, ""] : [part.slice(0, at2), part.slice(at2 + 1)];
    });
    return { anchor: anchor2, values: new Map(pairs2) };
  }
  function readView(values) {
    const found = RANGE.exec(values.get("range") || "");
    const range2 = found ? [Number(found[1]), Number(found[2])] : null;
    reading.cut = CUTS.find((cut) => cut === values.get("cut")) || CUTS[0];
    reading.range = range2 && range2[0] <= range2[1] ? range2 : null;
    reading.unique = values.has("unique");
  }
  function viewSuffix() {
    const { cut, range: range2, unique } = reading;
    const parts = [];
    if (cut !== CUTS[0]) parts.push("cut=" + cut);
    if (range2) parts.push("range=" + range2.join("-"));
    if (unique) parts.push("unique");
    return parts.map((part) => "&" + part).join("");
  }
  function followView(part) {
    for (const node of all(part, ".follows")) node.follow?.();
  }
  var onView = () => {
  };
  function whenViewChanges(action) {
    onView = action;
  }
  function changeView(changes2) {
    Object.assign(reading, changes2);
    onView();
    followView(maybe(document, "article.current") || document);
  }
  function recut() {
    const cut = CUTS[(CUTS.indexOf(reading.cut) + 1) % CUTS.length];
    changeView({ cut });
    say("Examples: " + cut);
  }
  var SHORTENED = /(?:^|[^\p{L}])(?:Mrs?|Ms|Dr|Prof|St|Sr|Jr|Mt|vs|cf|viz|approx|[eE]\.g|[iI]\.e|\p{Lu})\.$/u;
  function sentenceAround(ids2, at2) {
    const texts = ids2.map(tokenText);
    const ends2 = (i) => {
      if (store.special.has(ids2[i]) || texts[i].includes("↵")) return true;
      const last = texts.slice(Math.max(0, i - 4), i + 1).join("");
      if (/[。！？]$/.test(last)) return true;
      const next = i + 1 < ids2.length ? texts[i + 1] : "␣";
      if (SHORTENED.test(last) || /\.$/.test(last) && /^␣\p{Ll}/u.test(next)) return false;
      return /[.!?…؟।]["'”’»)\]]*$/.test(last) && /^[␣↵⇥]/.test(next);
    };
    let low = at2;
    let high2 = at2 + 1;
    while (low > 0 && !ends2(low - 1)) low -= 1;
    while (high2 < ids2.length && !ends2(high2 - 1)) high2 += 1;
    return [low, high2];
  }
  var groupsOf = (block) => block.groups.map(({ group, range: range2, examples }) => ({
    group,
    range: range2 && named("range", range2),
    examples: allNamed("example", examples)
  }));
  var peakToken = (example2) => unpack(example2.window)[example2.peak - example2.start];
  function distinct(groups) {
    const found = /* @__PURE__ */ new Map();
    for (const group of groups)
      for (const example2 of group.examples) found.set(example2.sequence + ":" + example2.peak, example2);
    const order2 = (a, b) => b.activation - a.activation || a.sequence - b.sequence || a.peak - b.peak;
    return Array.from(found.values()).sort(order2);
  }
  function foldTokens(examples, unique) {
    if (!unique) return examples.map((example2) => ({ example: example2, folded: 0 }));
    const kept = /* @__PURE__ */ new Map();
    for (const example2 of examples) {
      const token = peakToken(example2);
      const best = kept.get(token);
      const stronger = !best || example2.activation > best.example.activation ? example2 : best.example;
      kept.set(token, { example: stronger, folded: best ? best.folded + 1 : 0 });
    }
    return Array.from(kept.values());
  }
  function readersOf(sequence) {
    const numbers2 = unpack(store.readers.get(sequence) || "");
    const GOES_ON = 405855;
    const found = [];
    for (let at2 = 0; at2 < numbers2.length; ) {
      const sae2 = store.report.saes[numbers2[at2]];
      let left = numbers2[at2 + 1];
      at2 += 2;
      for (let latent2 = 0; left > 0; at2 += 1) {
        latent2 += numbers2[at2];
        if (numbers2[at2] === GOES_ON) continue;
        if (sae2) found.push({ slug: sae2.slug, latent: latent2 });
        left -= 1;
      }
    }
    return found;
  }

  // latents/brush.js
  var QUARTERS = 4;
  var edge = (k) => 2 ** Math.floor(k / QUARTERS) * (1 + (k % QUARTERS + QUARTERS) % QUARTERS / QUARTERS);
  function toAxis(value2, view) {
    if (!view.octaves) return value2;
    const power = Math.floor(Math.log2(Math.max(value2, 2 ** -300)));
    return QUARTERS * power + QUARTERS * (value2 / 2 ** power - 1) - 0.5;
  }
  function fromAxis(place, view) {
    if (!view.octaves) return place;
    const k = Math.floor(place + 0.5);
    return edge(k) + (place + 0.5 - k) * (edge(k + 1) - edge(k));
  }
  function brushedShapes(view, colours) {
    const { range: range2 } = reading;
    const { x0 = 0, dx = 1, y } = view.data[0];
    if (!range2) return [];
    const clamp = (value2) => Math.max(x0 - dx / 2, Math.min(x0 + dx * (y.length - 0.5), toAxis(value2, view)));
    const [low, high2] = range2.map(clamp);
    const line2 = { color: colours.ink, width: 1, dash: "dot" };
    return [{ type: "rect", layer: "below", yref: "paper", x0: low, x1: high2, y0: 0, y1: 1, fillcolor: colours.act, opacity: 0.22, line: line2 }];
  }
  function brushOver(plot, viewNow) {
    const box = el("div", { class: "brush", "aria-hidden": "true" });
    let from = null;
    const layout = () => {
      if (!plot._fullLayout) throw new Error("not drawn");
      return plot._fullLayout;
    };
    const place = (event) => {
      const { xaxis, _size: size } = layout();
      return Math.max(0, Math.min(xaxis._length, event.clientX - plot.getBoundingClientRect().left - size.l));
    };
    const value2 = (x) => Math.max(0, fromAxis(layout().xaxis.p2d(x), viewNow()));
    plot.addEventListener("pointerdown", (event) => {
      if (event.button || !plot._fullLayout) return;
      const { _size: size } = layout();
      if (event.clientY - plot.getBoundingClientRect().top > size.t + size.h) return;
      from = place(event);
      plot.setPointerCapture(event.pointerId);
      plot.append(box);
    });
    plot.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const { _size: size } = layout();
      const to = place(event);
      box.style.setProperty("left", size.l + Math.min(from, to) + "px");
      box.style.setProperty("width", Math.abs(to - from) + "px");
      box.style.setProperty("top", size.t + "px");
      box.style.setProperty("height", size.h + "px");
      showTip(["activation", [from, to].map(value2).sort((a, b) => a - b).map(asText.value).join(" to ")], event.clientX, event.clientY);
    });
    const end = (event) => {
      if (from === null) return;
      const to = place(event);
      const [low, high2] = [from, to].map(value2).map((number) => Number(number.toPrecision(3))).sort((a, b) => a - b);
      const moved = Math.abs(to - from) > 3;
      from = null;
      box.remove();
      showTip(null);
      if (moved && event.type === "pointerup") changeView({ range: [low, high2] });
    };
    plot.addEventListener("pointerup", end);
    plot.addEventListener("pointercancel", end);
    plot.classList.add("brushes", "follows");
    let shown3 = "";
    plot.follow = () => {
      if (shown3 === String(reading.range) || !plot.redraw) return;
      shown3 = String(reading.range);
      plot.redraw();
    };
  }

  // blocks/keys.js
  function keyList(items) {
    if (!items.length) return null;
    return el("ul", { class: "drawn-key" }, ...items.map(([name3, words2]) => el("li", {}, el("i", { class: "s-" + name3, "aria-hidden": "true" }), words2)));
  }

  // blocks/figures.js
  var PLOTLY = "assets/plotly-cartesian.min.js";
  var PAPER = 640;
  var drawn = /* @__PURE__ */ new Set();
  var CONFIG = { responsive: true, displayModeBar: false, displaylogo: false };
  var escaped = (text4) => text4.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  var plotText = escaped;
  function bins(trace, view) {
    const { octaves, decades } = view;
    const { x0 = 0, dx = 1, y } = trace;
    return y.map((count, i) => {
      const at2 = x0 + i * dx;
      if (octaves) {
        const edge2 = (k) => 2 ** Math.floor(k / 4) * (1 + (k % 4 + 4) % 4 / 4);
        return { from: edge2(at2), to: edge2(at2 + 1), count };
      }
      if (decades) return { from: 10 ** (at2 / decades), to: 10 ** ((at2 + 1) / decades), count };
      return { from: at2 - dx / 2, to: at2 + dx / 2, count };
    });
  }
  var seriesOf = (view) => view.data.map((trace) => bins(trace, view));
  function theme() {
    const names2 = ["ink", "ink-2", "ink-3", "line", "line-2", "act", "accent", "quiet", "up", "down", "raised"];
    names2.push("k0", "k1", "k2", "k3", "k4", "k5");
    return Object.fromEntries(names2.map((name3) => [name3, colourOf(name3)]));
  }
  var diverging = (colours) => [
    [0, colours.down],
    [0.5, colours.raised],
    [1, colours.up]
  ];
  function divergingLegend(most) {
    if (!(most > 0)) return el("div", { class: "legend" }, "all 0");
    const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
    for (const step2 of ["n5", "n3", "n1", "", "p1", "p3", "p5"]) ramp.append(el("i", { class: step2 }));
    return el("div", { class: "legend" }, asText.value(-most), ramp, asText.value(most));
  }
  function axis(colours, own2, log) {
    return {
      type: log ? "log" : "linear",
      gridcolor: colours.line,
      zerolinecolor: colours["line-2"],
      linecolor: colours["line-2"],
      tickcolor: colours["line-2"],
      ticks: "outside",
      ticklen: 3,
      automargin: true,
      ...own2,
      title: { standoff: 6, ...own2 && own2.title, font: { size: 11, color: colours["ink-3"] } }
    };
  }
  function layoutOf(view, colours, log, brushes) {
    const own2 = view.layout || {};
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: {
        family: getComputedStyle(document.body).fontFamily,
        size: 11,
        color: colours["ink-2"]
      },
      margin: { l: 44, r: 8, t: 8, b: 34 },
      showlegend: false,
      hovermode: "closest",
      dragmode: brushes || self.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      ...own2,
      shapes: brushes ? brushedShapes(view, colours) : own2.shapes || [],
      xaxis: { ...axis(colours, own2.xaxis, false), showgrid: false },
      yaxis: axis(colours, own2.yaxis, log)
    };
  }
  function coloured(trace, colours) {
    const colour = colours[trace.meta || "accent"] || colours.accent;
    if (trace.type === "scatter") return { ...trace, line: { ...trace.line, color: colour } };
    if (trace.type !== "bar") return trace;
    const { x0 = 0, dx = 1, y, meta } = (
      /** @type {Bars} */
      trace
    );
    const signed3 = () => y.map((_, i) => x0 + i * dx < 0 ? colours.down : colours.up);
    return { ...trace, marker: { color: meta === "signed" ? signed3() : colour, line: { width: 0 } } };
  }
  var plotBox = (fields) => el("div", fields);
  async function drawPlot(node, make2, events) {
    await load(PLOTLY);
    if (!node.isConnected) return;
    const draw2 = () => {
      const { data, layout, config } = make2(theme());
      const beside = node.closest(".cells");
      const width2 = beside ? PAPER / beside.children.length - 20 : PAPER;
      const sized = session.paper ? { ...layout, width: width2, height: node.clientHeight, autosize: false } : layout;
      return self.Plotly.react(node, data, sized, { ...CONFIG, ...config });
    };
    node.redraw = draw2;
    drawn.add(node);
    await draw2();
    for (const [name3, action] of Object.entries(events || {})) node.on?.(name3, action);
  }
  function onRedraw(node, draw2) {
    node.redraw = draw2;
    node.bare = true;
    drawn.add(node);
    draw2();
  }
  var readyFigures = () => whenIdle(() => maybe(document, ".plot") && load(PLOTLY).catch(() => {
  }));
  function redraw() {
    for (const node of drawn) {
      if (!node.isConnected) {
        if (!node.bare) self.Plotly.purge(node);
        drawn.delete(node);
      } else if (node.offsetParent) node.redraw?.();
      else node.stale = true;
    }
  }
  async function drawAll(part) {
    await Promise.all(seeAll(part));
    redraw();
  }
  function freshen2() {
    for (const node of drawn) {
      if (!node.stale || !node.offsetParent) continue;
      node.stale = false;
      node.redraw?.();
    }
  }
  self.addEventListener("resize", () => {
    for (const node of drawn) {
      if (!node.offsetParent) node.stale = true;
      else if (node.bare) node.redraw?.();
    }
  });
  function filled(text4, values = {}) {
    return (text4 || "").replace(/\{(\w+)\}/g, (all2, name3) => Object.hasOwn(values, name3) ? asText.shown(values[name3]) : all2);
  }
  function rowsOf(view) {
    const series = seriesOf(view);
    if ((view.columns || []).length === 2) return series[0].map(({ count }, i) => [String(i), asText.percent(count)]);
    const rows = series[0].map(({ from, to }, i) => [asText.value(from), asText.value(to), ...series.map((row2) => asText.count(row2[i].count))]);
    return rows.filter((_, i) => series.some((row2) => row2[i].count));
  }
  function dataOf(view) {
    const series = seriesOf(view);
    const { columns = [] } = view;
    if (columns.length === 2) return { columns, rows: series[0].map(({ count }, i) => [i, count]) };
    return { columns, rows: series[0].map(({ from, to }, i) => [from, to, ...series.map((row2) => row2[i].count)]) };
  }
  var tableOf = (view) => gridTable({ columns: view.columns || [], rows: rowsOf(view) });
  function gridTable({ columns, rows }) {
    const texts = rows.map((row2) => row2.map((value2) => String(value2 ?? "")));
    const lines2 = linedUp(texts);
    const style = (i) => lines2[i] ? "number" : "";
    const head3 = el("tr", {}, ...columns.map((name3, i) => el("th", { scope: "col", class: style(i) }, name3)));
    const body = el("tbody", {});
    texts.forEach(([first, ...others], place) => {
      const cells = others.map((cell2, i) => el("td", { class: cellClass(style(i + 1), lines2[i + 1]?.[place]) }, cell2));
      body.append(el("tr", {}, el("th", { scope: "row" }, first), ...cells));
    });
    return el("div", { class: "scroll" }, el("table", { class: "grid" }, el("thead", {}, head3), body));
  }
  function unfolding(label2, make2) {
    const details = el("details", {}, el("summary", {}, label2));
    details.addEventListener("toggle", () => {
      const table3 = maybe(details, ".scroll");
      if (table3) table3.remove();
      if (details.open) details.append(make2());
    });
    return details;
  }
  function segments(labels, current, pick, name3) {
    const box = el("div", { class: "seg", role: "group", "aria-label": name3 });
    labels.forEach((label2, i) => {
      const button2 = el("button", { type: "button", "aria-pressed": String(i === current) }, label2);
      button2.addEventListener("click", () => {
        for (const other of box.children) other.setAttribute("aria-pressed", String(other === button2));
        pick(i);
      });
      box.append(button2);
    });
    return box;
  }
  function hover(view, event) {
    const [point] = event.points;
    const mouse = event.event;
    if (!mouse) return;
    const { columns = [] } = view;
    const { value: value2, count, percent: percent2 } = asText;
    const place = point.pointIndex;
    const row2 = seriesOf(view).map((series) => series[place]);
    const [{ from, to }] = row2;
    const lines2 = columns.length === 2 ? [columns[0] + " " + place, percent2(row2[0].count)] : [value2(from) + " – " + value2(to), ...row2.map((bin, i) => count(bin.count) + " " + (columns[2 + i] || ""))];
    showTip(lines2, mouse.clientX, mouse.clientY);
  }
  function figureBlock(block, given, blind) {
    const state = { view: 0, log: remember("log-" + block.base) === "yes" };
    if (state.view >= block.views.length) state.view = 0;
    const summary = filled(block.summary, block.v);
    const caption = el("figcaption", {});
    const title2 = block.title || given && maybe(given, "h3")?.textContent || "figure";
    const plot = plotBox({ class: "plot", role: "img", "aria-label": summary || title2 + "." });
    const box = given || el("figure", { class: "block figure" });
    const brushes = thisPage.kind === "latents" && block.base === "activation.histogram" && !blind;
    if (!given) {
      caption.append(el("h3", {}, block.title || ""));
      const details = unfolding("Table", () => tableOf(block.views[state.view]));
      box.append(caption, el("p", { class: "summary" }, summary), plot, details);
    }
    if (given) (maybe(given, ".summary") || within(given, "figcaption")).after(plot);
    const draw2 = () => {
      const view = block.views[state.view];
      return drawPlot(plot, (colours) => ({
        data: view.data.map((trace) => coloured(trace, colours)),
        layout: layoutOf(view, colours, state.log, brushes)
      }));
    };
    const [{ data: traces, columns = [] }] = block.views;
    if (traces.length > 1) {
      const key = keyList(traces.map((trace, i) => ["bar d-" + (trace.meta || "accent"), trace.name || columns[2 + i] || ""]));
      if (key) plot.after(key);
    }
    const start2 = async () => {
      await draw2();
      if (!plot.on) return;
      plot.on("plotly_hover", (event) => hover(block.views[state.view], event));
      plot.on("plotly_unhover", () => showTip(null));
      for (const [name3, action] of Object.entries(block.events || {})) plot.on(name3, action);
    };
    const labels = block.views.map((view) => view.label);
    const controls2 = given ? within(given, "figcaption") : caption;
    if (labels.length > 1) {
      const pick = (i) => {
        state.view = i;
        const details = maybe(box, "details");
        if (details instanceof HTMLDetailsElement) details.open = false;
        draw2();
      };
      controls2.append(segments(labels, state.view, pick, block.choice || "bins"));
    }
    if (block.log) {
      const pick = (i) => {
        state.log = i === 1;
        remember("log-" + block.base, state.log ? "yes" : null);
        draw2();
      };
      controls2.append(segments(["counts", "log counts"], state.log ? 1 : 0, pick, "count axis"));
    }
    controls2.append(offer(title2, () => dataOf(block.views[state.view])));
    if (brushes) brushOver(plot, () => block.views[state.view]);
    whenSeen(plot, start2);
    return box;
  }

  // blocks/merge.js
  var isRecord2 = (value2) => value2 !== null && typeof value2 === "object" && !Array.isArray(value2);
  var areRecords = (value2) => Array.isArray(value2) && value2.length > 0 && value2.every(isRecord2);
  function merge(under, over) {
    if (isRecord2(under) && isRecord2(over)) {
      const result = { ...under };
      for (const [key, value2] of Object.entries(over)) {
        result[key] = Object.hasOwn(under, key) ? merge(under[key], value2) : value2;
      }
      return result;
    }
    if (areRecords(under) && areRecords(over)) {
      const longest = Math.max(under.length, over.length);
      return Array.from({ length: longest }, (_, i) => {
        if (i >= under.length) return over[i];
        return i < over.length ? merge(under[i], over[i]) : under[i];
      });
    }
    return over;
  }
  function merged(block) {
    const whole2 = block.base ? merge(store.bases.get(block.base) || {}, block) : block;
    if (!whole2.alike) return whole2;
    const [first, ...others] = whole2.views;
    return { ...whole2, views: [first, ...others.map((view) => merge(first, view))] };
  }

  // blocks/examples.js
  var FIRST = { top: 10, other: 4 };
  var info = /* @__PURE__ */ new WeakMap();
  var describeToken = (token, lines2) => info.set(token, { lines: lines2, tokens: [], text: "" });
  function level(activation, max) {
    if (!(max > 0) || !(activation > 0)) return 0;
    return Math.min(9, Math.floor(10 * activation / max));
  }
  var levelOf = level;
  var activations = ({ range: range2 }) => range2 ? asText.value(range2.low) + " – " + asText.value(range2.high) : "";
  function nameOfGroup(group, edges, n) {
    const [kind, number] = group.group.split(":");
    if (kind === "top") return "Strongest";
    if (kind === "quantile") {
      const ends2 = [0, ...edges, 1].slice(Number(number), Number(number) + 2);
      if (edges.length && ends2.length === 2) return "Quantile " + ends2.map(asText.percent).join(" – ");
      return "Quantile group " + (Number(number) + 1) + " of " + n;
    }
    return group.range ? "Activation " + activations(group) : kind + " " + number;
  }
  function about(token) {
    const data = info.get(token);
    if (!data || data.lines) return data?.lines || null;
    const active = (value2) => value2 === void 0 ? "not active" : "activation " + asText.value(value2);
    const by = (value2) => data.name ? active(value2) + ", " + data.name : active(value2);
    if (data.tokens.length === 1) {
      const [{ id, position, value: value2 }] = data.tokens;
      return [tokenText(id), by(value2), "token " + id + " · position " + position];
    }
    const each = data.tokens.map(({ id, position, value: value2 }) => tokenText(id) + " " + by(value2) + " · token " + id + " · position " + position);
    return [data.text + ", in " + data.tokens.length + " tokens", ...each];
  }
  var JOINS = /^◌(?=\p{M})/u;
  function fill(words2, ids2, low, eyes, own2) {
    const parts = [];
    if (low > 0 && !own2.whole) parts.push("…");
    let last = "";
    let stop = false;
    running(ids2).forEach(({ first, length, text: read2 }) => {
      const tokens2 = ids2.slice(first, first + length).map((id, i) => {
        const position = low + first + i;
        return { id, position, value: eyes.active.get(position) };
      });
      const values = tokens2.map((token) => token.value).filter((active) => active !== void 0);
      const value2 = values.length ? Math.max(...values) : void 0;
      const isPeak = !stop && tokens2.some((token) => token.position === own2.peak);
      const classes = [];
      if (value2 !== void 0) classes.push("a" + level(value2, eyes.max));
      if (isPeak) classes.push("peak");
      if (store.special.has(tokens2[0].id)) classes.push("special");
      if (!own2.whole && (low + first + length <= own2.start || low + first >= (own2.stop ?? Infinity))) classes.push("far");
      let text4 = proseText(read2);
      if (value2 === void 0 && last && !last.endsWith(" ")) text4 = text4.replace(JOINS, "");
      last = text4;
      const word = text4.length > 1 && text4.startsWith(" ") ? text4.slice(1) : text4;
      if (word !== text4) parts.push(" ");
      const span = el("span", classes.length ? { class: classes.join(" ") } : {}, word);
      info.set(span, { tokens: tokens2, text: read2, name: eyes.name });
      if (isPeak || length > 1) span.tabIndex = 0;
      stop = stop || isPeak;
      parts.push(span);
    });
    if (low + ids2.length === own2.stop) parts.push("…");
    words2.replaceChildren(...parts);
  }
  var activeIn = ({ places, values }) => new Map(places.map((place, i) => [place, values[i]]));
  var nameOf = (slug, latent2) => (store.saes.get(slug) || { label: slug }).label + " " + latent2;
  function otherEyes(sequence, here, look) {
    const others = readersOf(sequence).filter(({ slug, latent: latent2 }) => slug !== here.slug || latent2 !== here.latent);
    const box = el("div", { class: "also" });
    if (!others.length) return box;
    const select = el("select", { title: "Latents of this report with a stored example in this text: a sample, not all that are active" });
    const fill_ = () => {
      const kept = select.value;
      const options = others.map(({ slug, latent: latent2 }, i) => {
        const table3 = store.tables.get(slug);
        const row2 = table3 && table3.byLatent.get(latent2);
        const gloss = row2 ? row2.label || unpack(row2.tokens).slice(0, 3).map(tokenText).join(" ") : "";
        return el("option", { value: String(i) }, nameOf(slug, latent2) + (gloss ? ": " + gloss.slice(0, 60) : ""));
      });
      select.replaceChildren(el("option", { value: "" }, "this latent alone"), ...options);
      select.value = kept;
    };
    fill_();
    const slugs = Array.from(new Set(others.map(({ slug }) => slug))).filter((slug) => (store.saes.get(slug)?.count ?? Infinity) <= 2e3);
    Promise.all(slugs.map(loadTable)).then(fill_, () => {
    });
    const said3 = el("span", { class: "seen", role: "status" });
    select.addEventListener("change", async () => {
      said3.replaceChildren();
      if (select.value === "") return look(null);
      const { slug, latent: latent2 } = others[Number(select.value)];
      const record = await loadLatent(slug, latent2);
      const [block] = record && new Map(record.panels).get("examples") || [];
      const found = block && distinct(groupsOf(merged(block))).find((example2) => example2.sequence === sequence);
      if (!record || !found) return look(null);
      const name3 = nameOf(slug, latent2);
      look({ active: activeIn(found), max: record.max, name: name3 });
      said3.append("Coloured by ", el("a", { href: latentHref(slug, latent2) }, name3), legend(record.max));
      return null;
    });
    box.append(el("label", {}, el("span", {}, "Also active here (" + others.length + ", a sample)"), select), said3);
    return box;
  }
  function row({ example: example2, folded: folded2 }, max, here) {
    const { sequence, peak, activation, start: start2 } = example2;
    const window_ = unpack(example2.window);
    const own2 = { peak, start: start2, stop: start2 + window_.length };
    const mine = { active: activeIn(example2), max };
    const words2 = el("div", { class: "words", dir: "auto" });
    const fold = el("button", { class: "fold", type: "button" });
    fold.title = "Full context";
    fold.setAttribute("aria-label", "Full context");
    const also = el("div", { class: "also-box" });
    let open4 = reading.cut === "full";
    let asked2 = 0;
    async function show(eyes) {
      asked2 += 1;
      const now = asked2;
      fold.setAttribute("aria-expanded", String(open4));
      fold.textContent = open4 ? "▾" : "▸";
      if (!open4) also.replaceChildren();
      if (!open4 && reading.cut !== "sentence") return fill(words2, window_, start2, mine, own2);
      if (!words2.firstChild) fill(words2, window_, start2, mine, own2);
      const ids2 = await loadSequence(sequence);
      if (now !== asked2) return null;
      if (open4) {
        fill(words2, ids2, 0, eyes || mine, own2);
        if (!also.firstChild) also.append(otherEyes(sequence, here, show));
        return null;
      }
      const [low, high2] = sentenceAround(ids2, peak);
      return fill(words2, ids2.slice(low, high2), low, mine, { peak, start: low, whole: true });
    }
    fold.addEventListener("click", () => {
      open4 = !open4;
      show(null);
    });
    const pressed = (event) => {
      if (!around(event, "a, button, select, label") && self.getSelection()?.isCollapsed !== false) fold.click();
    };
    show(null);
    const where = "doc " + example2.document + " · seq " + sequence + ":" + peak + " ";
    const more = folded2 ? el("span", { class: "folded" }, "+" + folded2 + " on ", tokenCode(peakToken(example2)), " ") : null;
    const end = el("span", { class: "at" }, where);
    const item2 = el(
      "li",
      { class: "example" },
      el("span", { class: "value" }, asText.value(activation)),
      words2,
      el("span", { class: "tail" }, more, end, fold),
      also
    );
    item2.addEventListener("click", pressed);
    return item2;
  }
  function groupNode(section2, max, here) {
    const { group } = section2;
    const heading = el("h3", {}, section2.title);
    if (group && group.range) {
      if (group.group.startsWith("quantile:")) heading.append(el("span", {}, "activation " + activations(group)));
      const { n_active, share: share2 } = group.range;
      const bar2 = el("i", {});
      bar2.style.setProperty("width", 100 * share2 + "%");
      const text4 = n_active === null ? asText.percent(share2) + " of all tokens" : asText.count(n_active) + " active tokens, " + asText.percent(share2) + " of all";
      heading.append(el("span", {}, text4), el("span", { class: "share", "aria-hidden": "true" }, bar2));
    }
    const list2 = el("ul", {});
    const { rows, limit } = section2;
    rows.slice(0, limit).forEach((item2) => list2.append(row(item2, max, here)));
    const box = el("section", { class: "group" }, heading, list2);
    if (!rows.length) {
      const empty = group && group.range && group.range.n_active === 0;
      const why = empty ? "None of its active tokens lies in this range." : group ? "No example was drawn from this range." : "No stored example lies in this range.";
      box.append(el("p", { class: "none" }, why));
    }
    if (rows.length > limit) {
      const more = el("button", { class: "linkish", type: "button" }, "all " + rows.length + " examples");
      more.addEventListener("click", () => {
        const items = rows.slice(limit).map((item2) => row(item2, max, here));
        list2.append(...items);
        more.remove();
        within(items[0], ".fold").focus();
      });
      box.append(more);
    }
    return box;
  }
  var peakKey = (signed3) => {
    const sample2 = el("span", { class: signed3 ? "s-peak signed" : "s-peak", "aria-hidden": "true" }, "ab");
    return el("span", { class: "legend" }, sample2, "peak");
  };
  function legend(max) {
    const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
    for (let i = 0; i < 10; i += 1) ramp.append(el("i", { class: "a" + i }));
    return el("span", { class: "legend" }, "0", ramp, asText.value(max));
  }
  var KINDS2 = [
    ["top", "Strongest"],
    ["interval", "By interval"],
    ["quantile", "By quantile"]
  ];
  function rangeFields(max) {
    const field2 = (name3) => el("input", { type: "number", step: "any", min: "0", "aria-label": "Activation " + name3, placeholder: name3 === "from" ? "0" : asText.value(max) });
    const [low, high2] = [field2("from"), field2("to")];
    const change = () => {
      const ends2 = [low.value === "" ? 0 : Number(low.value), high2.value === "" ? max : Number(high2.value)];
      const none = low.value === "" && high2.value === "";
      changeView({ range: none ? null : [Math.max(0, Math.min(...ends2)), Math.max(0, ...ends2)] });
    };
    for (const input of [low, high2]) input.addEventListener("change", change);
    const box = el("span", { class: "range", role: "group", "aria-label": "Activations" }, el("span", {}, "activation"), low, "–", high2);
    box.follow = () => {
      const { range: range2 } = reading;
      low.value = range2 ? String(range2[0]) : "";
      high2.value = range2 ? String(range2[1]) : "";
    };
    return box;
  }
  function examplesBlock(block, { sae: sae2, latent: latent2, max }) {
    const here = { slug: sae2, latent: latent2 };
    const groups = groupsOf(block);
    const byKind = KINDS2.map(([kind, label2]) => ({
      kind,
      label: label2,
      groups: groups.filter((group) => group.group.split(":")[0] === kind)
    })).filter((item2) => item2.groups.length);
    const nQuantiles = groups.filter(({ group }) => group.startsWith("quantile:")).length;
    const all2 = distinct(groups);
    const wanted2 = byKind.findIndex((item2) => item2.kind === remember("examples"));
    let current = wanted2 < 0 ? 0 : wanted2;
    function sections() {
      const { range: range3, unique: unique2 } = reading;
      if (!range3) {
        const chosen2 = byKind.length ? byKind[current].groups : [];
        return chosen2.map((group) => ({
          title: nameOfGroup(group, block.quantiles || [], nQuantiles),
          group,
          rows: foldTokens(group.examples, unique2),
          limit: group.group === "top" ? FIRST.top : FIRST.other
        }));
      }
      const inside = all2.filter((example2) => example2.activation >= range3[0] && example2.activation <= range3[1]);
      const title2 = "Activation " + range3.map(asText.value).join(" to ");
      return [{ title: title2, group: null, rows: foldTokens(inside, unique2), limit: FIRST.top }];
    }
    const body = el("div", {});
    const said3 = el("span", { role: "status" });
    const reset = el("button", { type: "button", class: "linkish" }, "Reset");
    reset.addEventListener("click", () => changeView({ range: null, unique: false }));
    const sieve = el("p", { class: "sieve" }, said3, " ", reset);
    const box = el("div", { class: "block follows" }, sieve, body);
    const kinds2 = segments(byKind.map((item2) => item2.label), current, (i) => {
      current = i;
      remember("examples", byKind[i].kind);
      show();
    }, "which examples");
    const cuts = segments(CUTS.map((cut) => cut[0].toUpperCase() + cut.slice(1)), 0, (i) => changeView({ cut: CUTS[i] }), "how much text");
    const unique = el("button", { type: "button", class: "toggle", title: "The strongest example of each peak token" }, "One per token");
    unique.addEventListener("click", () => changeView({ unique: !reading.unique }));
    const range2 = rangeFields(max);
    let shown3 = "";
    function show() {
      const view = reading;
      const found = sections();
      const rows = found.flatMap((section2) => section2.rows);
      const stored = view.range ? all2.length : rows.reduce((sum, { folded: folded2 }) => sum + folded2 + 1, 0);
      const parts = [rows.length + " of " + stored + " stored examples"];
      if (view.range) parts.push("activation " + view.range.map(asText.value).join(" to "));
      if (view.unique) parts.push("the strongest of each peak token");
      said3.textContent = view.range || view.unique ? parts.join(", ") : "";
      sieve.hidden = !said3.textContent;
      kinds2.hidden = byKind.length < 2 || Boolean(view.range);
      Array.from(cuts.children).forEach((button2, i) => button2.setAttribute("aria-pressed", String(CUTS[i] === view.cut)));
      unique.setAttribute("aria-pressed", String(view.unique));
      range2.follow?.();
      shown3 = JSON.stringify(view);
      body.replaceChildren(...found.map((section2) => groupNode(section2, max, here)));
    }
    box.follow = () => JSON.stringify(reading) !== shown3 && show();
    show();
    const columns = ["group", "activation", "peak token", "text", "document", "sequence", "position", "active positions", "activations"];
    const table3 = () => ({
      columns,
      rows: sections().flatMap(
        (section2) => section2.rows.map(({ example: example2 }) => {
          const prose = running(unpack(example2.window)).map((piece) => proseText(piece.text)).join("");
          const { sequence, peak, activation, places, values } = example2;
          return [section2.title, activation, tokenText(peakToken(example2)), prose, example2.document, sequence, peak, places.join(" "), values.join(" ")];
        })
      )
    });
    const own2 = thisPage.kind === "latents" ? range2 : null;
    box.controls = [kinds2, cuts, unique, ...own2 ? [own2] : [], legend(max), peakKey(), offer("examples", table3)];
    return box;
  }
  function watchExamples() {
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
        const fold = maybe(span.closest(".example") || span, ".fold");
        event.preventDefault();
        fold?.focus();
        fold?.click();
      }
      if (!span || event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const next = event.key === "ArrowRight" ? span.nextElementSibling : span.previousElementSibling;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!(next instanceof HTMLElement)) return;
      next.tabIndex = 0;
      if (!span.classList.contains("peak")) span.tabIndex = -1;
      next.focus();
    });
  }

  // core/view.js
  var LONGEST = 400;
  function partsOf(fragment) {
    const [first, ...rest] = fragment.split("&");
    const place = first.includes("=") ? "" : first;
    return { place, values: new URLSearchParams(place ? rest.join("&") : fragment) };
  }
  var chosen = (name3) => thisPage.kind === "prompt" ? (partsOf(fragmentNow()).values.get(name3) || "").slice(0, LONGEST) : "";
  function choose(name3, value2) {
    if (thisPage.kind !== "prompt") return;
    const { place, values } = partsOf(fragmentNow());
    if (value2) values.set(name3, value2);
    else values.delete(name3);
    setFragment([place, values.toString().replaceAll("%3A", ":").replaceAll("%7E", "~").replaceAll("%40", "@")].filter(Boolean).join("&"));
  }
  var whenChosen = (action) => self.addEventListener("hashchange", action);

  // blocks/cloud.js
  var STEPS = 3166;
  var MARGIN = { left: 52, right: 10, top: 8, bottom: 38 };
  var REACH = 14;
  var axisOf = ({ name: name3, log, low, high: high2, values }) => ({ name: name3, log, low, high: high2, places: unpack(values) });
  function valueOf(axis2, row2) {
    const place = axis2.places[row2];
    if (!place) return null;
    const at2 = axis2.low + (place - 1) / STEPS * (axis2.high - axis2.low);
    return axis2.log ? 10 ** at2 : at2;
  }
  function ticks({ log, low, high: high2 }) {
    const found = [];
    if (log) {
      const steps = high2 - low > 2.5 ? [1] : high2 - low > 1.2 ? [1, 3] : [1, 2, 5];
      for (let power2 = Math.floor(low); power2 <= high2; power2 += 1)
        for (const step3 of steps) {
          const at2 = power2 + Math.log10(step3);
          if (at2 >= low && at2 <= high2) found.push([at2, asText.value(10 ** at2)]);
        }
      return found;
    }
    const rough = (high2 - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step2 = power * ([1, 2, 5].find((times) => power * times >= rough) || 10);
    for (let i = Math.ceil(low / step2); i * step2 <= high2; i += 1) found.push([i * step2, asText.value(i * step2)]);
    return found;
  }
  function pixel({ x, y, base }, row2) {
    const [across, up] = [x.places[row2], y.places[row2]];
    if (!across || !up) return null;
    const width2 = base.clientWidth - MARGIN.left - MARGIN.right;
    const height = base.clientHeight - MARGIN.top - MARGIN.bottom;
    return [MARGIN.left + (across - 1) / STEPS * width2, MARGIN.top + (1 - (up - 1) / STEPS) * height];
  }
  function cleared(canvas) {
    const scale2 = self.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * scale2);
    canvas.height = Math.round(canvas.clientHeight * scale2);
    const pen2 = canvas.getContext("2d");
    if (pen2) pen2.setTransform(scale2, 0, 0, scale2, 0, 0);
    return pen2;
  }
  function drawAxes(pen2, { x, y, base }) {
    const [right, bottom] = [base.clientWidth - MARGIN.right, base.clientHeight - MARGIN.bottom];
    const [width2, height] = [right - MARGIN.left, bottom - MARGIN.top];
    pen2.font = "11px " + getComputedStyle(document.body).fontFamily;
    pen2.strokeStyle = colourOf("line");
    pen2.fillStyle = colourOf("ink-2");
    pen2.lineWidth = 1;
    const share2 = (axis2, at2) => axis2.high > axis2.low ? (at2 - axis2.low) / (axis2.high - axis2.low) : 0;
    pen2.beginPath();
    pen2.textAlign = "center";
    let end = -Infinity;
    for (const [at2, text4] of ticks(x)) {
      const left = MARGIN.left + share2(x, at2) * width2;
      pen2.moveTo(left, MARGIN.top);
      pen2.lineTo(left, bottom);
      const half = pen2.measureText(text4).width / 2;
      if (left - half < end + 6 || left + half > base.clientWidth) continue;
      end = left + half;
      pen2.fillText(text4, left, bottom + 14);
    }
    pen2.textAlign = "right";
    for (const [at2, text4] of ticks(y)) {
      const top = MARGIN.top + (1 - share2(y, at2)) * height;
      pen2.moveTo(MARGIN.left, top);
      pen2.lineTo(right, top);
      pen2.fillText(text4, MARGIN.left - 5, top + 4);
    }
    pen2.stroke();
    pen2.fillStyle = colourOf("ink-3");
    pen2.textAlign = "center";
    pen2.fillText(x.name, MARGIN.left + width2 / 2, bottom + 31);
    pen2.save();
    pen2.translate(11, MARGIN.top + height / 2);
    pen2.rotate(-Math.PI / 2);
    pen2.fillText(y.name, 0, 0);
    pen2.restore();
  }
  function cloudBlock(block, given) {
    const axes = block.axes.map(axisOf);
    const latents2 = block.latents.length ? block.latents : Array.from({ length: block.n }, (_, i) => i);
    const rowOf = new Map(latents2.map((latent2, row2) => [latent2, row2]));
    const groups = (block.groups || []).map(({ name: name4, role, rows }) => ({ name: name4, role, rows: unpack(rows) }));
    const kind = new Map(groups.flatMap(({ name: name4, rows }) => rows.map((row2) => [row2, name4])));
    const shown3 = new Map(block.shown);
    const box = given || el("figure", { class: "block figure" });
    if (!given) box.append(el("figcaption", {}), el("p", { class: "summary" }, block.summary));
    const caption = within(box, "figcaption");
    const plots = el("div", { class: "cloud" });
    (maybe(box, ".summary") || caption).after(plots);
    const drawings = block.plots.map(([across, up]) => {
      const [x, y] = [axes[across], axes[up]];
      const label2 = "Scatter plot: " + y.name + " over " + x.name + " of " + asText.count(block.n) + " latents.";
      const base = el("canvas", { role: "img", "aria-label": label2 });
      const over = el("canvas", { "aria-hidden": "true" });
      plots.append(el("div", { class: "cloud-plot" }, base, over));
      return { x, y, base, over };
    });
    const size = block.n > 8e3 ? 1.2 : block.n > 1500 ? 2 : 2.6;
    const drawBase = () => {
      const colours = new Map(["ink-3", "ink", ...groups.map(({ role }) => role)].map((name4) => [name4, colourOf(name4)]));
      const order2 = [...groups.map(({ rows, role }) => ({ rows, role, radius: size + 0.5 })), { rows: [...shown3.keys()], role: "", radius: size + 1.4 }];
      for (const drawing of drawings) {
        const pen2 = cleared(drawing.base);
        if (!pen2) continue;
        drawAxes(pen2, drawing);
        pen2.fillStyle = colours.get("ink-3") || "";
        pen2.globalAlpha = block.n > 8e3 ? 0.6 : 0.85;
        for (let row2 = 0; row2 < block.n; row2 += 1) {
          const at2 = pixel(drawing, row2);
          if (at2) pen2.fillRect(at2[0] - size / 2, at2[1] - size / 2, size, size);
        }
        pen2.globalAlpha = 1;
        for (const { rows, role, radius } of order2)
          for (const row2 of rows) {
            const at2 = pixel(drawing, row2);
            if (!at2) continue;
            pen2.beginPath();
            pen2.arc(at2[0], at2[1], radius, 0, 2 * Math.PI);
            if (role) {
              pen2.fillStyle = colours.get(role) || "";
              pen2.fill();
            } else {
              pen2.strokeStyle = colours.get("ink") || "";
              pen2.lineWidth = 1.1;
              pen2.stroke();
            }
          }
      }
    };
    const said3 = el("p", { class: "cloud-said", role: "status" });
    let chosen2 = null;
    const lines2 = (row2) => {
      const values = axes.map((axis2) => {
        const value2 = valueOf(axis2, row2);
        return axis2.name + " " + (value2 === null ? "–" : asText.value(value2));
      });
      const label2 = shown3.get(row2);
      return ["Latent " + latents2[row2] + (kind.has(row2) ? ", " + kind.get(row2) : ""), ...label2 ? [label2] : [], values.join(" · "), ...block.notes[row2] ? [block.notes[row2]] : []];
    };
    const mark3 = (row2) => {
      for (const drawing of drawings) {
        const pen2 = cleared(drawing.over);
        const at2 = pen2 && row2 !== null && pixel(drawing, row2);
        if (!pen2 || !at2) continue;
        pen2.strokeStyle = colourOf("accent");
        pen2.lineWidth = 2;
        pen2.beginPath();
        pen2.arc(at2[0], at2[1], 7, 0, 2 * Math.PI);
        pen2.stroke();
        pen2.beginPath();
        pen2.globalAlpha = 0.45;
        pen2.lineWidth = 1;
        pen2.moveTo(MARGIN.left, at2[1]);
        pen2.lineTo(drawing.base.clientWidth - MARGIN.right, at2[1]);
        pen2.moveTo(at2[0], MARGIN.top);
        pen2.lineTo(at2[0], drawing.base.clientHeight - MARGIN.bottom);
        pen2.stroke();
      }
    };
    const choose2 = (row2) => {
      chosen2 = row2;
      mark3(row2);
      said3.replaceChildren();
      if (row2 === null) return;
      const [first, ...others] = lines2(row2);
      const href = shown3.has(row2) ? latentHref(block.sae, latents2[row2]) : null;
      said3.append(href ? el("a", { href }, first) : el("b", {}, first), ...others.map((line2) => el("span", {}, line2)));
    };
    const nearest = (drawing, event) => {
      const { left, top } = drawing.base.getBoundingClientRect();
      const [x, y] = [event.clientX - left, event.clientY - top];
      let [best, row2] = [REACH * REACH, -1];
      for (let i = 0; i < block.n; i += 1) {
        const at2 = pixel(drawing, i);
        if (!at2) continue;
        const far = (at2[0] - x) ** 2 + (at2[1] - y) ** 2 - (shown3.has(i) ? 4 : 0);
        if (far < best) [best, row2] = [far, i];
      }
      return row2 < 0 ? null : row2;
    };
    for (const drawing of drawings) {
      drawing.over.addEventListener("mousemove", (event) => {
        const row2 = nearest(drawing, event);
        mark3(row2 ?? chosen2);
        showTip(row2 === null ? null : lines2(row2), event.clientX, event.clientY);
      });
      drawing.over.addEventListener("mouseleave", () => {
        mark3(chosen2);
        showTip(null);
      });
      drawing.over.addEventListener("click", (event) => {
        const row2 = nearest(drawing, event);
        if (row2 !== null && row2 === chosen2 && shown3.has(row2)) {
          const href = latentHref(block.sae, latents2[row2]);
          if (href) goTo(href);
        } else choose2(row2);
        input.value = row2 === null ? "" : String(latents2[row2]);
      });
    }
    const input = el("input", { type: "text", inputmode: "numeric", autocomplete: "off", placeholder: "number" });
    const find2 = el("label", { class: "field cloud-find" }, el("span", {}, "Mark latent"), input);
    input.addEventListener("input", () => {
      const row2 = /^\d+$/.test(input.value.trim()) ? rowOf.get(Number(input.value)) : void 0;
      choose2(row2 ?? null);
      if (row2 === void 0 && input.value.trim()) said3.append(el("span", {}, "This latent is not among those measured."));
    });
    const key = keyList([
      ...groups.filter(({ rows }) => rows.length).map(({ name: name4, role }) => (
        /** @type {[string, string]} */
        ["dot d-" + role, name4]
      )),
      ["dot d-ink-3", groups.length ? "of no kind" : "latents"],
      ...shown3.size ? [
        /** @type {[string, string]} */
        ["ring", "shown in this report"]
      ] : []
    ]);
    plots.after(...key ? [key] : [], find2, said3);
    const name3 = (maybe(box.closest(".panel") || box, "h2") || { textContent: "latents" }).textContent || "latents";
    caption.append(offer(name3, () => ({ columns: ["latent", ...axes.map((axis2) => axis2.name)], rows: latents2.map((latent2, row2) => [latent2, ...axes.map((axis2) => valueOf(axis2, row2) ?? "")]) })));
    const draw2 = () => {
      drawBase();
      mark3(chosen2);
    };
    whenSeen(plots, () => onRedraw(
      /** @type {Plot} */
      plots,
      draw2
    ));
    return box;
  }

  // blocks/axes.js
  function nameAxis(texts, colours) {
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
      tickfont: { size: 10, color: colours["ink-2"] }
    };
  }
  var valueAxis = (title2, colours) => ({
    gridcolor: colours.line,
    zerolinecolor: colours["line-2"],
    automargin: true,
    title: { text: title2 }
  });
  var frameLayout = (colours) => ({
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
    margin: { l: 8, r: 8, t: 8, b: 8 },
    showlegend: false,
    hovermode: "closest",
    dragmode: self.matchMedia("(pointer: coarse)").matches ? false : "zoom"
  });
  var shorten = (text4, most) => text4.length > most ? text4.slice(0, Math.ceil(most / 2) - 1) + "…" + text4.slice(text4.length - Math.floor(most / 2)) : text4;
  function frameOf(block, given) {
    const summary = filled(block.summary, block.v);
    const box = given || el("figure", { class: "block figure" });
    if (!given) box.append(el("figcaption", {}, block.title ? el("h3", {}, block.title) : null), el("p", { class: "summary" }, summary));
    const caption = within(box, "figcaption");
    const heading = maybe(box, "h3") || maybe(box.closest(".panel") || box, "h2");
    const name3 = heading && heading.textContent || "figure";
    const said3 = summary || name3 + ".";
    const plot = plotBox({ class: "plot", role: "img", "aria-label": said3 });
    (maybe(box, ".summary") || caption).after(plot);
    return { box, caption, plot, summary: said3, name: name3 };
  }

  // blocks/cells.js
  function cellNode(cell2) {
    if (typeof cell2 === "string") return document.createTextNode(cell2);
    const { text: text4, href, token, position, gloss } = cell2;
    const outside = href && href.startsWith("https:");
    const name3 = href ? el("a", { href: outside ? href : addressOf(href), rel: outside ? "noreferrer" : null }, text4) : text4;
    const node = el("span", { class: "ref" }, name3);
    if (token) node.append(" ", el("code", { class: "tok" }, token));
    if (position !== void 0) node.append(" ", el("small", {}, String(position)));
    if (gloss) node.append(" ", el("small", { class: "gloss" }, gloss));
    return node;
  }
  var cellName = (cell2) => typeof cell2 === "string" ? cell2 : cell2.text;
  var cellText = (cell2) => typeof cell2 === "string" ? cell2 : [cell2.text, cell2.token, cell2.position].filter((part) => part !== void 0).join(" ");

  // blocks/sparse.js
  var SIZES = [12, 24, 48, 96];
  var STEPS2 = /* @__PURE__ */ new Map([["ArrowLeft", [-1, 0]], ["ArrowRight", [1, 0]], ["ArrowUp", [0, -1]], ["ArrowDown", [0, 1]]]);
  var ids = 0;
  function endsOf(block, side) {
    const { values } = side === "rows" ? block.row_values : block.column_values;
    return block[side].map(([place, position], i) => {
      const { text: text4, href, gloss, token: own2 } = block.names[side][place];
      const token = own2 || block.words[position];
      const label2 = [shorten(text4, 14), shorten(token, 14), position].join(" · ");
      return { name: text4, token, position, label: label2, href: href || "", gloss: gloss || "", place, value: values[i] };
    });
  }
  var link = ({ name: name3, href, token, position, gloss }) => cellNode({ text: name3, href, token, position, gloss });
  function chosenCells(block, ends2, state) {
    const { x, y, value: value2 } = block;
    const most = largestOf(value2);
    const cells = Array.from(value2.keys()).filter(
      (i) => Math.abs(value2[i]) >= state.threshold * most && !(state.across && ends2.columns[x[i]].position === ends2.rows[y[i]].position)
    );
    const strongest = (places, own2) => {
      const strength = /* @__PURE__ */ new Map();
      for (const i of cells) strength.set(places[i], Math.max(strength.get(places[i]) || 0, Math.abs(value2[i])));
      const ranked = [...strength].sort(([a, s], [b, t]) => t - s || a - b).map(([place]) => place);
      const kept = ranked.slice(0, state.size);
      if (state.sort === "position") kept.sort((a, b) => a - b);
      if (state.sort === "latent") kept.sort((a, b) => own2[a].place - own2[b].place || own2[a].position - own2[b].position);
      return kept;
    };
    const [columns, rows] = [strongest(x, ends2.columns), strongest(y, ends2.rows)];
    if (state.sort.startsWith("row-")) {
      const wanted2 = Number(state.sort.slice(4));
      const by = new Map(Array.from(value2.keys()).filter((i) => y[i] === wanted2).map((i) => [x[i], value2[i]]));
      columns.sort((a, b) => (by.get(b) || 0) - (by.get(a) || 0) || a - b);
    }
    return { most, cells, columns, rows };
  }
  function sparseHeatmap(block, given, drawing) {
    const state = { size: SIZES[1], threshold: 0, sort: "position", across: false };
    const { x, y, value: value2 } = block;
    const ends2 = { rows: endsOf(block, "rows"), columns: endsOf(block, "columns") };
    const more = new Map(block.more.rows.map(([cell2, ...values]) => [cell2, values]));
    const expected = new Set(block.outlined.map(([early2, late]) => early2 + " " + late));
    const { box, caption, plot, summary } = frameOf(block, given);
    const largest2 = value2.length ? " The largest " + block.quantity + " is " + asText.value(value2[0]) + ", from " + ends2.columns[x[0]].label + " to " + ends2.rows[y[0]].label + "." : "";
    plot.className = "plot c-heat";
    plot.setAttribute("role", "application");
    plot.setAttribute("aria-label", summary + largest2 + " The arrow keys walk from cell to cell.");
    plot.tabIndex = 0;
    const hint = "Click a cell, or walk there with the arrow keys, to pin it here; again, or Escape, unpins it.";
    const card = el("div", { class: "c-card", role: "status" }, el("p", { class: "none" }, hint));
    const lists2 = el("details", {}, el("summary", {}, "Rows and columns shown, as links"));
    let shown3 = chosenCells(block, ends2, state);
    let cells = [];
    let pinned = -1;
    const key = box.dataset.block || "";
    const nameOf3 = (i) => key + "~" + [ends2.columns[x[i]], ends2.rows[y[i]]].map(({ name: name3, position }) => name3 + "@" + position).join("~");
    const unpin = () => {
      pinned = -1;
      if (plot.redraw) plot.redraw();
      card.replaceChildren(el("p", { class: "none" }, hint));
    };
    const pin = (i) => {
      pinned = i;
      if (plot.redraw) plot.redraw();
      const [before4, after] = [ends2.columns[x[i]], ends2.rows[y[i]]];
      const facts2 = [
        [block.column_values.name, before4.value],
        [block.row_values.name, after.value],
        [block.quantity, value2[i]],
        [block.product, before4.value * value2[i]]
      ];
      (more.get(i) || []).forEach((number, k) => facts2.push([block.more.names[k], number]));
      const list2 = el("dl", { class: "kv" });
      for (const [name3, number] of facts2) list2.append(el("div", {}, el("dt", {}, name3), el("dd", {}, asText.value(number))));
      card.replaceChildren(el("p", {}, link(before4), " → ", link(after)), list2);
    };
    const press = (i) => {
      if (i === pinned || i < 0) {
        unpin();
        choose("cell", "");
      } else {
        pin(i);
        choose("cell", nameOf3(i));
      }
    };
    const placeOf = (i) => {
      const row2 = cells.findIndex((line2) => line2.includes(i));
      return row2 < 0 ? null : [cells[row2].indexOf(i), row2];
    };
    const walk = (dx, dy) => {
      const from = pinned < 0 ? null : placeOf(pinned);
      if (!from) {
        const drawn2 = cells.flat().filter((i) => i >= 0);
        if (drawn2.length) press(drawn2.reduce((a, b) => Math.abs(value2[b]) > Math.abs(value2[a]) ? b : a));
        return;
      }
      const best = { distance: Infinity, cell: -1 };
      cells.forEach(
        (line2, row2) => line2.forEach((i, column) => {
          const ahead = (column - from[0]) * dx + (row2 - from[1]) * dy;
          if (i < 0 || ahead <= 0) return;
          const aside = Math.abs((column - from[0]) * dy) + Math.abs((row2 - from[1]) * dx);
          const distance = ahead + 4 * aside;
          if (distance < best.distance) Object.assign(best, { distance, cell: i });
        })
      );
      if (best.cell >= 0) press(best.cell);
    };
    plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && pinned >= 0) press(-1);
      const step2 = STEPS2.get(event.key);
      if (event.altKey || event.ctrlKey || event.metaKey || !step2) return;
      event.preventDefault();
      event.stopPropagation();
      walk(step2[0], step2[1]);
    });
    const make2 = (colours) => {
      const columnOf = new Map(shown3.columns.map((place2, i) => [place2, i]));
      const rowOf = new Map(shown3.rows.map((place2, i) => [place2, i]));
      const z = shown3.rows.map(() => shown3.columns.map(() => null));
      cells = shown3.rows.map(() => shown3.columns.map(() => -1));
      for (const i of shown3.cells) {
        const [column, row2] = [columnOf.get(x[i]), rowOf.get(y[i])];
        if (column === void 0 || row2 === void 0) continue;
        z[row2][column] = value2[i];
        cells[row2][column] = i;
      }
      const boxes2 = shown3.rows.flatMap(
        (later, row2) => shown3.columns.map((sooner, column) => ({ x: column, y: row2, colour: colours.act, width: 1.5, pair: ends2.columns[sooner].position + " " + ends2.rows[later].position })).filter(({ pair }) => expected.has(pair))
      );
      const place = pinned < 0 ? null : placeOf(pinned);
      const mark3 = place ? [{ x: place[0], y: place[1], colour: colours.ink, width: 2 }] : [];
      const narrow = plot.clientWidth < 560;
      const rows = shown3.rows.map((row2) => shorten(ends2.rows[row2].label, narrow ? 18 : 48));
      const columns = shown3.columns.map((column) => ends2.columns[column].label);
      return drawing.heatDrawing({ z, most: shown3.most, rows, columns, places: cells }, [...boxes2, ...mark3], colours);
    };
    const listing = (title2, places, own2) => el("div", {}, el("h3", {}, title2), el("ol", {}, ...places.map((place) => el("li", {}, link(own2[place])))));
    const update = () => {
      shown3 = chosenCells(block, ends2, state);
      plot.style.setProperty("height", Math.min(900, 190 + 15 * Math.max(shown3.rows.length, 6)) + "px");
      const grid2 = el("div", { class: "columns" }, listing("Rows", shown3.rows, ends2.rows), listing("Columns", shown3.columns, ends2.columns));
      lists2.replaceChildren(el("summary", {}, "Rows and columns shown, as links"), grid2);
      if (plot.redraw) plot.redraw();
    };
    const choice = (label2, options, current, act) => {
      const id = "heatmap-" + (ids += 1);
      const select = el("select", { id });
      options.forEach(([option, text4]) => select.append(el("option", { value: option }, text4)));
      select.value = current;
      select.addEventListener("change", () => {
        act(select.value);
        update();
      });
      caption.append(el("label", { class: "field", for: id }, el("span", {}, label2), select));
      return select;
    };
    const sizes2 = choice("Strongest rows, columns", SIZES.map((n) => [String(n), String(n)]), String(state.size), (size) => state.size = Number(size));
    const sorts = [["position", "position"], ["strength", "strength"], ["latent", "latent"]];
    if (block.one_by_one) ends2.rows.forEach((end, i) => sorts.push(["row-" + i, end.name + " " + end.token]));
    choice("Sort by", sorts, state.sort, (sort) => state.sort = sort);
    const limits = [0, 0.05, 0.1, 0.25, 0.5].map((t) => [String(t), t ? "≥ " + asText.percent(t) + " of the largest" : "all"]);
    choice("Threshold", limits, "0", (limit) => state.threshold = Number(limit));
    if (block.across) choice("Pairs", [["", "all"], ["across", "across tokens"]], "", (wanted2) => state.across = wanted2 === "across");
    const data = () => ({
      columns: ["earlier", "earlier token", "earlier position", "later", "later token", "later position", block.quantity, ...block.more.names],
      rows: value2.map((number, i) => {
        const [from, to] = [ends2.columns[x[i]], ends2.rows[y[i]]];
        return [from.name, from.token, from.position, to.name, to.token, to.position, number, ...more.get(i) || []];
      })
    });
    caption.append(divergingLegend(shown3.most), offer(block.quantity + " " + (block.title || ""), data));
    const legend3 = drawing.heatKey(block, true, expected.size > 0);
    plot.after(...legend3 ? [legend3] : [], card, lists2);
    update();
    const read2 = () => {
      const wanted2 = chosen("cell");
      const found = wanted2.startsWith(key + "~") ? Array.from(value2.keys()).find((i) => nameOf3(i) === wanted2) : void 0;
      if (found === void 0 || found === pinned) return;
      const fits = SIZES.find((size) => {
        const { columns, rows } = chosenCells(block, ends2, { ...state, size });
        return size >= state.size && columns.includes(x[found]) && rows.includes(y[found]);
      });
      if (fits && fits !== state.size) {
        state.size = fits;
        sizes2.value = String(fits);
        update();
      }
      pin(found);
    };
    whenChosen(read2);
    read2();
    const cellOf = (event) => event.points[0].customdata;
    whenSeen(
      plot,
      () => drawPlot(plot, make2, {
        plotly_hover: (event) => {
          const i = cellOf(event);
          if (i < 0 || !event.event) return;
          const lines2 = [block.quantity + " " + asText.value(value2[i]), ends2.columns[x[i]].label + " → " + ends2.rows[y[i]].label];
          showTip(lines2, event.event.clientX, event.event.clientY);
        },
        plotly_unhover: () => showTip(null),
        plotly_click: (event) => cellOf(event) >= 0 && press(cellOf(event))
      })
    );
    return box;
  }

  // blocks/heatmap.js
  var MOST_ROWS = 200;
  var NARROW = 200;
  var SHORT_LABELS = 40;
  function heatDrawing({ z, most, rows, columns, x, places }, boxes2, colours) {
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
      ygap: 1
    };
    const layout = {
      ...frameLayout(colours),
      // A cell without a value is not one of the value zero, which has the colour of the panel.
      plot_bgcolor: colours.line,
      xaxis: { ...nameAxis(columns, colours), ...x ? { title: { text: x } } : { tickangle: -90 } },
      yaxis: { ...nameAxis(rows, colours), range: [rows.length - 0.5, -0.5] },
      shapes: boxes2.map((box) => ({
        type: "rect",
        x0: box.x - 0.5,
        x1: box.x + 0.5,
        y0: box.y - 0.5,
        y1: box.y + 0.5,
        line: { color: box.colour, width: box.width }
      }))
    };
    return { data: [trace], layout };
  }
  var numbersOf = (view) => view.z.map((row2) => row2.map((n) => n === null ? null : n * (view.unit || 1)));
  var largest = (view) => largestOf(numbersOf(view).flat().map((n) => n || 0));
  function cellsOf(view) {
    const cells = numbersOf(view).flatMap((row2, y) => row2.map((value2, x) => ({ row: view.rows[y], column: view.columns[x], value: value2 || 0 })));
    return cells.filter((cell2) => cell2.value).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  }
  function heatKey(block, missing, outlined) {
    const items = [];
    if (missing) items.push(["zero", "zero"], ["missing", block.missing || "not stored"]);
    if (outlined) items.push(["outlined", block.outline || "outlined"]);
    return keyList(items);
  }
  function tableOf2(view, show) {
    if (isNarrow(view)) {
      const rows = numbersOf(view).map((row2, y) => [view.rows[y], ...row2.map((n) => n === null ? "" : show(n))]);
      return { columns: ["row", ...view.columns], rows };
    }
    return { columns: ["row", "column", "value"], rows: cellsOf(view).map(({ row: row2, column, value: value2 }) => [row2, column, show(value2)]) };
  }
  var isNarrow = (view) => view.columns.join("").length <= NARROW;
  function finding(view) {
    const [best] = cellsOf(view);
    return best ? " Largest: " + asText.value(best.value) + ", " + best.row + " by " + best.column + "." : "";
  }
  function strip(words2, values) {
    const most = largestOf(values);
    return values.map((value2, i) => {
      const share2 = Math.round(50 * shareOf(value2, most));
      const token = el("span", { title: asText.value(value2) }, proseText(words2[i]));
      const colour = "color-mix(in srgb, var(--" + (value2 < 0 ? "down" : "up") + ") " + share2 + "%, transparent)";
      token.style.setProperty("background", colour);
      return token;
    });
  }
  function chooser(views, pick, name3) {
    const labels = views.map((view) => view.label);
    if (labels.join("").length <= SHORT_LABELS) return segments(labels, 0, pick, name3);
    const select = el("select", { "aria-label": name3 });
    labels.forEach((label2, i) => select.append(el("option", { value: i }, label2)));
    select.addEventListener("change", () => pick(Number(select.value)));
    return select;
  }
  function denseHeatmap(block, given) {
    const { views } = block;
    const { box, caption, plot, summary, name: name3 } = frameOf(block, given);
    for (const details of all(box, "details")) details.remove();
    let current = 0;
    const make2 = (colours) => {
      const view = views[current];
      const cut = plot.clientWidth < 560 ? 14 : 44;
      plot.style.setProperty("height", Math.min(760, 150 + 15 * view.rows.length) + "px");
      const boxes2 = (view.outlined || []).map(([x, y]) => ({ x, y, colour: colours.act, width: 1.5 }));
      const [rows, columns] = [view.rows, view.columns].map((texts) => texts.map((text4) => shorten(text4, cut)));
      return heatDrawing({ z: numbersOf(view), most: largest(view), rows, columns, x: view.x }, boxes2, colours);
    };
    const note = el("p", { class: "view-note" });
    const words2 = el("p", { class: "strip", dir: "auto" });
    const legend3 = el("span", {});
    const cells = unfolding(isNarrow(views[0]) ? "Table" : "Largest cells", () => {
      const { columns, rows } = tableOf2(views[current], asText.value);
      return gridTable({ columns, rows: rows.slice(0, MOST_ROWS) });
    });
    const pick = (i) => {
      current = i;
      const view = views[i];
      note.textContent = filled(view.note, view.v);
      if (view.strip) words2.replaceChildren(...strip(block.words || [], view.strip));
      legend3.replaceChildren(divergingLegend(largest(view)));
      plot.setAttribute("aria-label", summary + finding(view));
      if (plot.redraw) plot.redraw();
      cells.open = false;
    };
    const missing = views.some((view) => view.z.some((row2) => row2.includes(null)));
    const key = heatKey(block, missing, views.some((view) => view.outlined && view.outlined.length));
    if (views.some((view) => view.note)) plot.after(note);
    if (views.some((view) => view.strip)) plot.after(words2);
    if (key) plot.after(key);
    box.append(cells);
    if (views.length > 1) caption.append(chooser(views, pick, block.choice || "what to show"));
    const data = () => tableOf2(views[current], (value2) => value2);
    caption.append(legend3, offer(name3, data));
    pick(0);
    whenSeen(
      plot,
      () => drawPlot(plot, make2, {
        plotly_hover: (event) => {
          const [{ x, y, z }] = event.points;
          if (!event.event || z === null || z === void 0) return;
          const view = views[current];
          showTip([asText.value(z), view.rows[y], view.columns[x]], event.event.clientX, event.event.clientY);
        },
        plotly_unhover: () => showTip(null)
      })
    );
    return box;
  }
  function heatmapBlock(block, given) {
    return "views" in block ? denseHeatmap(block, given || null) : sparseHeatmap(block, given || null, { heatDrawing, heatKey });
  }

  // blocks/lines.js
  var N_LINES = 10;
  function marks({ levels = [], span, log }, colours) {
    const shapes = levels.map(({ value: value2 }) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: value2, y1: value2, line: { color: colours["ink-3"], width: 1, dash: "dash" } }));
    const annotations = levels.map(({ name: name3, value: value2 }) => ({
      ...{ text: plotText(name3), showarrow: false, xref: "paper", x: 0, xanchor: "left", yanchor: "bottom" },
      y: log ? Math.log10(value2) : value2,
      font: { size: 10, color: colours["ink-2"] }
    }));
    if (!span) return { shapes, annotations };
    const shade = { type: "rect", yref: "paper", x0: span.from, x1: span.to, y0: 0, y1: 1, fillcolor: colours.accent, opacity: 0.12, line: { width: 0 }, layer: "below" };
    const above = { text: plotText(span.name), showarrow: false, yref: "paper", x: (span.from + span.to) / 2, y: 1, yanchor: "top", font: { size: 10, color: colours["ink-2"] } };
    return { shapes: [...shapes, shade], annotations: [...annotations, above] };
  }
  function linesBlock(block, given) {
    const series = block.series.slice(0, N_LINES);
    const { box, caption, plot, summary, name: title2 } = frameOf(block, given || null);
    const [first] = series;
    const most = first ? Math.max(...first.values) : 0;
    const peak = first ? " Strongest: " + cellName(first.name) + ", " + asText.value(most) + " on " + block.labels[first.values.indexOf(most)] + "." : "";
    plot.classList.add("c-lines");
    plot.setAttribute("aria-label", "Line plot. " + summary + peak);
    const data = () => ({
      columns: ["name", ...block.labels],
      rows: block.series.map(({ name: name3, values }) => [cellName(name3), ...values])
    });
    let other = null;
    const make2 = (colours) => {
      const palette = [colours.accent, colours.act, colours.down, colours["ink-2"], colours.quiet];
      const lines2 = (from, dash) => series.flatMap(({ key, name: name3 }, i) => {
        const row2 = from.series.find((item2) => item2.key === key);
        if (!row2) return [];
        const style = { color: palette[i % 5], width: 1.6, dash: dash || (i >= 5 ? "dot" : "solid") };
        const marker = { color: palette[i % 5], size: dash ? 3 : 5, symbol: i >= 5 ? "diamond" : "circle" };
        const drawn2 = { x: row2.values.map((_, x) => from.places ? from.places[x] : x), y: row2.values, line: style, marker };
        return [{ type: "scatter", mode: "lines+markers", name: plotText(shorten(cellName(name3), 24)), showlegend: !dash, legendgroup: key, hoverinfo: "none", ...drawn2 }];
      });
      const texts = block.labels.map((label2) => shorten(label2, 18));
      const narrow = session.paper || plot.clientWidth < 560;
      const end = Math.max(texts.length, other ? other.labels.length : 0) - 0.7;
      return {
        data: [...lines2(block, ""), ...other ? lines2(other, "dash") : []],
        layout: {
          ...frameLayout(colours),
          showlegend: true,
          legend: narrow ? { orientation: "h", y: -0.5 } : { font: { size: 11 } },
          xaxis: block.places ? valueAxis(block.x || "", colours) : { ...nameAxis(texts, colours), range: [-0.3, end], tickangle: texts.length > 12 || narrow ? -90 : "auto" },
          yaxis: { ...valueAxis(block.y, colours), ...block.log ? { type: "log", tickmode: "array", tickvals: block.log, ticktext: block.log.map((value2) => asText.value(value2)) } : { rangemode: "tozero" } },
          ...marks(block, colours)
        }
      };
    };
    const overlays = block.overlays || [];
    if (overlays.length) {
      const select = el("select", {}, el("option", { value: "" }, "none"));
      overlays.forEach(([, page2, text4]) => select.append(el("option", { value: page2 }, text4)));
      const key = box.dataset.block || "";
      const overlay = async () => {
        const from = overlays.find(([, page2]) => page2 === select.value);
        if (from) await load(from[0]);
        const blocks2 = from && store.pages.get(from[1])?.blocks;
        const { load: apart2 } = blocks2 && blocks2.get(key) || {};
        if (apart2) await load(apart2);
        const found = blocks2 && blocks2.get(key);
        other = found ? merged(found) : null;
        if (plot.redraw) plot.redraw();
      };
      const short = (page2) => page2.replace(/^.*\/|\.html$/g, "");
      const read2 = () => {
        const [, page2 = ""] = overlays.find(([, path]) => short(path) === chosen("over")) || [];
        if (page2 === select.value) return;
        select.value = page2;
        overlay();
      };
      select.addEventListener("change", () => {
        choose("over", short(select.value));
        overlay();
      });
      whenChosen(read2);
      read2();
      caption.append(el("label", { class: "field" }, el("span", {}, block.overlay || "Lay over it"), select));
    }
    caption.append(offer(title2, data));
    whenSeen(
      plot,
      () => drawPlot(plot, make2, {
        plotly_hover: (event) => {
          const [{ x, y, data: trace }] = event.points;
          if (!event.event) return;
          const line2 = series.find(({ key }) => trace.legendgroup === key);
          showTip([line2 ? cellName(line2.name) : "", asText.value(y) + " at " + (block.places ? block.x + " " + asText.value(Number(x)) : "position " + x)], event.event.clientX, event.event.clientY);
        },
        plotly_unhover: () => showTip(null)
      })
    );
    return box;
  }

  // blocks/scatter.js
  function scatterBlock(block, given) {
    const { box, caption, plot, name: name3 } = frameOf(block, given || null);
    const points = block.series.flatMap((line2) => line2.points);
    const ends2 = points.length ? [Math.min(...points.flat()), Math.max(...points.flat())] : [0, 0];
    plot.style.setProperty("height", "340px");
    const make2 = (colours) => {
      const traces = block.series.map((line3) => ({
        type: "scatter",
        mode: "markers",
        name: plotText(line3.name),
        x: line3.points.map(([x]) => x),
        y: line3.points.map(([, y]) => y),
        hoverinfo: "none",
        marker: { color: colours[line3.role] || colours.accent, symbol: line3.symbol || "circle", size: line3.small ? 4 : 7, opacity: 0.8 }
      }));
      const line2 = { type: "scatter", mode: "lines", name: block.diagonal, x: ends2, y: ends2, hoverinfo: "skip", line: { color: colours["line-2"], width: 1 } };
      return {
        data: block.diagonal ? [line2, ...traces] : traces,
        layout: { ...frameLayout(colours), xaxis: valueAxis(block.x, colours), yaxis: valueAxis(block.y, colours) }
      };
    };
    const used = new Set(block.series.map((line2) => line2.role));
    const key = keyList([
      ...Object.entries(block.roles || {}).filter(([role]) => used.has(role)).map(([role, words2]) => (
        /** @type {[string, string]} */
        ["dot d-" + role, words2]
      )),
      ...block.diagonal ? [
        /** @type {[string, string]} */
        ["line", block.diagonal]
      ] : []
    ]);
    if (key) plot.after(key);
    caption.append(offer(name3, () => ({ columns: ["", block.x, block.y], rows: block.series.flatMap((line2) => line2.points.map((point) => [line2.name, ...point])) })));
    whenSeen(
      plot,
      () => drawPlot(plot, make2, {
        plotly_hover: (event) => {
          const [{ x, y, curveNumber }] = event.points;
          const line2 = block.series[curveNumber - (block.diagonal ? 1 : 0)];
          const of = block.named && line2 ? [line2.name] : [];
          if (event.event) showTip([...of, block.x + " " + asText.value(x), block.y + " " + asText.value(y)], event.event.clientX, event.event.clientY);
        },
        plotly_unhover: () => showTip(null)
      })
    );
    return box;
  }

  // blocks/page.js
  var DRAWN = { bars: figureBlock, cloud: cloudBlock, heatmap: heatmapBlock, lines: linesBlock, scatter: scatterBlock };
  function drawBlock(page2, figure) {
    const key = figure.dataset.block || "";
    const draw2 = () => {
      try {
        const block = merged(page2.blocks.get(key));
        if (Object.hasOwn(DRAWN, block.b)) DRAWN[block.b](block, figure);
        offerOnce(figure);
      } catch (error) {
        self.reportError(error);
      }
    };
    const { load: path } = page2.blocks.get(key) || {};
    const begin = () => {
      if (!path) draw2();
      else
        whenSeen(figure, async () => {
          await load(path);
          draw2();
        });
    };
    const fold = figure.closest("details.unfold:not([open])");
    if (fold) fold.addEventListener("toggle", begin, { once: true });
    else begin();
  }
  function goToCell() {
    const [key] = chosen("cell").split("~");
    const figure = key ? all(document, "[data-block]").find((node) => node.dataset.block === key) : null;
    const fold = figure && figure.closest("details.unfold");
    if (fold instanceof HTMLDetailsElement) fold.open = true;
    if (figure) figure.scrollIntoView();
  }
  function drawBlocks() {
    const panels = maybe(document, "[data-of]");
    const page2 = panels && store.pages.get(panels.dataset.of || "");
    if (!page2) return null;
    for (const figure of all(document, "[data-block]")) if (page2.blocks.has(figure.dataset.block || "")) drawBlock(page2, figure);
    for (const fold of all(document, "details.unfold")) fold.addEventListener("toggle", freshen2);
    goToCell();
    return page2;
  }

  // circuits/prompt.js
  function tokenFilter(words2) {
    const note = byId("filter-note", HTMLElement);
    const said3 = note.textContent;
    const buttons = all(document, "[data-token]");
    const rows = all(document, "tr[data-at]");
    let wanted2 = "";
    const apply = () => {
      for (const button2 of buttons) button2.setAttribute("aria-pressed", String(button2.dataset.token === wanted2));
      for (const row2 of rows) row2.hidden = wanted2 !== "" && !(row2.dataset.at || "").split(" ").includes(wanted2);
      note.textContent = wanted2 === "" ? said3 : "Only rows about " + words2[Number(wanted2)] + " at position " + wanted2 + ". Choose it again to see all.";
    };
    for (const button2 of buttons) {
      button2.addEventListener("click", () => {
        wanted2 = wanted2 === button2.dataset.token ? "" : button2.dataset.token || "";
        choose("token", wanted2);
        apply();
      });
    }
    const read2 = () => {
      const named2 = chosen("token");
      const known2 = buttons.some((button2) => button2.dataset.token === named2) ? named2 : "";
      if (known2 === wanted2) return;
      wanted2 = known2;
      apply();
    };
    whenChosen(read2);
    read2();
  }
  function promptPage() {
    const page2 = drawBlocks();
    if (page2) tokenFilter(page2.text || []);
  }

  // blocks/attributions.js
  var WIDTH = 14;
  var HALF = 18;
  function step(value2, most) {
    if (!value2 || !(most > 0)) return "";
    return (value2 < 0 ? "n" : "p") + Math.max(1, Math.min(5, Math.ceil(5 * Math.abs(value2) / most)));
  }
  var signed = (value2) => (value2 > 0 ? "+" : "") + asText.value(value2);
  var offsetName = (offset) => offset === 0 ? "the peak" : asText.value(offset) + " from the peak";
  function words(where, values, most, blind) {
    const box = el("div", { class: "words signed", dir: "auto" });
    const add = (offset, text4, name3) => {
      const value2 = values.get(offset);
      const classes = [step(value2, most), offset === 0 ? "peak" : "", offset > 0 ? "far" : ""];
      const span = el("span", { class: classes.filter(Boolean).join(" ") }, text4);
      if (offset === 0) span.tabIndex = 0;
      describeToken(span, [name3, value2 === void 0 ? "nothing listed" : signed(value2), offsetName(offset)]);
      box.append(span);
    };
    if (!where) {
      const first = Math.min(0, ...values.keys());
      for (let offset = first; offset <= 0; offset += 1) {
        if (offset > first) box.append(" ");
        add(offset, asText.value(offset), "token " + asText.value(offset));
      }
      box.classList.add("ids");
      return box;
    }
    const { peak, start: start2 } = named("peak", where);
    const ids2 = unpack(named("peak", where).window);
    const before4 = Array.from(values).filter(([offset]) => peak + offset < start2);
    if (before4.length) {
      const sum = before4.reduce((total, [, value2]) => total + value2, 0);
      const span = el("span", { class: step(sum, most) }, "…");
      describeToken(span, ["before", signed(sum), "all tokens before this"]);
      box.append(span, " ");
    } else if (start2 > 0) box.append("… ");
    ids2.forEach((id, i) => {
      const offset = start2 + i - peak;
      if (blind) {
        if (i) box.append(" ");
        add(offset, "#" + id, "#" + id);
        return;
      }
      const text4 = proseText(tokenText(id));
      const word = text4.length > 1 && text4.startsWith(" ") ? text4.slice(1) : text4;
      if (word !== text4) box.append(" ");
      add(offset, word, tokenText(id));
    });
    if (blind) box.classList.add("ids");
    return box;
  }
  var headName = (layer, head3) => "L" + layer + "H" + head3;
  function headBars(values, layer, most) {
    const bar2 = (value2, i) => {
      const height = HALF * shareOf(value2, most);
      const end = value2 < 0 ? "v" + height.toFixed(1) : "v-" + height.toFixed(1);
      const back = value2 < 0 ? "v-" + height.toFixed(1) : "v" + height.toFixed(1);
      return "M" + (i * WIDTH + 2) + " " + HALF + end + "h" + (WIDTH - 4) + back + "z";
    };
    const some = (wanted2) => values.map((value2, i) => wanted2(value2) ? bar2(value2, i) : "").join("");
    const about3 = values.map((value2, i) => headName(layer, i) + " " + signed(value2)).join(", ");
    const graph = svg(some((value2) => value2 > 0), values.length * WIDTH, 2 * HALF, about3);
    graph.querySelector("path")?.setAttribute("class", "up");
    graph.append(
      svgNode("path", { class: "down", d: some((value2) => value2 < 0) }),
      svgNode("path", { class: "zero", d: "M0 " + HALF + "h" + values.length * WIDTH })
    );
    const best = values.reduce((top, value2, i) => Math.abs(value2) > Math.abs(values[top]) ? i : top, 0);
    const caption = el("small", {}, headName(layer, best) + " " + signed(values[best]));
    const box = el("div", { class: "head-bars" }, graph, caption);
    graph.addEventListener("mousemove", (event) => {
      const place = graph.getBoundingClientRect();
      const i = Math.floor((event.clientX - place.left) / place.width * values.length);
      if (values[i] !== void 0) showTip([headName(layer, i), signed(values[i])], event.clientX, event.clientY);
    });
    graph.addEventListener("mouseleave", () => showTip(null));
    return box;
  }
  function grid(columns, rows) {
    return el("details", {}, el("summary", {}, "Table"), gridTable({ columns, rows }));
  }
  function attributionBlock(block, { blind }) {
    const list2 = el("ul", {});
    const { value: value2 } = asText;
    const examples = allNamed("attribution", block.examples);
    const scale2 = largestOf(examples.flatMap((row2) => row2.sources));
    const heads = largestOf(examples.flatMap((row2) => row2.heads));
    const rows = [];
    examples.forEach(({ activation, pre_activation, bias, heads: byHead, first, sources, where }, i) => {
      const values = new Map(sources.map((number, k) => [first + k, number]));
      rows.push([String(i + 1), value2(activation), value2(pre_activation), value2(bias), ...byHead.map(value2)]);
      const side = el("span", { class: "value" }, value2(activation));
      const item2 = el("li", { class: "example apart" }, side, words(where, values, scale2, blind));
      item2.append(headBars(byHead, block.layer, heads));
      list2.append(item2);
    });
    const names2 = (examples.length ? examples[0].heads : []).map((_, i) => headName(block.layer, i));
    const columns = ["example", "activation", "pre-activation", "bias", ...names2];
    const table3 = grid(columns, rows);
    const box = el("div", { class: "block" }, el("p", {}, block.note), list2, table3);
    const data = () => ({
      columns: [...columns, "first source, from the peak", "sources"],
      rows: examples.map((row2, i) => [i + 1, row2.activation, row2.pre_activation, row2.bias, ...row2.heads, row2.first, row2.sources.join(" ")])
    });
    box.controls = [divergingLegend(scale2), peakKey(true), offer("attribution by head", data)];
    return box;
  }
  function earlier(slug, latent2, inside, blind) {
    const sae2 = store.saes.get(slug);
    const label2 = sae2 ? sae2.label : slug;
    const node = el("span", {}, label2 + " ");
    const href = inside ? latentHref(slug, latent2) : null;
    node.append(href ? el("a", { href }, String(latent2)) : el("span", { class: "absent" }, String(latent2)));
    if (href && !blind)
      whenSeen(node, async () => {
        const rows = await loadTable(slug);
        const row2 = rows && rows.byLatent.get(latent2);
        if (row2) node.append(glossNode(row2));
      });
    return node;
  }
  var pathOf = ({ layer, head: head3 }) => layer < 0 ? "direct" : headName(layer, head3);
  function influenceTable(block, rows, blind) {
    const head3 = ["earlier latent", "path", "token", "influence"];
    const body = el("tbody", {});
    const widest = largestOf(rows.map((row2) => row2.value));
    const line2 = aligned(rows.map((row2) => signed(row2.value)));
    rows.forEach((row2, i) => {
      const { source, token, value: value2 } = row2;
      const cell2 = el("td", { class: cellClass("lead-value", line2?.[i]) }, signed(value2));
      const bar2 = el("i", { class: value2 < 0 ? "neg" : "" });
      bar2.style.setProperty("width", 72 * shareOf(value2, widest) + "%");
      cell2.append(bar2);
      const shown3 = () => blind ? el("code", { class: "tok" }, "#" + token) : tokenCode(token);
      const text4 = token < 0 ? null : shown3();
      const path = pathOf(row2);
      const at2 = el("small", {}, source === 0 ? " peak" : " " + asText.value(source));
      const from = el("td", {}, earlier(block.saes[row2.sae], row2.latent, row2.shown, blind));
      body.append(el("tr", {}, from, el("td", {}, path), el("td", {}, text4, at2), cell2));
    });
    const titles = el("tr", {}, ...head3.map((name3) => el("th", { scope: "col" }, name3)));
    const table3 = el("table", { class: "list paths" }, el("thead", {}, titles), body);
    return el("div", { class: "scroll-x" }, table3);
  }
  function influencesBlock(block, { blind }) {
    const examples = allNamed("influences", block.examples).map((example2) => ({ ...example2, rows: allNamed("influence", example2.rows) }));
    const inside = el("div", {});
    const show = (i) => {
      const { activation, where, rows } = examples[i];
      const values = /* @__PURE__ */ new Map();
      rows.forEach((row2) => values.set(row2.source, (values.get(row2.source) || 0) + row2.value));
      const side = activation === null ? "" : asText.value(activation);
      const line2 = words(where, values, largestOf(Array.from(values.values())), blind);
      const example2 = el("div", { class: "example apart" }, el("span", { class: "value" }, side), line2);
      inside.replaceChildren(example2, influenceTable(block, rows, blind));
    };
    const heading = el("div", { class: "choose" }, el("h3", {}, block.title));
    if (examples.length > 1) {
      const labels = examples.map((_, i) => String(i + 1));
      heading.append(segments(labels, 0, show, "which example"));
    }
    heading.append(peakKey(true));
    show(0);
    const data = () => ({
      columns: ["example", "SAE", "latent", "path", "source, from the peak", "token", "influence"],
      rows: examples.flatMap(
        ({ rows }, i) => rows.map((row2) => {
          const word = row2.token < 0 ? "" : blind ? "#" + row2.token : tokenText(row2.token);
          return [i + 1, block.saes[row2.sae], row2.latent, pathOf(row2), row2.source, word, row2.value];
        })
      )
    });
    return el("div", { class: "block" }, offer(block.title || "influences", data), heading, inside);
  }

  // blocks/table.js
  function tableBlock(block) {
    const lines2 = linedUp(block.rows);
    const head3 = el("tr", {}, ...block.columns.map((name3, i) => el("th", { scope: "col", class: lines2[i] ? "number" : null }, name3)));
    const body = el("tbody", {});
    block.rows.forEach(([first, ...others], place) => {
      const made = (cell2, i) => {
        const line2 = lines2[i + 1];
        return el("td", { class: line2 ? cellClass("number", line2[place]) : null }, cellNode(cell2));
      };
      const name3 = first === "" ? el("td", {}) : el("th", { scope: "row" }, cellNode(first));
      body.append(el("tr", {}, name3, ...others.map(made)));
    });
    const title2 = block.title === void 0 ? "" : cellText(block.title);
    const table3 = el("table", { class: "grid" }, el("thead", {}, head3), body);
    const data = () => ({ columns: block.columns, rows: block.rows.map((row2) => row2.map(cellText)) });
    const box = el("div", { class: "block" }, title2 ? el("h3", {}, title2) : null, offer(title2 || "table", data));
    if (block.summary) box.append(el("p", {}, filled(block.summary, block.v)));
    box.append(el("div", { class: "scroll" }, table3));
    return box;
  }

  // blocks/blocks.js
  function facts(block) {
    const list2 = el("dl", { class: "kv" });
    block.values.forEach((value2, i) => {
      const term = block.names[i];
      const note = block.notes && block.notes[i];
      const detail = el("dd", {}, asText.shown(value2));
      if (note) detail.append(el("small", {}, note));
      list2.append(el("div", {}, el("dt", {}, term), detail));
    });
    const box = el("div", { class: "block" });
    if (block.title) box.append(el("h3", {}, block.title));
    const rows = () => block.names.map((name3, i) => [name3, block.values[i], block.notes && block.notes[i] || ""]);
    box.append(offer(block.title || "values", () => ({ columns: ["name", "value", "note"], rows: rows() })), list2);
    return box;
  }
  function text2({ title: title2, text: said3, lines: lines2 }) {
    const heading = title2 ? el("h3", {}, title2) : null;
    const [first, ...others] = lines2 || [said3];
    if (!others.length) return el("div", { class: "block" }, heading, el("p", {}, first));
    return el("div", { class: "block" }, heading, el("p", { class: "counts" }, ...[first, ...others].map((line2) => el("span", {}, line2))));
  }
  var kinds = {
    tokens: tokensBlock,
    latents: latentsBlock,
    bars: (block, { blind }) => figureBlock(block, null, blind),
    cloud: (block) => cloudBlock(block),
    heatmap: (block) => heatmapBlock(block),
    lines: (block) => linesBlock(block),
    scatter: (block) => scatterBlock(block),
    table: tableBlock,
    facts,
    examples: examplesBlock,
    attribution: attributionBlock,
    influences: influencesBlock,
    text: text2,
    grid: (block, context) => {
      const inside = block.blocks.map((inner) => blockNode(inner, context));
      return el("div", { class: block.stacked ? "block" : "block columns" }, ...inside);
    }
  };
  function folded({ title: title2, lead = [], note, open: open4 }, inside) {
    const line2 = el("summary", {}, el("b", {}, title2));
    if (lead.length) {
      const names2 = lead.flatMap((cell2, i) => [i ? " → " : "", cellNode(typeof cell2 === "string" ? cell2 : { ...cell2, href: void 0 })]);
      line2.append(" ", el("span", {}, ...names2));
    }
    if (note) line2.append(" ", el("span", {}, note));
    const box = el("details", { class: "unfold", open: open4 ? "" : null }, line2, ...inside.controls || [], inside);
    box.addEventListener("toggle", freshen2);
    return box;
  }
  function blockNode(raw, context) {
    const block = merged(raw);
    try {
      const node = Object.hasOwn(kinds, block.b) ? kinds[block.b](block, context) : el("div", {});
      return block.fold ? folded(block.fold, node) : node;
    } catch (error) {
      self.reportError(error);
      return el("p", { class: "none" }, "This cannot be drawn.");
    }
  }
  function panelNodes(record, slug, blind) {
    const context = { sae: slug, latent: record.latent, max: record.max, blind };
    const known2 = new Map(store.report.panels.map((panel) => [panel.name, panel]));
    const box = el("div", { class: "panels" });
    for (const [name3, blocks2] of record.panels) {
      const panel = known2.get(name3);
      if (!panel || blind && panel.reveals_text) continue;
      const header = el("header", {}, el("h2", {}, panel.title));
      const section2 = el("section", { class: panel.wide ? "panel wide" : "panel" }, header);
      section2.dataset.panel = name3;
      for (const block of blocks2) {
        const node = blockNode(block, context);
        if (node.controls) header.append(...node.controls);
        section2.append(node);
      }
      if (panel.tables.length) {
        const href = linkTo("methods.html", panel.tables[0]);
        header.append(el("a", { class: "how", href }, "What is this?"));
      }
      box.append(section2);
    }
    const narrow = Array.from(box.children).filter((node) => !node.classList.contains("wide"));
    if (narrow.length % 2) narrow[narrow.length - 1].classList.add("wide");
    return box;
  }

  // compare/page.js
  var FIRST2 = ["examples", "activation", "tokens", "logits", "deembedding", "related"];
  var LISTS = ["tokens", "logits", "deembedding"];
  var DASHES = ["solid", "dash", "dot", "dashdot"];
  var COLOURS = 6;
  async function known({ slug, latent: latent2 }, place) {
    const sae2 = store.saes.get(slug);
    if (!sae2 || !latentHref(slug, latent2)) return null;
    const [table3, record] = await Promise.all([loadTable(slug), loadLatent(slug, latent2)]);
    const row2 = table3 && table3.byLatent.get(latent2);
    if (!row2 || !record) return null;
    const hidden = Boolean(row2.blind) && !revealed(slug, latent2);
    return { slug, latent: latent2, place, row: row2, record, hidden, panels: new Map(record.panels), name: sae2.label + " " + latent2 };
  }
  var swatch = (place) => el("i", { class: "swatch k" + place % COLOURS, "aria-hidden": "true" });
  var title = (item2) => el("h3", {}, swatch(item2.place), item2.name);
  function head(item2) {
    const { slug, latent: latent2, row: row2, hidden } = item2;
    const own2 = hidden ? "" : noteBook.label(slug, row2);
    const facts2 = [
      ["Density", densityText(row2)],
      ["Max", row2.max > 0 ? asText.value(row2.max) : "–"]
    ];
    const list2 = el("dl", { class: "kv" });
    for (const [name4, value2] of facts2) list2.append(el("div", {}, el("dt", {}, name4), el("dd", {}, value2)));
    const gloss = own2 ? el("span", { class: "gloss own" }, own2) : glossNode(row2);
    const name3 = el("h3", {}, swatch(item2.place), el("a", { href: latentHref(slug, latent2) }, item2.name));
    return [name3, gloss, list2, markButtons(slug, latent2)];
  }
  function barsOf(view) {
    const { x0 = 0, dx = 1, y } = view.data[0];
    return { x0, dx, y };
  }
  function widened(trace, width2) {
    const { x0, dx, y } = trace;
    const start2 = x0 - dx / 2;
    const counts = [];
    y.forEach((n, i) => {
      const bin = Math.floor((start2 + i * dx) / width2);
      counts[bin] = (counts[bin] || 0) + n;
    });
    return Array.from(counts, (n) => n || 0);
  }
  function histograms(items) {
    const found = items.flatMap((item2) => {
      const blocks2 = (item2.panels.get("activation") || []).map(merged);
      const block = blocks2.find((one) => one.base === "activation.histogram");
      return block ? [{ item: item2, linear: barsOf(block.views[0]), octaves: barsOf(block.views[1]) }] : [];
    });
    if (!found.length) return null;
    const width2 = Math.max(...found.map(({ linear }) => linear.dx));
    const wide = found.map(({ linear }) => widened(linear, width2));
    const most = Math.max(...wide.map((y) => y.length));
    const low = Math.min(...found.map(({ octaves }) => octaves.x0));
    const high2 = Math.max(...found.map(({ octaves }) => octaves.x0 + octaves.y.length));
    const trace = (item2, y, x0, dx) => ({
      type: "scatter",
      mode: "lines",
      meta: "k" + item2.place % COLOURS,
      line: { shape: "hvh", width: 2, dash: DASHES[Math.floor(item2.place / COLOURS) % DASHES.length] },
      hoverinfo: "none",
      name: plotText(item2.name),
      x0,
      dx,
      y
    });
    const padded = (y, before4, length) => Array.from({ length }, (_, i) => y[i - before4] || 0);
    const names2 = found.map(({ item: item2 }) => item2.name);
    const columns = ["from", "to", ...names2];
    const counts = { title: { text: "tokens" }, rangemode: "tozero" };
    const ticks2 = Array.from({ length: Math.ceil((high2 - low) / 4) + 1 }, (_, i) => 4 * (Math.ceil(low / 4) + i)).filter((k) => k <= high2);
    const few = ticks2.filter((k, i) => i % Math.ceil(ticks2.length / 8) === 0);
    return figureBlock({
      base: "compare.histogram",
      title: "Non-zero activations, over one axis",
      summary: "Histograms of the non-zero activations of " + names2.join(", ") + ".",
      log: "y",
      views: [
        {
          label: "linear bins",
          columns,
          data: found.map(({ item: item2 }, i) => trace(item2, padded(wide[i], 0, most), width2 / 2, width2)),
          layout: { xaxis: { title: { text: "activation" }, rangemode: "tozero" }, yaxis: counts }
        },
        {
          label: "log bins",
          columns,
          octaves: 4,
          data: found.map(({ item: item2, octaves }) => trace(item2, padded(octaves.y, octaves.x0 - low, high2 - low), low, 1)),
          layout: {
            xaxis: { title: { text: "activation (log scale)" }, tickmode: "array", tickvals: few.map((k) => k - 0.5), ticktext: few.map((k) => asText.value(2 ** (k / 4))) },
            yaxis: counts
          }
        }
      ]
    });
  }
  function* lists(blocks2) {
    for (const block of blocks2.map(merged)) {
      if (block.b === "grid") yield* lists(block.blocks);
      else if (block.b === "latents") yield block;
    }
  }
  function pairs(items) {
    const lines2 = [];
    const blind = new Set(store.report.panels.filter((panel) => panel.reveals_text).map((panel) => panel.name));
    for (const item2 of items) {
      for (const [name3, blocks2] of item2.panels) {
        if (item2.hidden && blind.has(name3)) continue;
        for (const block of lists(blocks2)) {
          for (const other of items) {
            const row2 = other !== item2 && (block.sae || item2.slug) === other.slug && latentRows(block).find((one) => one.latent === other.latent);
            if (!row2) continue;
            const shown3 = row2.values.map((value2, i) => {
              const format = formatOf((block.formats || [])[i]);
              return ((block.columns || [])[i] || "") + " " + format(value2);
            });
            lines2.push(el("li", {}, el("b", {}, item2.name), " → ", el("b", {}, other.name), ": " + shown3.join(", "), el("small", {}, " " + (block.title || ""))));
          }
        }
      }
    }
    return lines2;
  }
  function markShared(cells) {
    const where = /* @__PURE__ */ new Map();
    cells.forEach((cell2, i) => {
      for (const code2 of all(cell2, "code.tok[title]")) {
        if (!where.has(code2.title)) where.set(code2.title, { places: /* @__PURE__ */ new Set(), text: code2.textContent });
        where.get(code2.title).places.add(i);
      }
    });
    const shared = Array.from(where).filter(([, { places }]) => places.size > 1);
    const names2 = new Set(shared.map(([name3]) => name3));
    for (const cell2 of cells) {
      for (const code2 of all(cell2, "code.tok[title]")) code2.classList.toggle("shared", names2.has(code2.title));
    }
    return shared.map(([, { text: text4 }]) => text4);
  }
  function section(panel, items) {
    const cells = items.map((item2) => {
      const cell2 = el("div", { class: "cell" }, title(item2));
      const blocks2 = item2.panels.get(panel.name);
      if (item2.hidden && panel.reveals_text) cell2.append(el("p", { class: "none" }, "Hidden: it is blinded."));
      else if (!blocks2) cell2.append(el("p", { class: "none" }, "Not given for this latent."));
      else cell2.append(...blocks2.map((block) => blockNode(block, { sae: item2.slug, latent: item2.latent, max: item2.record.max, blind: item2.hidden })));
      for (const block of all(cell2, ".block")) {
        const { controls: controls2 } = (
          /** @type {BlockNode} */
          block
        );
        if (controls2) block.prepend(...controls2);
      }
      return cell2;
    });
    const box = el("section", { class: "aspect" }, el("h2", {}, panel.title));
    box.dataset.panel = panel.name;
    const words2 = el("p", { class: "shared-words" });
    const update = () => {
      const tokens2 = markShared(cells);
      words2.replaceChildren(tokens2.length ? "In more than one list: " : "No token is in more than one list.");
      tokens2.slice(0, 30).forEach((text4) => words2.append(el("code", { class: "tok shared" }, text4), " "));
    };
    if (LISTS.includes(panel.name) && items.length > 1) {
      box.append(words2);
      update();
      box.addEventListener("click", (event) => around(event, ".linkish, .seg button") && setTimeout(update));
    }
    box.append(el("div", { class: "cells" }, ...cells));
    return box;
  }
  function asked() {
    const text4 = new URLSearchParams(fragmentNow()).get("panels");
    return new Set(text4 === null ? FIRST2 : text4.split(","));
  }
  function chooser2(panels, chosen2, change) {
    const box = el("fieldset", { class: "field only panels-shown" }, el("legend", {}, "Panels"));
    for (const panel of panels) {
      const check = el("input", { type: "checkbox", value: panel.name });
      check.checked = chosen2.has(panel.name);
      check.addEventListener("change", () => change(panel.name, check.checked));
      box.append(el("label", {}, check, " " + panel.title));
    }
    return box;
  }
  function comparePage() {
    const box = byId("compare", HTMLElement);
    const about3 = Array.from(box.childNodes);
    let drawn2 = null;
    async function draw2() {
      const pins = session.pinned.slice();
      drawn2 = session.pins;
      const inside = box.contains(document.activeElement);
      if (!pins.length) {
        box.replaceChildren(el("p", { class: "absent", role: "status" }, "No latent is pinned."), ...about3);
        if (inside) byId("main", HTMLElement).focus({ preventScroll: true });
        return;
      }
      const items = await Promise.all(pins.map(known)).catch(() => null);
      if (drawn2 !== session.pins) return;
      if (!items) {
        const again = el("button", { type: "button" }, "Try again");
        again.addEventListener("click", draw2);
        box.replaceChildren(el("p", { class: "absent", role: "status" }, "What the report holds of the pinned latents could not be loaded. ", again));
        if (inside) again.focus();
        return;
      }
      const whole2 = items.filter((item2) => item2 !== null);
      const lost = pins.filter((_, i) => !items[i]);
      if (lost.length) {
        dropPins(lost);
        return;
      }
      show(whole2);
      if (inside) within(box, ".compared").focus({ preventScroll: true });
    }
    function show(items) {
      const held = store.report.panels.filter((panel) => items.some((item2) => item2.panels.has(panel.name)));
      const chosen2 = asked();
      const scroller = el("div", { class: "compared", tabindex: "0", role: "region", "aria-label": "Latents side by side" });
      scroller.style.setProperty("--columns", String(items.length));
      const heads = items.map((item2) => el("div", { class: "cell" }, ...head(item2)));
      const aspects = /* @__PURE__ */ new Map();
      const place = (name3) => {
        const panel = held.find((one) => one.name === name3);
        if (!panel) return;
        const node = section(panel, items);
        aspects.set(name3, node);
        const after = held.slice(held.indexOf(panel) + 1).map((one) => aspects.get(one.name)).find((one) => one && one.isConnected);
        if (after) after.before(node);
        else scroller.append(node);
      };
      const change = (name3, wanted2) => {
        chosen2[wanted2 ? "add" : "delete"](name3);
        if (wanted2) place(name3);
        else aspects.get(name3)?.remove();
        const names2 = held.map((panel) => panel.name).filter((one) => chosen2.has(one));
        const usual = held.map((panel) => panel.name).filter((one) => FIRST2.includes(one));
        setFragment(names2.join() === usual.join() ? "" : "panels=" + names2.join(","));
      };
      scroller.append(el("section", { class: "aspect" }, el("h2", { class: "sr" }, "Latents"), el("div", { class: "cells" }, ...heads)));
      const parts = [chooser2(held, chosen2, change)];
      if (items.length < 2) parts.unshift(el("p", { class: "absent", role: "status" }, "One latent is pinned; pin another to see them side by side."));
      const together = histograms(items);
      if (together) {
        const key = el("ul", { class: "keys-of" }, ...items.map((item2) => el("li", {}, swatch(item2.place), item2.name)));
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
      for (const panel of held) if (chosen2.has(panel.name)) place(panel.name);
      document.title = "Compare " + items.map((item2) => item2.name).join(", ") + " · " + store.report.title;
    }
    listeners.pins.push(() => {
      if (box.isConnected && session.pins !== drawn2) draw2();
    });
    self.addEventListener("hashchange", () => {
      if (!box.isConnected) return;
      const now = all(box, ".panels-shown input:checked").map((check) => check.getAttribute("value")).join();
      if (drawn2 && now !== Array.from(asked()).join()) draw2();
    });
    draw2();
  }

  // graph/data.js
  var KINDS3 = ["embedding", "latent", "error", "logit"];
  var TYPES = {
    latent: "cross layer transcoder",
    error: "mlp reconstruction error",
    embedding: "embedding",
    logit: "logit"
  };
  function ownOf(kind, row2, cards) {
    if (kind === "latent") {
      const { activation, card } = named("latent_node", row2);
      return { activation, card: cards[card] || null };
    }
    if (kind === "logit") {
      const { probability, words: words2 } = named("logit_node", row2);
      return { probability, words: words2 };
    }
    return kind === "embedding" ? { words: named("embedding_node", row2).words } : {};
  }
  function nodeOf(row2, place, cards) {
    const { id, kind: number, sae: sae2, layer, influence, reach, feature } = named("error_node", row2);
    const kind = KINDS3[number];
    const [, latent2, position] = (/(-?\d+)_(\d+)$/.exec(id) || []).map(Number);
    return { id, kind, sae: sae2, layer, influence, reach, feature, place, latent: latent2, position, card: null, activation: 0, probability: 0, words: "", inputs: [], outputs: [], ...ownOf(kind, row2, cards) };
  }
  function graphModel(record) {
    const cards = record.cards.map((card) => ({ ...card, examples: allNamed("card_example", card.examples) }));
    const nodes = record.nodes.map((row2, place) => nodeOf(row2, place, cards));
    const links = [];
    for (const [target, ...rest] of record.links) {
      let source = 0;
      for (let i = 0; i < rest.length; i += 2) {
        source += rest[i];
        links.push({ source: nodes[source], target: nodes[target], weight: rest[i + 1], score: 0, rank: 0 });
      }
    }
    const sums = nodes.map(() => 0);
    for (const link3 of links) sums[link3.target.place] += Math.abs(link3.weight);
    for (const link3 of links) link3.score = link3.target.reach * Math.abs(link3.weight) / (sums[link3.target.place] || 1);
    const strongest = links.slice().sort((a, b) => b.score - a.score);
    strongest.forEach((link3, rank) => link3.rank = rank);
    for (const link3 of strongest) {
      link3.target.inputs.push(link3);
      link3.source.outputs.push(link3);
    }
    const byId2 = new Map(nodes.map((node) => [node.id, node]));
    const saes = allNamed("graph_sae", record.saes);
    const checks = allNamed("graph_check", record.checks);
    return { record, saes, checks, nodes, links, strongest, byId: byId2 };
  }
  var at = (model, node) => tokenText(model.record.tokens[node.position]) + " (" + node.position + ")";
  var sae = (model, node) => node.sae >= 0 ? model.saes[node.sae].label : "";
  var nodeNames = {
    at,
    sae,
    /**
     * What a node is, without its place.
     * @param {GraphModel} model
     * @param {GraphNode} node
     */
    short(model, node) {
      if (node.kind === "embedding") return tokenText(node.latent);
      if (node.kind === "logit") return tokenText(node.latent) + " " + asText.percent(node.probability);
      if (node.kind === "error") return node.sae >= 0 ? "error of " + sae(model, node) : "layer " + node.layer + ", not covered";
      return sae(model, node) + " · " + node.latent;
    },
    /**
     * What a latent stands for, as far as is known.
     * @param {GraphNode} node
     */
    meaning(node) {
      if (!node.card || node.card.blind) return "";
      return node.card.label || unpack(node.card.on).slice(0, 3).map(tokenText).join("  ");
    },
    /**
     * @param {GraphModel} model
     * @param {GraphNode} node
     */
    full(model, node) {
      const { value: value2, percent: percent2 } = asText;
      const parts = [];
      if (node.kind === "embedding") parts.push("Token " + at(model, node));
      else if (node.kind === "logit") parts.push("Output " + nodeNames.short(model, node));
      else {
        parts.push((node.kind === "latent" ? "Latent " : "") + nodeNames.short(model, node) + " at " + at(model, node));
        const meaning = nodeNames.meaning(node);
        if (meaning) parts.push(meaning);
        if (node.kind === "latent") parts.push("activation " + value2(node.activation));
      }
      if (node.kind !== "logit") parts.push("cumulative influence " + percent2(node.influence));
      parts.push(node.inputs.length + " inputs, " + node.outputs.length + " outputs");
      return parts.join("; ");
    }
  };
  function exported(model, node) {
    const { kind, latent: latent2, position } = node;
    const told = /^(E|\d+)_/.exec(node.id);
    const layer = told ? told[1] : String(node.layer);
    const stem = kind === "logit" ? "L_" + latent2 : node.id.slice(0, node.id.lastIndexOf("_"));
    const result = {
      node_id: node.id,
      feature: node.feature,
      layer,
      ctx_idx: position,
      feature_type: TYPES[node.kind],
      jsNodeId: stem + "-" + (kind === "latent" ? 0 : position),
      clerp: kind === "latent" ? node.card ? node.card.clerp : "" : kind === "error" ? "Err: " + nodeNames.short(model, node) : node.words
    };
    if (node.probability) result.token_prob = node.probability;
    if (node.place === model.record.target) result.is_target_logit = true;
    if (node.kind !== "logit") result.influence = node.influence;
    if (node.kind === "latent") result.activation = node.activation;
    return result;
  }
  function graphJson(model, state) {
    const id = (place) => model.nodes[place].id;
    const grouped = state.groups.flatMap((group) => group.members.map(id));
    const pinned = state.pinned === null ? [] : [id(state.pinned)];
    const taken = new Set(model.nodes.map((node) => node.id));
    const unique = (name3) => {
      let found = name3;
      for (let again = 2; taken.has(found); again++) found = name3 + " (" + again + ")";
      taken.add(found);
      return found;
    };
    return {
      metadata: model.record.metadata,
      qParams: {
        pinnedIds: [.../* @__PURE__ */ new Set([...pinned, ...grouped])],
        supernodes: state.groups.map((group) => [unique(group.name), ...group.members.map(id)]),
        linkType: "both",
        clickedId: pinned[0] || "",
        sg_pos: ""
      },
      nodes: model.nodes.map((node) => exported(model, node)),
      links: model.links.map((link3) => ({ source: link3.source.id, target: link3.target.id, weight: link3.weight }))
    };
  }

  // graph/checks.js
  function drawChecks(model, figure) {
    const { checks } = model;
    const { short } = nodeNames;
    const x = checks.map((row2) => row2.predicted);
    const y = checks.map((row2) => row2.measured);
    const low = Math.min(0, ...x, ...y);
    const high2 = Math.max(0, ...x, ...y);
    const failing = checks.filter((row2) => row2.fails).length;
    const label2 = "Scatter plot of predicted and measured change for " + checks.length + " links, of which " + failing + " fail; the numbers are in the table below.";
    const plot = el("div", { class: "plot g-plot", role: "img", "aria-label": label2 });
    const key = keyList([
      ["dot d-up", "as predicted, within a factor of two"],
      ["cross", "opposite sign, or off by more"],
      ["dotted", "exactly as predicted"]
    ]);
    figure.append(plot, ...key ? [key] : []);
    const make2 = (colours) => {
      const axis2 = (title2) => ({
        type: "linear",
        title: { text: title2, standoff: 6, font: { size: 11, color: colours["ink-3"] } },
        gridcolor: colours.line,
        zerolinecolor: colours["line-2"],
        linecolor: colours["line-2"],
        automargin: true
      });
      const line2 = { type: "scatter", mode: "lines", x: [low, high2], y: [low, high2], hoverinfo: "skip", line: { color: colours["ink-3"], width: 1, dash: "dot" } };
      const marker = {
        size: 10,
        color: checks.map((row2) => row2.fails ? colours.down : colours.up),
        symbol: checks.map((row2) => row2.fails ? "x" : "circle"),
        line: { width: 1, color: colours.ink },
        opacity: 0.85
      };
      return {
        data: [line2, { type: "scatter", mode: "markers", x, y, marker, hoverinfo: "none" }],
        layout: {
          paper_bgcolor: "rgba(0,0,0,0)",
          plot_bgcolor: "rgba(0,0,0,0)",
          font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
          margin: { l: 48, r: 8, t: 8, b: 40 },
          showlegend: false,
          hovermode: "closest",
          dragmode: false,
          xaxis: axis2("predicted change"),
          yaxis: axis2("measured change")
        }
      };
    };
    whenSeen(
      plot,
      () => drawPlot(plot, make2, {
        /** @param {PlotEvent} event */
        plotly_hover: (event) => {
          const point = event.points[0];
          const row2 = point.curveNumber === 1 ? checks[point.pointIndex] : null;
          if (!row2 || !event.event) return;
          const [source, target] = [model.nodes[row2.source], model.nodes[row2.target]];
          const { value: value2 } = asText;
          showTip(
            [short(model, source) + " → " + short(model, target), "predicted " + value2(row2.predicted), "measured " + value2(row2.measured), ...row2.fails ? [row2.fails] : []],
            event.event.clientX,
            event.event.clientY
          );
        },
        plotly_unhover: () => showTip(null)
      })
    );
  }

  // shell/markdown.js
  var N_EXAMPLES = 5;
  var N_ROWS = 10;
  var plain3 = (text4) => text4.replace(/\s+/g, " ").trim().replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/[\\`*_{}[\]()#+\-.!|~$:=^'"]/g, (sign) => `-.:'"()+=`.includes(sign) ? sign : "\\" + sign).replace(/([@#])(?=\w)/g, "$1⁠").replace(/:(?=\/\/)/g, "\\:").replace(/\bwww\./gi, "www\\.").replace(/^([-+=])/, "\\$1").replace(/^(\d+)([.)])(?=\s|$)/, "$1\\$2");
  var code = function(text4) {
    const longest = Math.max(0, ...Array.from(text4.matchAll(/`+/g), (found) => found[0].length));
    const fence = "`".repeat(longest + 1);
    const pad = /^[` ]|[` ]$/.test(text4) ? " " : "";
    return fence + pad + text4.replace(/\s+/g, " ") + pad + fence;
  };
  var text3 = (node) => node ? node.textContent : "";
  var apart = (node) => Array.from(node ? node.childNodes : [], (part) => part.textContent).join(" ");
  var shown2 = (node) => node && !node.hidden && !node.closest("[hidden]");
  var link2 = (label2, address) => "[" + plain3(label2) + "](<" + address.replace(/[<>\\\s]/g, encodeURIComponent) + ">)";
  function marked(example2) {
    const { peak, activation, start: start2, window: packed } = example2;
    const active = new Set(example2.places);
    const runs = [];
    const add = (on, part) => {
      const last = runs[runs.length - 1];
      if (last && last.on === on) last.part += part;
      else runs.push({ on, part });
    };
    running(unpack(packed)).forEach(({ first, length, text: read2 }) => {
      const on = Array.from({ length }, (_, i) => start2 + first + i).some((place) => active.has(place));
      const own2 = proseText(read2);
      if (on && own2.startsWith(" ") && own2.length > 1) {
        add(false, " ");
        add(true, own2.slice(1));
      } else add(on, own2);
    });
    const words2 = runs.map(({ on, part }) => {
      const [, before4 = "", word = "", after = ""] = /^( *)(.*?)( *)$/s.exec(part) || [];
      return before4 + (on && word ? "<b>" + plain3(word) + "</b>" : plain3(word)) + after;
    });
    const at2 = unpack(packed)[peak - start2];
    return asText.value(activation) + " on " + code(tokenText(at2)) + ": …" + words2.join("") + "…";
  }
  function latent(article) {
    const name3 = store.saes.get(thisPage.sae)?.label || thisPage.sae;
    const index = Number(article.id.slice("latent-".length));
    const out = ["## " + link2(name3 + " latent " + index, viewAddress()), ""];
    const label2 = maybe(article, ".label");
    if (shown2(label2)) out.push("> " + plain3(text3(label2)), "");
    out.push("*" + plain3(store.report.title) + "*", "");
    for (const note of all(article, ".dead, .blind-note")) if (shown2(note)) out.push(plain3(text3(note)), "");
    for (const section2 of all(article, ".story > section")) {
      const title2 = text3(maybe(section2, "h2"));
      const lines2 = [];
      all(section2, "dl > div").forEach((row2) => lines2.push(plain3(text3(maybe(row2, "dt"))) + ": " + plain3(text3(maybe(row2, "dd")))));
      for (const line2 of all(section2, ".line")) {
        if (!shown2(line2)) continue;
        const tokens2 = all(line2, "code").map((token) => code(text3(token)));
        lines2.push(plain3(text3(maybe(line2, "span"))) + ": " + tokens2.join(" "));
      }
      all(section2, "li").forEach((item2) => shown2(item2) && lines2.push(plain3(text3(item2))));
      all(section2, ".none").forEach((item2) => lines2.push(plain3(text3(item2))));
      out.push("**" + plain3(title2) + "**", "", ...lines2.map((line2) => "- " + line2), "");
    }
    const shard = Array.from(store.shards.values()).find((item2) => item2.sae === thisPage.sae && item2.byLatent.has(index));
    const record = shard && maybe(article, "[data-panel='examples']") && shard.byLatent.get(index);
    const [block] = record && new Map(record.panels).get("examples") || [];
    const top = block && groupsOf(merged(block)).find((group) => group.group === "top");
    if (top && top.examples.length) {
      out.push("**Strongest examples**, active tokens in bold", "");
      top.examples.slice(0, N_EXAMPLES).forEach((example2, i) => out.push(i + 1 + ". " + marked(example2)));
      out.push("");
    }
    return out;
  }
  function table2(node) {
    const { columns, rows } = tableTexts(node);
    const line2 = (cells) => "| " + cells.map((cell2) => typeof read(cell2) === "number" ? cell2 : plain3(cell2)).join(" | ") + " |";
    const out = [line2(columns), "|" + " --- |".repeat(columns.length), ...rows.slice(0, N_ROWS).map(line2)];
    if (rows.length > N_ROWS) out.push("", "and " + (rows.length - N_ROWS) + " more");
    return [...out, ""];
  }
  var SAID = ".g-prompt, .c-tokens, .facts > div, .g-said p, .c-note, section > h2, header > h2, .summary, .g-text, table";
  var TOLD = ".told .kv > div, .told .counts, .told .unfold > summary, .told .block > h3, .told figcaption > h3";
  function page() {
    const main = byId("main", HTMLElement);
    const out = ["## " + link2(text3(maybe(main, "h1")) || document.title, viewAddress()), "", "*" + plain3(store.report.title || document.title) + "*", ""];
    for (const node of all(main, SAID + ", " + TOLD)) {
      if (!shown2(node) || node.closest(".data, .contents, .c-card")) continue;
      if (node.matches(".facts > div, .kv > div")) out.push("- " + plain3(text3(maybe(node, "dt"))) + ": " + plain3(apart(maybe(node, "dd"))));
      else if (node.matches(".c-tokens")) out.push(all(node, "code").map((token) => code(text3(token))).join(" "), "");
      else if (node.matches("h2")) out.push("", "### " + plain3(text3(node)), "");
      else if (node.matches("h3, summary")) out.push("", "#### " + plain3(text3(node)), "");
      else if (node.matches(".counts")) out.push(...Array.from(node.children).map((line2) => "- " + plain3(text3(line2))), "");
      else if (node instanceof HTMLTableElement) out.push("", ...table2(node));
      else out.push(plain3(text3(node)), "");
    }
    return out;
  }
  function markdownOf() {
    const article = maybe(document, "article.current");
    const lines2 = article ? latent(article) : page();
    return lines2.join("\n").replace(/\n{3,}/g, "\n\n").trim() + "\n";
  }
  var markdownParts = { plain: plain3, code };

  // shell/actions.js
  var root3 = document.documentElement;
  function byHand(text4, what) {
    const before4 = document.activeElement;
    const field2 = el("textarea", { readonly: "", rows: "3", "aria-label": what });
    field2.value = text4;
    const done = el("button", { type: "button" }, "Close");
    const note = el("p", {}, "This browser does not let a page copy. The text is selected: copy it yourself.");
    const box = el("div", { class: "by-hand", role: "group", "aria-label": what }, note, field2, done);
    const close = () => {
      box.remove();
      if (before4 instanceof HTMLElement) before4.focus();
    };
    done.addEventListener("click", close);
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
    });
    all(document, ".by-hand").forEach((node) => node.remove());
    document.body.append(box);
    field2.focus();
    field2.select();
  }
  async function copyText(text4, what) {
    try {
      await self.navigator.clipboard.writeText(text4);
      say(what + " copied");
    } catch {
      byHand(text4, what);
    }
  }
  var copyLink = () => copyText(viewAddress(), "Link to this view");
  var copyMarkdown = async () => copyText(await markdownOf(), "Markdown");
  var [WIDE, HIGH] = [680, 860];
  function fitGraph() {
    const canvas = maybe(document, ".g-canvas");
    if (canvas) canvas.style.setProperty("--fit", String(Math.min(1, WIDE / canvas.scrollWidth, HIGH / canvas.scrollHeight)));
  }
  var before3 = "";
  var head2 = el("div", { class: "print-head" });
  function paper() {
    if (session.paper) return;
    session.paper = true;
    before3 = root3.dataset.theme || "";
    root3.dataset.theme = "light";
    head2.replaceChildren(el("b", {}, document.title), el("span", {}, viewAddress()));
    within(document, "main").prepend(head2);
    fitGraph();
    listeners.paper.forEach((changed) => changed());
    drawAll(maybe(document, "article.current") || within(document, "main"));
  }
  function screen() {
    if (!session.paper) return;
    session.paper = false;
    if (before3) root3.dataset.theme = before3;
    else delete root3.dataset.theme;
    head2.remove();
    listeners.paper.forEach((changed) => changed());
    redraw();
  }
  async function printPage() {
    paper();
    try {
      await drawAll(maybe(document, "article.current") || within(document, "main"));
      self.print();
    } finally {
      screen();
    }
  }
  function menu() {
    const tools = maybe(document, ".tools");
    if (!tools) return;
    const item2 = (label2, key, action) => {
      const button3 = el("button", { type: "button", "aria-keyshortcuts": key }, label2, key ? el("kbd", {}, key) : null);
      button3.addEventListener("click", () => {
        open4(false);
        action();
      });
      return button3;
    };
    const inside = el(
      "div",
      { class: "share-menu", hidden: "" },
      item2("Copy link to this view", "y", copyLink),
      item2("Copy as Markdown", "m", copyMarkdown),
      item2("Print or save as PDF", null, printPage)
    );
    const button2 = el("button", { class: "icon share", type: "button", "aria-expanded": "false", "aria-label": "Copy or print", title: "Copy or print" }, "⇪");
    const box = el("div", { class: "share-box" }, button2, inside);
    const open4 = (now) => {
      inside.hidden = !now;
      button2.setAttribute("aria-expanded", String(now));
      if (!now && box.contains(document.activeElement)) button2.focus();
    };
    button2.addEventListener("click", () => open4(Boolean(inside.hidden)));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || inside.hidden) return;
      event.stopPropagation();
      open4(false);
    });
    const outside = (target) => target instanceof Node && !box.contains(target);
    document.addEventListener("click", (event) => !inside.hidden && outside(event.target) && open4(false));
    box.addEventListener("focusout", (event) => outside(event.relatedTarget) && open4(false));
    tools.insertBefore(box, document.getElementById("theme"));
  }
  function startActions() {
    menu();
    offerTables();
    self.addEventListener("beforeprint", paper);
    self.addEventListener("afterprint", screen);
    self.matchMedia("print").addEventListener("change", (event) => event.matches ? paper() : screen());
  }

  // graph/controls.js
  function controlsOf(page2) {
    const { model } = page2;
    const box = el("div", { class: "g-tools" });
    const slider = (label2, fields, input) => {
      const out = el("output", {});
      const range2 = el("input", { type: "range", ...fields });
      range2.addEventListener("input", () => input(Number(range2.value)));
      box.append(el("label", { class: "field" }, el("span", {}, label2 + " ", out), range2));
      return { range: range2, out };
    };
    const tick = (label2, name4) => {
      const check = el("input", { type: "checkbox" });
      check.addEventListener("change", () => page2.change({ [name4]: check.checked }, name4 === "errors"));
      box.append(el("label", { class: "g-tick" }, check, label2));
      return check;
    };
    const total = model.links.length;
    const links = slider("Links", { min: 0, max: 100, step: 1 }, (v) => page2.change({ links: v === 0 ? 0 : Math.round(Math.exp(Math.log(total) * v / 100)) }));
    const influence = slider("Nodes", { min: 0, max: 1, step: 0.01 }, (v) => page2.change({ influence: v }));
    const errors = tick("error nodes", "errors");
    const paths = tick("follow whole paths", "paths");
    const near = tick("neighbours only", "near");
    const name3 = el("input", { type: "text", placeholder: "Name of a group", "aria-label": "Name of the new group", autocomplete: "off", maxlength: "40" });
    const group = el("button", { type: "button" }, "Group");
    group.addEventListener("click", () => page2.group(name3));
    name3.addEventListener("keydown", (event) => {
      if (event.key === "Enter") page2.group(name3);
    });
    const button2 = (text4, action) => {
      const made2 = el("button", { type: "button" }, text4);
      made2.addEventListener("click", action);
      return made2;
    };
    const trace = button2("Trace the answer", () => page2.traceAnswer());
    const copy = button2("Copy link", () => copyLink());
    const save2 = button2("Export JSON", () => page2.save());
    const clear2 = button2("Clear", () => page2.clear());
    const made = el("span", { class: "g-group" }, name3, group);
    box.append(el("div", { class: "g-more" }, trace, made, el("span", { class: "g-actions" }, copy, save2, clear2)));
    const show = () => {
      const { state } = page2;
      const { count, percent: percent2, value: value2 } = asText;
      if (document.activeElement !== links.range) links.range.value = String(state.links ? Math.round(100 * Math.log(state.links) / Math.log(Math.max(2, total))) : 0);
      const { drawn: drawn2 } = page2;
      links.out.textContent = drawn2.links ? count(drawn2.links) + " of " + count(drawn2.of) + ", score from " + value2(drawn2.from) : "of the pinned node only";
      influence.range.value = String(state.influence);
      influence.out.textContent = state.influence < 1 ? "up to " + percent2(state.influence) + " of influence" : "all";
      errors.checked = state.errors;
      paths.checked = state.paths;
      near.checked = state.near;
      trace.setAttribute("aria-pressed", String(state.trace && state.pinned === model.record.target));
      const n = page2.selected.size;
      group.disabled = n < 2;
      group.textContent = n ? "Group " + n : "Group";
      group.title = n < 2 ? "Choose two or more nodes first: Shift+click, or g on the keyboard" : "";
    };
    return { box, name: name3, show };
  }

  // graph/layout.js
  var MEANINGS_UP_TO = 36;
  var NUMBERED = 14;
  var LINE = 150;
  var GAP = 6;
  var TOKENS = -1;
  var OUTPUTS = 1e9;
  var LOW = { main: 20, bare: 2 };
  var pen = document.createElement("canvas").getContext("2d");
  function width(text4, size) {
    if (!pen) return size * text4.length / 2;
    pen.font = size + "px sans-serif";
    return pen.measureText(text4).width;
  }
  function fitText(text4, most, size) {
    if (width(text4, size) <= most) return text4;
    const letters = Array.from(text4);
    while (letters.length > 1 && width(letters.join("") + "…", size) > most) letters.pop();
    return letters.join("") + "…";
  }
  var NO_ROW = { layer: 0, sae: 0, cells: /* @__PURE__ */ new Map(), main: false, used: false, place: 0, h: 0, y: 0, full: 0, middle: 0 };
  var NO_BOX = svgNode("g", {});
  var itemOf = (own2) => ({ text: "", large: false, w: 20, h: 20, k: 1, r: 0, x: 0, y: 0, column: 0, row: NO_ROW, box: NO_BOX, there: true, ...own2 });
  function itemsOf(model, state) {
    const { short, meaning } = nodeNames;
    const grouped = new Set(state.groups.flatMap((group) => group.members));
    const latents2 = model.nodes.filter((node) => node.kind === "latent");
    const few = latents2.length <= MEANINGS_UP_TO;
    const numbered2 = new Set(few ? [] : latents2.sort((a, b) => b.reach - a.reach).slice(0, NUMBERED));
    const items = [];
    for (const node of model.nodes) {
      if (grouped.has(node.place)) continue;
      const item2 = itemOf({ node, group: null, members: [node], kind: node.kind });
      if (node.kind === "logit") {
        item2.text = fitText(short(model, node), 120, 11);
        item2.w = width(item2.text, 11) + 18;
        item2.h = 24;
      } else if (node.kind === "latent") {
        item2.r = 4.5 + 4.5 * Math.max(0, 1 - node.influence);
        item2.h = 22;
        if (numbered2.has(node)) {
          item2.text = String(node.latent);
          item2.large = true;
          item2.w = width(item2.text, 17) + 12;
          item2.h = 42;
        } else if (few) {
          item2.text = fitText(meaning(node) || String(node.latent), 104, 9.5);
          item2.w = Math.max(30, width(item2.text, 9.5) + 10);
          item2.h = 36;
        }
      } else if (node.kind === "error") {
        item2.w = 15;
        item2.h = 13;
      } else item2.w = item2.h = 16;
      items.push(item2);
    }
    for (const group of state.groups) {
      const members2 = group.members.map((place) => model.nodes[place]);
      const size = few ? 11.5 : 17;
      const text4 = fitText(group.name, 15 * size, size) + " (" + members2.length + ")";
      items.push(itemOf({ node: null, group, members: members2, kind: "group", text: text4, large: !few, w: width(text4, size) + 28, h: few ? 28 : 34 }));
    }
    return items;
  }
  function rowKey(node) {
    if (node.kind === "embedding") return { layer: TOKENS, sae: 0 };
    if (node.kind === "logit") return { layer: OUTPUTS, sae: 0 };
    return { layer: node.layer, sae: node.sae };
  }
  function middle(values) {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return values.reduce((best, value2) => Math.abs(value2 - mean) < Math.abs(best - mean) ? value2 : best, values[0]);
  }
  function rowsOf2(model, items) {
    const rows = /* @__PURE__ */ new Map();
    const rowOf = (node) => {
      const key = rowKey(node);
      const name3 = key.layer + "," + key.sae;
      const row2 = rows.get(name3) || { ...NO_ROW, ...key, cells: /* @__PURE__ */ new Map() };
      rows.set(name3, row2);
      return row2;
    };
    model.nodes.forEach(rowOf);
    const sorted = Array.from(rows.values()).sort((a, b) => a.layer - b.layer || a.sae - b.sae);
    sorted.forEach((row2, i) => row2.place = i);
    for (const item2 of items) {
      const row2 = sorted[middle(item2.members.map((node) => rowOf(node).place))];
      item2.column = middle(item2.members.map((node) => node.position));
      row2.used = true;
      if (item2.kind !== "error") row2.main = true;
      const cell2 = row2.cells.get(item2.column) || { items: [], lines: [] };
      row2.cells.set(item2.column, cell2);
      cell2.items.push(item2);
      item2.row = row2;
    }
    return sorted.filter((row2) => row2.used);
  }
  function lines(items, most) {
    const result = [];
    let line2 = null;
    for (const item2 of items) {
      if (!line2 || line2.w + GAP + item2.w > most) {
        line2 = { items: [], w: -GAP, h: 0 };
        result.push(line2);
      }
      line2.items.push(item2);
      line2.w += item2.w + GAP;
      line2.h = Math.max(line2.h, item2.h);
    }
    return result;
  }
  var high = (cell2) => cell2.lines.reduce((h, line2) => h + line2.h + 2, 0);
  var heightOf = (row2) => Math.max(...Array.from(row2.cells.values(), (cell2) => cell2.lines.length ? high(cell2) : 24));
  function order(a, b) {
    const rank = { group: 0, logit: 1, latent: 1, embedding: 1, error: 2 };
    if (rank[a.kind] !== rank[b.kind]) return rank[a.kind] - rank[b.kind];
    const [first, second] = [a.members[0], b.members[0]];
    return (a.kind === "logit" ? second.probability - first.probability : 0) || first.place - second.place;
  }
  function layoutOf2(model, state, space) {
    const items = itemsOf(model, state).filter((item2) => state.errors || item2.kind !== "error");
    const rows = rowsOf2(model, items);
    const columns = model.record.tokens.map(() => ({ x: 0, w: 40, busy: false }));
    for (const row2 of rows) {
      for (const [column, cell2] of row2.cells) {
        cell2.items.sort(order);
        if (row2.layer === OUTPUTS) continue;
        const total = cell2.items.reduce((sum, item2) => sum + item2.w + GAP, 0);
        const most = total <= LINE ? LINE : Math.max(90, total / Math.ceil(total / LINE) + 12);
        const made = lines(cell2.items, most);
        cell2.lines = made;
        const widest = Math.max(...made.map((line2) => line2.w));
        columns[column].w = Math.max(columns[column].w, widest + 18);
        if (row2.layer !== TOKENS) columns[column].busy = true;
      }
    }
    const shrunk = (ratio) => Math.min(Math.max(1, ratio), 1 / space.least);
    const least = rows.reduce((sum, row2) => sum + heightOf(row2) + (row2.main ? LOW.main : LOW.bare), 0);
    const tall = shrunk(least / space.h);
    const busy = columns.filter((column) => column.busy).length || columns.length;
    const natural = columns.reduce((sum, column) => sum + column.w, 0);
    const extra = Math.max(0, space.w * tall - natural) / busy;
    let x = 0;
    for (const column of columns) {
      if (column.busy) column.w += extra;
      column.x = x;
      x += column.w;
    }
    const W = Math.max(x, 200);
    const wide = shrunk(W / space.w);
    for (const item2 of items) {
      if (item2.kind !== "logit") continue;
      item2.k = Math.min(1.7, wide);
      item2.w *= item2.k;
      item2.h *= item2.k;
    }
    for (const row2 of rows) {
      if (row2.layer === OUTPUTS) for (const cell2 of row2.cells.values()) cell2.lines = lines(cell2.items, W - 12);
      row2.h = heightOf(row2);
    }
    const inner = rows.reduce((sum, row2) => sum + row2.h, 0);
    const main = rows.filter((row2) => row2.main).length;
    const spare = Math.max(0, space.h * wide - inner - LOW.bare * (rows.length - main)) / Math.max(1, main);
    let y = 8;
    for (const row2 of rows.slice().reverse()) {
      const pad = row2.main ? Math.min(110, Math.max(LOW.main, spare)) : LOW.bare;
      row2.y = y;
      row2.full = row2.h + pad;
      row2.middle = y + row2.full / 2;
      y += row2.full;
      for (const [column, cell2] of row2.cells) {
        let top = row2.middle - high(cell2) / 2;
        for (const line2 of cell2.lines) {
          const own2 = columns[column];
          let left = row2.layer === OUTPUTS ? W - 8 - line2.w : own2.x + (own2.w - line2.w) / 2;
          for (const item2 of line2.items) {
            item2.x = left + item2.w / 2;
            item2.y = top + line2.h / 2;
            left += item2.w + GAP;
          }
          top += line2.h + 2;
        }
      }
    }
    const of = /* @__PURE__ */ new Map();
    items.forEach((item2) => item2.members.forEach((node) => of.set(node.place, item2)));
    return { items, rows, columns, W, H: y + 4, of, edges: edgesOf(model, of) };
  }
  function edgesOf(model, of) {
    const edges = /* @__PURE__ */ new Map();
    const places = /* @__PURE__ */ new Map();
    const numbered2 = (item2) => places.get(item2) ?? (places.set(item2, places.size), places.size - 1);
    for (const link3 of model.strongest) {
      const source = of.get(link3.source.place);
      const target = of.get(link3.target.place);
      if (!source || !target || source === target) continue;
      const key = numbered2(source) + " " + numbered2(target);
      const edge2 = edges.get(key);
      const score = Math.sign(link3.weight) * link3.score;
      if (edge2) {
        edge2.weight += link3.weight;
        edge2.score += score;
      } else edges.set(key, { source, target, weight: link3.weight, score });
    }
    const sorted = Array.from(edges.values());
    for (const edge2 of sorted) edge2.score = Math.abs(edge2.score);
    sorted.sort((a, b) => b.score - a.score);
    sorted.forEach((edge2, rank) => edge2.rank = rank);
    return sorted;
  }

  // graph/draw.js
  var ZOOM = { least: 0.3, most: 3 };
  var NAME2 = 15;
  var NUMBER3 = 12;
  var NOTHING3 = { items: [], rows: [], columns: [], W: 1, H: 1, of: /* @__PURE__ */ new Map(), edges: [] };
  var round = (n) => Math.round(n * 10) / 10;
  function shapeOf(item2) {
    const { kind } = item2;
    const w = item2.w / item2.k;
    const h = item2.h / item2.k;
    if (kind === "latent") return svgNode("circle", { r: round(item2.r), cy: item2.text ? -7 : 0, class: "shape" });
    if (kind === "error") return svgNode("path", { d: "M0-5.5L5.5 0 0 5.5-5.5 0z", class: "shape" });
    if (kind === "embedding") return svgNode("rect", { x: -6, y: -6, width: 12, height: 12, rx: 2, class: "shape" });
    const r = kind === "group" ? 14 : 4;
    return svgNode("rect", { x: round(-w / 2), y: -h / 2, width: round(w), height: h, rx: r, class: "shape" });
  }
  function nodeOf2(model, item2) {
    const w = round(item2.w / item2.k);
    const h = round(item2.h / item2.k);
    const box = svgNode("g", {
      class: "node k-" + item2.kind,
      transform: "translate(" + round(item2.x) + " " + round(item2.y) + ") scale(" + item2.k + ")",
      role: "button",
      tabindex: "-1",
      "aria-pressed": "false"
    });
    box.setAttribute("aria-label", nameOf2(model, item2));
    box.append(svgNode("rect", { x: -w / 2, y: -h / 2, width: w, height: h, class: "hit" }));
    box.append(shapeOf(item2));
    if (item2.text) {
      const text4 = svgNode("text", { y: item2.kind === "latent" ? item2.large ? 17 : 14 : item2.large ? 6 : 4, class: item2.large ? "large" : "" });
      text4.textContent = item2.text;
      box.append(text4);
    }
    box.item = item2;
    item2.box = box;
    return box;
  }
  function nameOf2(model, item2) {
    if (item2.node) return nodeNames.full(model, item2.node);
    const members2 = item2.members.map((node) => nodeNames.short(model, node));
    return "Group " + (item2.group ? item2.group.name : "") + ": " + members2.join(", ");
  }
  function pathOf2(edge2) {
    const { source: a, target: b } = edge2;
    const from = a.y - (a.kind === "latent" ? a.text ? 7 + a.r : a.r : a.kind === "error" ? 5 : a.kind === "embedding" ? 6 : a.h / 2);
    const to = b.y + (b.kind === "latent" ? b.text ? b.h / 2 : b.r : b.kind === "error" ? 5 : b.kind === "embedding" ? 6 : b.h / 2);
    const bend = Math.max(14, Math.abs(from - to) * 0.42);
    return "M" + round(a.x) + " " + round(from) + "C" + round(a.x) + " " + round(from - bend) + " " + round(b.x) + " " + round(to + bend) + " " + round(b.x) + " " + round(to);
  }
  function edgeOf(edge2, most, widest) {
    const size = Math.sqrt(edge2.score / most);
    const path = svgNode("path", { d: pathOf2(edge2), class: (edge2.weight < 0 ? "neg" : "pos") + (edge2.source.kind === "error" ? " unexplained" : "") });
    path.setAttribute("stroke-width", String(round(Math.max(0.5, widest * size))));
    path.setAttribute("stroke-opacity", String(round(10 * Math.min(0.9, 0.22 + 0.68 * size)) / 10));
    return path;
  }
  var GraphStage = class {
    /** @param {GraphModel} model */
    constructor(model) {
      this.model = model;
      this.zoom = 1;
      this.fitted = null;
      this.layout = NOTHING3;
      this.behind = [];
      this.bands = svgNode("g", { class: "bands", "aria-hidden": "true" });
      this.base = svgNode("g", { class: "edges base", "aria-hidden": "true" });
      this.hot = svgNode("g", { class: "edges hot", "aria-hidden": "true" });
      this.nodes = svgNode("g", { class: "nodes" });
      this.svg = svgNode("svg", { class: "g-svg", role: "group" }, this.bands, this.base, this.hot, this.nodes);
      this.svg.setAttribute(
        "aria-label",
        "Attribution graph. Arrow keys walk along a layer and along the strongest links, Enter pins a node, Escape unpins, g selects it for a group."
      );
      this.layers = el("div", { class: "g-layers", "aria-hidden": "true" });
      this.tokens = el("div", { class: "g-tokens", "aria-hidden": "true" });
      this.canvas = el("div", { class: "g-canvas" }, this.layers, this.svg, this.zoomButtons(), this.tokens);
      this.scroll = el("div", { class: "g-scroll" }, this.canvas);
    }
    zoomButtons() {
      const box = el("div", { class: "g-zoom", role: "group", "aria-label": "Zoom" });
      for (const { text: text4, name: name3, action } of [
        { text: "−", name: "Zoom out", action: () => this.zoomBy(0.8) },
        { text: "+", name: "Zoom in", action: () => this.zoomBy(1.25) },
        { text: "⤢", name: "Show all of it", action: () => this.fit(0) }
      ]) {
        const button2 = el("button", { type: "button", class: "icon", "aria-label": name3, title: name3 }, text4);
        button2.addEventListener("click", action);
        box.append(button2);
      }
      return box;
    }
    /**
     * Draws nodes and rows anew; edges are drawn by `edges`.
     * @param {GraphLayout} layout
     */
    show(layout) {
      this.layout = layout;
      const { W, H } = layout;
      this.svg.setAttribute("viewBox", "0 0 " + round(W) + " " + round(H));
      const marks2 = [];
      layout.rows.forEach((row2, i) => {
        if (row2.main && i % 2) marks2.push(svgNode("rect", { x: 0, y: round(row2.y), width: round(W), height: round(row2.full), class: "band" }));
      });
      layout.columns.forEach((column, i) => {
        if (i) marks2.push(svgNode("path", { d: "M" + round(column.x) + " 0V" + round(H), class: "rule" }));
      });
      this.bands.replaceChildren(...marks2);
      const items = layout.items.slice().sort((a, b) => b.y - a.y || a.x - b.x);
      this.nodes.replaceChildren(...items.map((item2) => nodeOf2(this.model, item2)));
      this.layers.replaceChildren(...layout.rows.map((row2) => this.rowName(row2)));
      this.tokens.replaceChildren(
        ...this.model.record.tokens.map((token, position) => {
          const text4 = tokenText(token);
          return el("span", { title: text4 + ", position " + position }, el("code", {}, text4), el("small", {}, String(position)));
        })
      );
      this.size(this.zoom);
    }
    /** @param {GraphRow} row */
    rowName(row2) {
      const { layer, sae: sae2 } = row2;
      if (layer === TOKENS) return el("span", {}, "tokens");
      if (layer === OUTPUTS) return el("span", {}, "outputs");
      if (sae2 >= 0) return el("span", { class: "of", title: nodeNames.sae(this.model, { sae: sae2 }) }, nodeNames.sae(this.model, { sae: sae2 }));
      return el("span", { class: "bare", title: "layer " + layer + ", not covered by an SAE of the graph" }, String(layer));
    }
    /** @param {number} zoom */
    size(zoom) {
      this.zoom = Math.min(ZOOM.most, Math.max(ZOOM.least, zoom));
      const { W, H, columns } = this.layout;
      const z = this.zoom;
      this.svg.setAttribute("width", String(round(W * z)));
      this.svg.setAttribute("height", String(round(H * z)));
      this.nameRows(z);
      const marks2 = all(this.tokens, ":scope > *");
      columns.forEach((column, i) => {
        const mark3 = marks2[i].style;
        mark3.setProperty("left", round(column.x * z) + "px");
        mark3.setProperty("width", round(column.w * z) + "px");
      });
    }
    /**
     * Names of SAEs are moved apart where they would touch; a layer's number gives way to them.
     * @param {number} zoom
     */
    nameRows(zoom) {
      const { rows } = this.layout;
      const boxes2 = all(this.layers, ":scope > *");
      const names2 = rows.map((row2, i) => ({ y: row2.middle * zoom, box: boxes2[i], bare: row2.sae < 0 && row2.layer !== TOKENS && row2.layer !== OUTPUTS }));
      const firm = names2.filter((name3) => !name3.bare).sort((a, b) => a.y - b.y);
      firm.forEach((name3, i) => {
        if (i) name3.y = Math.max(name3.y, firm[i - 1].y + NAME2);
      });
      const taken = firm.map((name3) => name3.y);
      for (const name3 of names2) {
        const fits = !name3.bare || taken.every((y) => Math.abs(y - name3.y) >= NUMBER3);
        if (name3.bare && fits) taken.push(name3.y);
        name3.box.hidden = !fits;
        name3.box.style.setProperty("top", round(name3.y) + "px");
      }
    }
    /**
     * Zooms and keeps the point (x, y) of the window in place; the middle if none is given.
     * @param {number} factor
     * @param {number} [x]
     * @param {number} [y]
     */
    zoomBy(factor, x, y) {
      const box = this.scroll.getBoundingClientRect();
      const px = (x ?? box.left + box.width / 2) - box.left;
      const py = (y ?? box.top + box.height / 2) - box.top;
      const inset = this.layers.offsetWidth;
      const before4 = this.zoom;
      this.fitted = null;
      const cx = (this.scroll.scrollLeft + px - inset) / before4;
      const cy = (this.scroll.scrollTop + py) / before4;
      this.size(before4 * factor);
      this.scroll.scrollLeft = cx * this.zoom + inset - px;
      this.scroll.scrollTop = cy * this.zoom - py;
    }
    /**
     * The whole graph, or, where it would be too small to read, its full height or width.
     * @param {number} least
     */
    fit(least) {
      const { W, H } = this.layout;
      const wide = (this.scroll.clientWidth - this.layers.offsetWidth - 2) / W;
      const high2 = (this.room() - this.tokens.offsetHeight - 2) / H;
      this.size(Math.max(least, Math.min(wide, high2, 1.5)));
      this.fitted = least;
    }
    // The outputs into view: the upper right end.
    toEnd() {
      this.scroll.scrollLeft = this.scroll.scrollWidth;
      this.scroll.scrollTop = 0;
    }
    /** @param {GraphItem} item */
    centre(item2) {
      const { scroll, zoom, layers, tokens: tokens2 } = this;
      scroll.scrollLeft = item2.x * zoom - (scroll.clientWidth - layers.offsetWidth) / 2;
      scroll.scrollTop = item2.y * zoom - (scroll.clientHeight - tokens2.offsetHeight) / 2;
    }
    room() {
      return Math.max(320, Math.min(760, self.innerHeight * 0.76));
    }
    /**
     * `base` is drawn behind, `hot` above it; widths are relative to the strongest of each.
     * @param {Edge[]} base
     * @param {Edge[]} hot
     */
    edges(base, hot) {
      const drawn2 = (edges) => {
        const most = edges.reduce((largest2, edge2) => Math.max(largest2, edge2.score), 1e-12);
        const widest = Math.min(5.5, Math.max(1.6, 5.5 * Math.sqrt(60 / Math.max(1, edges.length))));
        const unexplained = (edge2) => edge2.source.kind === "error";
        const ordered = edges.slice().reverse();
        return [...ordered.filter(unexplained), ...ordered.filter((edge2) => !unexplained(edge2))].map((edge2) => edgeOf(edge2, most, widest));
      };
      const same = base.length === this.behind.length && base.every((edge2, i) => edge2 === this.behind[i]);
      if (!same) this.base.replaceChildren(...drawn2(base));
      this.hot.replaceChildren(...drawn2(hot));
      this.behind = base;
      this.svg.classList.toggle("focused", hot.length > 0);
    }
  };

  // graph/panel.js
  var LISTED = 12;
  var PATHS = 8;
  function tokens(title2, packed) {
    if (!packed) return null;
    const line2 = el("p", { class: "line" }, el("span", {}, title2));
    unpack(packed).forEach((id) => line2.append(tokenCode(id)));
    return line2;
  }
  function example(card, { activation, start: start2, window: packed, places, values }) {
    const active = new Map(places.map((place, i) => [place, values[i]]));
    const words2 = el("q", { dir: "auto" });
    running(unpack(packed)).forEach(({ first, length, text: read2 }) => {
      const text4 = proseText(read2);
      const here = Array.from({ length }, (_, i) => active.get(start2 + first + i)).filter((each) => each !== void 0);
      const value2 = here.length ? Math.max(...here) : void 0;
      if (value2 === void 0) words2.append(text4);
      else {
        const word = text4.length > 1 && text4.startsWith(" ") ? text4.slice(1) : text4;
        if (word !== text4) words2.append(" ");
        words2.append(el("i", { class: "a" + levelOf(value2, card.max) }, word));
      }
    });
    return el("li", {}, el("b", {}, asText.value(activation)), words2);
  }
  function numbers(model, node) {
    const { value: value2, percent: percent2 } = asText;
    const rows = [];
    if (node.kind === "latent") rows.push(["activation", value2(node.activation)]);
    if (node.kind === "logit") rows.push(["probability", percent2(node.probability)]);
    else rows.push(["cumulative influence", percent2(node.influence)]);
    const list2 = el("dl", { class: "g-facts" });
    rows.forEach(([name3, text4]) => list2.append(el("div", {}, el("dt", {}, name3), el("dd", {}, text4))));
    return list2;
  }
  function about2(model, node, examples) {
    const { short, at: at2 } = nodeNames;
    const card = node.card;
    const sae2 = node.sae >= 0 ? model.saes[node.sae] : null;
    let title2 = short(model, node);
    if (node.kind === "latent" && card && card.href) title2 = el("a", { href: addressOf(card.href) }, title2);
    else if (node.kind === "latent" && sae2 && sae2.neuronpedia)
      title2 = el("a", { href: sae2.neuronpedia + "/" + node.latent, rel: "noreferrer", title: "on Neuronpedia" }, title2 + " ↗");
    const kinds2 = { embedding: "Token", logit: "Output", error: "Error", latent: "Latent" };
    const place = el("p", { class: "g-at" }, kinds2[node.kind] + " at ", el("code", { class: "tok" }, at2(model, node)));
    const box = el("div", { class: "g-about" }, el("h3", {}, title2), place);
    if (card && card.label) box.append(el("p", { class: "g-label" }, card.label));
    if (card && card.blind) box.append(el("p", { class: "none" }, "A blind case study: what it stands for is not said here."));
    if (node.kind === "latent" && !(card && card.href)) box.append(el("p", { class: "none" }, "Not among the latents that this report shows."));
    if (node.kind === "error") box.append(el("p", { class: "none" }, "What no latent of the graph explains here."));
    box.append(numbers(model, node));
    if (card && !card.blind) {
      for (const line2 of [tokens("active on", card.on), tokens("raises", card.raises)]) if (line2) box.append(line2);
      const list2 = el("ul", { class: "snips" });
      card.examples.slice(0, examples).forEach((item2) => list2.append(example(card, item2)));
      if (card.examples.length) box.append(list2);
    }
    return box;
  }
  var itemName = (model, item2) => {
    if (item2.group) return item2.group.name + " (" + item2.members.length + ")";
    return nodeNames.short(model, item2.members[0]);
  };
  function edgeList(model, title2, edges, end, most, pick) {
    const box = el("section", { class: "g-list" }, el("h4", {}, title2 + " ", el("small", {}, String(edges.length))));
    if (!edges.length) box.append(el("p", { class: "none" }, "none in the graph"));
    const list2 = el("ul", {});
    const largest2 = Math.max(...edges.map((edge2) => edge2.score), 1e-12);
    const rows = edges.map((edge2) => {
      const other = edge2[end];
      const bar2 = el("i", { class: edge2.weight < 0 ? "neg" : "pos" });
      bar2.style.setProperty("width", 100 * edge2.score / largest2 + "%");
      const weight = signed2(edge2.weight);
      const name3 = el("span", { class: "g-name" }, itemName(model, other));
      const known2 = other.node && nodeNames.meaning(other.node);
      if (known2) name3.append(el("small", {}, known2));
      const place = el("code", { class: "g-place" }, other.node ? nodeNames.at(model, other.node) : "");
      const row2 = pick ? el("button", { type: "button" }) : el("div", {});
      row2.append(el("b", {}, weight), el("span", { class: "g-bar" }, bar2), name3, place);
      if (pick) row2.addEventListener("click", () => pick(other));
      return el("li", {}, row2);
    });
    list2.append(...rows.slice(0, most));
    if (rows.length > most) {
      if (pick) {
        const more = el("button", { type: "button", class: "linkish" }, "all " + rows.length);
        const holder = el("li", {}, more);
        more.addEventListener("click", () => holder.replaceWith(...rows.slice(most)));
        list2.append(holder);
      }
    }
    box.append(list2);
    return box;
  }
  var ends = (layout, item2) => ({
    inputs: layout.edges.filter((edge2) => edge2.target === item2),
    outputs: layout.edges.filter((edge2) => edge2.source === item2)
  });
  var endsOf2 = ends;
  function pathsTo(edges, item2) {
    const explained = (edge2) => edge2.source.kind !== "error";
    const into = (target) => edges.filter((edge2) => edge2.target === target);
    return into(item2).filter(explained).slice(0, PATHS).map((first) => {
      const path = [first];
      const seen3 = /* @__PURE__ */ new Set([item2, first.source]);
      for (; ; ) {
        const inputs = into(path[path.length - 1].source).filter((edge2) => !seen3.has(edge2.source));
        const next = inputs.find(explained) || inputs[0];
        if (!next) return path;
        path.push(next);
        seen3.add(next.source);
      }
    });
  }
  var signed2 = (weight) => (weight > 0 ? "+" : "") + asText.value(weight);
  function pathList(model, paths, pick) {
    const list2 = el("ol", {});
    for (const path of paths) {
      const steps = el("li", {});
      path.forEach((edge2, i) => {
        const { source } = edge2;
        const name3 = el("button", { type: "button", class: "linkish" }, itemName(model, source));
        name3.addEventListener("click", () => pick(source));
        const place = el("code", { class: "g-place" }, source.node ? nodeNames.at(model, source.node) : "");
        steps.append(el("span", { class: "g-step" }, i ? "← " : "", name3, place, el("b", { class: edge2.weight < 0 ? "neg" : "pos" }, signed2(edge2.weight))));
      });
      list2.append(steps);
    }
    const says = "From each of the strongest latents and tokens, the strongest input step by step; beside each its effect on the step above. A path ends at a token, or at an error node where no latent explains more.";
    return el("section", { class: "g-paths" }, el("h4", {}, "Strongest paths back"), el("p", { class: "none" }, paths.length ? says : "No latent and no token feeds it."), list2);
  }
  function members(model, item2) {
    const list2 = el("ul", { class: "g-members" });
    item2.members.forEach((node) => {
      const meaning = nodeNames.meaning(node);
      list2.append(el("li", {}, nodeNames.short(model, node) + " at " + nodeNames.at(model, node) + (meaning ? ": " + meaning : "")));
    });
    return el("div", { class: "g-about" }, el("h3", {}, item2.group ? item2.group.name : ""), el("p", { class: "g-at" }, "Group of " + item2.members.length + " nodes; its links are the sums of theirs"), list2);
  }
  function cardOf(model, layout, item2) {
    const { inputs, outputs } = ends(layout, item2);
    const box = item2.node ? about2(model, item2.node, 1) : members(model, item2);
    if (inputs.length) box.append(edgeList(model, "Inputs", inputs, "source", 3, null));
    if (outputs.length) box.append(edgeList(model, "Outputs", outputs, "target", 3, null));
    return box;
  }
  function panelOf(model, layout, item2, pick) {
    const { inputs, outputs } = ends(layout, item2);
    const box = item2.node ? about2(model, item2.node, 2) : members(model, item2);
    box.append(
      edgeList(model, "Inputs", inputs, "source", LISTED, pick),
      edgeList(model, "Outputs", outputs, "target", LISTED, pick)
    );
    return box;
  }
  function sample(kind, text4) {
    const item2 = { kind, w: 18, h: 12, r: 6, k: 1, text: "" };
    const picture = svgNode("svg", { viewBox: "-11 -9 22 18", class: "g-key", "aria-hidden": "true" }, svgNode("g", { class: "node k-" + kind }, shapeOf(item2)));
    return el("li", {}, picture, text4);
  }
  function stroke(name3, text4) {
    const line2 = svgNode("path", { d: "M-9 5C-9-2 9 2 9-5", class: name3, "stroke-width": "3" });
    return el("li", {}, svgNode("svg", { viewBox: "-11 -9 22 18", class: "g-key", "aria-hidden": "true" }, svgNode("g", { class: "edges" }, line2)), text4);
  }
  var legendOf = () => el(
    "ul",
    { class: "g-legend" },
    sample("latent", "latent, larger with more influence"),
    sample("error", "error: not explained"),
    sample("embedding", "token"),
    sample("logit", "output"),
    stroke("pos", "raises"),
    stroke("neg", "lowers (broken line)"),
    stroke("pos unexplained", "from an error node"),
    el("li", {}, "width: share of the target's input times the target's influence")
  );

  // graph/state.js
  var MOST3 = { address: 2e4, groups: 40, name: 40 };
  var DRAWN2 = 150;
  var name2 = (text4) => Array.from(text4.replace(/\p{C}/gu, "").replace(/\s+/gu, " ").trim()).slice(0, MOST3.name).join("");
  var groupName = name2;
  var usualState = (model) => ({
    links: Math.min(DRAWN2, model.links.length),
    influence: 1,
    errors: true,
    near: false,
    paths: false,
    trace: false,
    pinned: null,
    groups: []
  });
  function share(text4) {
    return /^(0(\.\d{1,4})?|1)$/.test(text4 || "") ? Number(text4) : null;
  }
  function groupOf(model, text4, taken) {
    const star = text4.indexOf("*");
    if (star < 0) return null;
    const members2 = [];
    for (const id of text4.slice(0, star).split(" ")) {
      const node = model.byId.get(id);
      if (!node || taken.has(node.place)) continue;
      taken.add(node.place);
      members2.push(node.place);
    }
    members2.sort((a, b) => a - b);
    return members2.length > 1 ? { name: name2(text4.slice(star + 1)) || "group", members: members2 } : null;
  }
  function readState(model, address) {
    const state = usualState(model);
    if (address.length > MOST3.address) return state;
    const parts = new URLSearchParams(address);
    const links = parts.get("links");
    if (/^\d{1,7}$/.test(links || "")) state.links = Math.min(Number(links), model.links.length);
    const influence = share(parts.get("influence"));
    if (influence !== null) state.influence = influence;
    state.errors = parts.get("errors") !== "no";
    state.near = parts.get("near") === "yes";
    state.paths = parts.get("paths") === "yes";
    const pinned = model.byId.get(parts.get("pin") || "");
    if (pinned) state.pinned = pinned.place;
    state.trace = state.pinned !== null && parts.get("trace") === "yes";
    const taken = /* @__PURE__ */ new Set();
    state.groups = parts.getAll("group").slice(0, MOST3.groups).map((text4) => groupOf(model, text4, taken)).filter((group) => group !== null);
    return state;
  }
  function writeState(model, state) {
    const usual = usualState(model);
    const parts = new URLSearchParams();
    if (state.pinned !== null) parts.set("pin", model.nodes[state.pinned].id);
    if (state.links !== usual.links) parts.set("links", String(state.links));
    if (state.influence < 1) parts.set("influence", String(state.influence));
    if (!state.errors) parts.set("errors", "no");
    if (state.near) parts.set("near", "yes");
    if (state.paths) parts.set("paths", "yes");
    if (state.trace) parts.set("trace", "yes");
    for (const group of state.groups) {
      parts.append("group", group.members.map((place) => model.nodes[place].id).join(" ") + "*" + group.name);
    }
    return parts.toString().replaceAll("%3A", ":");
  }

  // graph/page.js
  var NARROW2 = "(max-width: 47.5em)";
  var MIN_WIDTH = 520;
  var WAYS = [["source", "target"], ["target", "source"]];
  var GraphPage = class {
    /**
     * @param {GraphModel} model
     * @param {HTMLElement} place
     */
    constructor(model, place) {
      this.model = model;
      this.place = place;
      this.stage = new GraphStage(model);
      this.selected = /* @__PURE__ */ new Set();
      this.hovered = null;
      this.panelled = void 0;
      this.tracing = [];
      this.layout = NOTHING3;
      this.drawn = { links: 0, of: 0, from: 0 };
      this.leaving = 0;
      this.card = el("div", { class: "g-card", hidden: "" });
      this.panel = el("aside", { class: "g-panel", "aria-label": "The pinned node" });
      this.status = el("p", { class: "sr", role: "status" });
      this.least = self.matchMedia(NARROW2).matches ? 0.75 : 0.5;
      this.state = readState(model, fragmentNow());
      this.controls = controlsOf(this);
      const body = el("div", { class: "g-body" }, this.stage.scroll, el("div", { class: "g-side" }, this.panel));
      place.append(this.controls.box, body, legendOf(), this.hint(), this.card, this.status);
      this.listen();
      this.rebuild();
      this.stage.fit(this.least);
      this.stage.toEnd();
      this.bring();
    }
    hint() {
      const hint = el("p", { class: "note g-hint" }, "On the keyboard: ");
      const keys2 = [["← → ↑ ↓", "walk along a layer and along the strongest links"], ["Enter", "pins"], ["Esc", "unpins"], ["g", "chooses for a group"], ["n", "names it"], ["+ − 0", "zoom"]];
      keys2.forEach(([key, what], i) => hint.append(i ? ", " : "", el("kbd", {}, key), " " + what));
      hint.append("; Ctrl and the wheel zoom too.");
      return hint;
    }
    // ---- state
    /**
     * @param {Partial<GraphState>} patch
     * @param {boolean} [structure]
     */
    change(patch, structure) {
      Object.assign(this.state, patch);
      setFragment(writeState(this.model, this.state));
      if (structure) this.rebuild();
      else this.refresh();
    }
    rebuild() {
      const { stage } = this;
      const { item: had = null } = (
        /** @type {Partial<NodeBox>} */
        document.activeElement || {}
      );
      const space = { w: Math.max(MIN_WIDTH, stage.scroll.clientWidth - stage.layers.offsetWidth - 2), h: stage.room() - 60, least: this.least };
      this.layout = layoutOf2(this.model, this.state, space);
      stage.show(this.layout);
      if (stage.fitted !== null) stage.fit(stage.fitted);
      this.refresh();
      if (had) this.focus(this.layout.of.get(had.members[0].place));
    }
    /**
     * @param {number | null} place
     * @returns {GraphItem | null}
     */
    item(place) {
      return place === null ? null : this.layout.of.get(place) || null;
    }
    /** @param {GraphItem} item */
    visible(item2) {
      if (!item2.node || item2.kind === "logit" || item2.kind === "embedding") return true;
      return item2.node.influence <= this.state.influence || item2 === this.item(this.state.pinned);
    }
    /**
     * Items that the pinned one reaches, or that reach it, by what is drawn.
     * @param {GraphItem} item
     * @param {Edge[]} edges
     */
    trace(item2, edges) {
      const found = /* @__PURE__ */ new Set([item2]);
      for (const [from, to] of WAYS) {
        let front = [item2];
        while (front.length) {
          const next = /* @__PURE__ */ new Set();
          for (const edge2 of edges) if (front.includes(edge2[from]) && !found.has(edge2[to])) next.add(edge2[to]);
          next.forEach((other) => found.add(other));
          front = this.state.paths ? Array.from(next) : [];
        }
      }
      return found;
    }
    // What is drawn and what is dimmed.
    refresh() {
      const { state, layout, stage } = this;
      const pinned = this.item(state.pinned);
      const centre = this.hovered || pinned;
      const shown3 = layout.edges.filter((edge2) => this.visible(edge2.source) && this.visible(edge2.target));
      const strong = shown3.slice(0, state.links);
      const last = strong[strong.length - 1];
      this.drawn = { links: strong.length, of: shown3.length, from: last ? last.score : 0 };
      const own2 = centre ? shown3.filter((edge2) => edge2.source === centre || edge2.target === centre) : [];
      this.tracing = state.trace && pinned ? pathsTo(shown3, pinned) : [];
      const onPaths = state.trace && pinned && centre === pinned ? [...new Set(this.tracing.flat())] : null;
      const wider = onPaths || (state.paths ? [.../* @__PURE__ */ new Set([...strong, ...own2])] : own2);
      const along = (edges) => /* @__PURE__ */ new Set([pinned, ...edges.flatMap((edge2) => [edge2.source, edge2.target])]);
      const traced = onPaths ? along(onPaths) : centre ? this.trace(centre, wider) : null;
      const keep = state.near && pinned ? onPaths ? traced : this.trace(pinned, state.paths ? strong : shown3.filter((e) => e.source === pinned || e.target === pinned)) : null;
      for (const item2 of layout.items) {
        const there2 = this.visible(item2) && (!keep || keep.has(item2) || item2.group !== null);
        item2.there = there2;
        const { classList } = item2.box;
        classList.toggle("gone", !there2);
        classList.toggle("dim", traced !== null && !traced.has(item2));
        classList.toggle("pinned", item2 === pinned);
        classList.toggle("chosen", item2.members.every((node) => this.selected.has(node.place)));
        item2.box.setAttribute("aria-pressed", String(item2 === pinned));
      }
      const there = (edge2) => edge2.source.there && edge2.target.there;
      const hot = wider.filter((edge2) => there(edge2) && traced && traced.has(edge2.source) && traced.has(edge2.target));
      stage.edges(strong.filter(there), hot.sort((a, b) => a.rank - b.rank));
      this.tabStop();
      this.controls.show();
      if (this.panelled !== pinned || pinned === null) this.showPanel(pinned);
    }
    /** @param {GraphItem | null} pinned */
    showPanel(pinned) {
      this.panelled = pinned;
      const { panel, model, layout } = this;
      panel.replaceChildren();
      if (pinned) {
        const unpin = el("button", { type: "button", class: "linkish" }, "unpin");
        unpin.addEventListener("click", () => this.pin(null));
        panel.append(el("p", { class: "g-pinned" }, this.state.trace ? "Traced" : "Pinned", unpin));
        const pick = (item2) => this.pin(item2, true);
        if (this.state.trace) panel.append(pathList(model, this.tracing, pick));
        panel.append(panelOf(model, layout, pinned, pick));
      } else {
        panel.append(
          el("p", { class: "g-pinned" }, "Nothing pinned"),
          el("p", { class: "none" }, "Click a node, or press Enter on it, to see what feeds it and what it feeds. Shift+click or g chooses nodes for a group.")
        );
      }
      if (!this.state.groups.length) return;
      const list2 = el("ul", {});
      this.state.groups.forEach((group, i) => {
        const show = el("button", { type: "button", class: "linkish" }, group.name);
        show.addEventListener("click", () => this.pin(this.item(group.members[0]), true));
        const undo = el("button", { type: "button", class: "linkish", "aria-label": "Undo the group " + group.name }, "undo");
        undo.addEventListener("click", () => this.change({ groups: this.state.groups.filter((_, k) => k !== i) }, true));
        list2.append(el("li", {}, show, el("small", {}, group.members.length + " nodes"), undo));
      });
      panel.append(el("section", { class: "g-groups" }, el("h4", {}, "Groups"), list2));
    }
    /**
     * @param {GraphItem | null} item
     * @param {boolean} [focus]
     */
    pin(item2, focus) {
      this.hide();
      const place = item2 ? item2.members[0].place : null;
      this.panelled = void 0;
      this.change({ pinned: place, trace: false });
      const name3 = item2 ? item2.box.getAttribute("aria-label") : "";
      this.status.textContent = item2 ? "Pinned: " + name3 : "Nothing is pinned";
      if (focus && item2) this.focus(item2);
    }
    traceAnswer() {
      const { target } = this.model.record;
      const item2 = this.item(target);
      if (!item2) return;
      const on = this.state.trace && this.state.pinned === target;
      this.hide();
      this.panelled = void 0;
      this.change(on ? { pinned: null, trace: false } : { pinned: target, trace: true });
      this.status.textContent = on ? "Nothing is pinned" : "The strongest paths to " + nodeNames.short(this.model, this.model.nodes[target]) + " are shown";
    }
    /** @param {GraphItem} item */
    choose(item2) {
      const all2 = item2.members.every((node) => this.selected.has(node.place));
      for (const node of item2.members) {
        if (all2) this.selected.delete(node.place);
        else this.selected.add(node.place);
      }
      this.status.textContent = this.selected.size + " nodes chosen";
      this.refresh();
    }
    /**
     * The chosen nodes become a group; what they were members of gives them up.
     * @param {HTMLInputElement} input
     */
    group(input) {
      if (this.selected.size < 2) return;
      const members2 = Array.from(this.selected).sort((a, b) => a - b);
      const others = this.state.groups.map((group) => ({ ...group, members: group.members.filter((place) => !this.selected.has(place)) })).filter((group) => group.members.length > 1);
      const name3 = groupName(input.value) || "group " + (others.length + 1);
      this.selected.clear();
      input.value = "";
      this.panelled = void 0;
      this.change({ groups: [...others, { name: name3, members: members2 }] }, true);
      this.status.textContent = "Group " + name3 + " of " + members2.length + " nodes";
    }
    clear() {
      this.selected.clear();
      this.panelled = void 0;
      this.hide();
      this.change(usualState(this.model), true);
      this.status.textContent = "Cleared";
    }
    save() {
      const text4 = JSON.stringify(graphJson(this.model, this.state), null, 1);
      saveFile(this.model.record.slug + "-graph.json", "application/json", text4);
    }
    // ---- focus, card
    tabStop() {
      const items = this.layout.items.filter((item2) => item2.there);
      const now = items.find((item2) => item2.box === document.activeElement);
      const target = this.item(this.model.record.target);
      const stop = now || this.item(this.state.pinned) || (target && target.there ? target : items[0]);
      for (const item2 of this.layout.items) item2.box.setAttribute("tabindex", item2 === stop ? "0" : "-1");
    }
    /** @param {GraphItem | null | undefined} item */
    focus(item2) {
      if (!item2) return;
      item2.box.setAttribute("tabindex", "0");
      item2.box.focus();
    }
    bring() {
      const item2 = this.item(this.state.pinned) || this.item(this.model.record.target);
      if (item2) this.stage.centre(item2);
    }
    /** @param {GraphItem} item */
    show(item2) {
      self.clearTimeout(this.leaving);
      if (this.hovered === item2) return;
      this.hovered = item2;
      this.refresh();
      const { card } = this;
      card.replaceChildren(cardOf(this.model, this.layout, item2));
      card.hidden = false;
      const node = item2.box.getBoundingClientRect();
      const own2 = card.getBoundingClientRect();
      const { innerWidth, innerHeight } = self;
      const right = node.right + 10 + own2.width < innerWidth - 8;
      const beside = right || node.left - own2.width - 10 > 8;
      const left = right ? node.right + 10 : beside ? node.left - own2.width - 10 : (innerWidth - own2.width) / 2;
      const level2 = Math.max(8, Math.min(node.top - 20, innerHeight - own2.height - 8));
      const over = node.top > innerHeight / 2;
      const away = over ? Math.min(8, node.top - 10 - own2.height) : Math.max(innerHeight - own2.height - 8, node.bottom + 10);
      const top = beside ? level2 : away;
      card.style.setProperty("left", left + "px");
      card.style.setProperty("top", top + "px");
    }
    hide() {
      self.clearTimeout(this.leaving);
      this.card.hidden = true;
      if (!this.hovered) return;
      this.hovered = null;
      this.refresh();
    }
    later() {
      self.clearTimeout(this.leaving);
      this.leaving = self.setTimeout(() => this.hide(), 180);
    }
    /**
     * The next node for an arrow key: along the row, or along the strongest link that is drawn.
     * @param {GraphItem} item
     * @param {string} key
     * @returns {GraphItem | undefined}
     */
    next(item2, key) {
      if (key === "ArrowUp" || key === "ArrowDown") {
        const up = key === "ArrowUp";
        const edges = endsOf2(this.layout, item2)[up ? "outputs" : "inputs"];
        const edge2 = edges.find((one) => one[up ? "target" : "source"].there);
        return edge2 && edge2[up ? "target" : "source"];
      }
      const row2 = this.layout.items.filter((other) => other.there && other.row === item2.row);
      row2.sort((a, b) => a.x - b.x || a.y - b.y);
      if (key === "Home") return row2[0];
      if (key === "End") return row2[row2.length - 1];
      return row2[row2.indexOf(item2) + (key === "ArrowRight" ? 1 : -1)];
    }
    /**
     * @param {KeyboardEvent} event
     * @param {GraphItem} item
     */
    key(event, item2) {
      const { key } = event;
      const done = () => {
        event.preventDefault();
        event.stopPropagation();
      };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (key.startsWith("Arrow") || key === "Home" || key === "End") {
        done();
        this.focus(this.next(item2, key));
      } else if (key === "Enter" && event.shiftKey || key === "g") {
        done();
        this.choose(item2);
      } else if (key === "Enter" || key === " ") {
        done();
        this.pin(item2 === this.item(this.state.pinned) ? null : item2);
      } else if (key === "Escape") {
        done();
        if (this.card.hidden) this.pin(null);
        else if (this.state.pinned !== null) this.pin(null);
        else this.hide();
      } else if (key === "n") {
        done();
        this.controls.name.focus();
      } else if (key === "+" || key === "=") {
        done();
        this.stage.zoomBy(1.25);
      } else if (key === "-") {
        done();
        this.stage.zoomBy(0.8);
      } else if (key === "0") {
        done();
        this.stage.fit(0);
      }
    }
    listen() {
      const { svg: svg2, scroll } = this.stage;
      const under = (event) => {
        const box = event.target instanceof Element ? event.target.closest(".node") : null;
        return box && /** @type {NodeBox} */
        box.item || null;
      };
      let moved = false;
      svg2.addEventListener("click", (event) => {
        const item2 = under(event);
        if (moved) return;
        if (!item2) this.pin(null);
        else if (event.shiftKey) this.choose(item2);
        else this.pin(item2 === this.item(this.state.pinned) ? null : item2);
      });
      svg2.addEventListener("pointerover", (event) => {
        const item2 = under(event);
        if (item2 && event.pointerType === "mouse" && !event.buttons) this.show(item2);
      });
      svg2.addEventListener("pointerout", (event) => {
        if (under(event)) this.later();
      });
      this.card.addEventListener("pointerenter", () => self.clearTimeout(this.leaving));
      this.card.addEventListener("pointerleave", () => this.later());
      svg2.addEventListener("focusin", (event) => {
        const item2 = under(event);
        this.tabStop();
        if (item2 && item2.box.matches(":focus-visible")) this.show(item2);
      });
      svg2.addEventListener("focusout", () => this.later());
      svg2.addEventListener("keydown", (event) => {
        const item2 = under(event);
        if (item2) this.key(event, item2);
      });
      scroll.addEventListener("scroll", () => {
        if (!this.card.hidden && !(this.hovered && this.hovered.box === document.activeElement)) this.hide();
      }, { passive: true });
      scroll.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.stage.zoomBy(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 160), event.clientX, event.clientY);
      }, { passive: false });
      let from = null;
      svg2.addEventListener("pointerdown", (event) => {
        moved = false;
        if (event.pointerType === "mouse" && event.button === 0)
          from = { x: event.clientX, y: event.clientY, left: scroll.scrollLeft, top: scroll.scrollTop };
      });
      self.addEventListener("pointermove", (event) => {
        if (!from) return;
        const x = event.clientX - from.x;
        const y = event.clientY - from.y;
        if (Math.hypot(x, y) > 4) moved = true;
        scroll.scrollLeft = from.left - x;
        scroll.scrollTop = from.top - y;
      });
      self.addEventListener("pointerup", () => from = null);
      document.addEventListener("click", (event) => {
        const link3 = around(event, ".g-table a.show");
        if (!(link3 instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
        const node = this.model.byId.get(new URLSearchParams(link3.hash.slice(link3.hash.lastIndexOf("#") + 1)).get("pin") || "");
        if (!node) return;
        event.preventDefault();
        if (!this.state.errors && node.kind === "error") this.change({ errors: true }, true);
        const item2 = this.item(node.place);
        this.pin(item2, true);
        if (item2) this.stage.centre(item2);
        this.place.scrollIntoView();
      });
      self.addEventListener("hashchange", () => {
        this.state = readState(this.model, fragmentNow());
        this.panelled = void 0;
        this.rebuild();
      });
    }
  };
  var graphView = null;
  function graphPage() {
    const place = document.getElementById("graph");
    if (!store.graph || !place) return;
    const model = graphModel(store.graph);
    graphView = new GraphPage(model, place);
    const figure = document.getElementById("check-plot");
    if (figure && model.checks.length) drawChecks(model, figure);
  }

  // latents/elsewhere.js
  async function elsewhere(slug, latent2) {
    const maybe2 = store.report.saes.filter((sae2) => sae2.slug !== slug && latentHref(sae2.slug, latent2));
    const found = await Promise.all(
      maybe2.map(async (sae2) => {
        const table3 = await loadTable(sae2.slug);
        const row2 = table3 && table3.byLatent.get(latent2);
        const link3 = el("a", { href: latentHref(sae2.slug, latent2) }, sae2.label + " " + latent2);
        return row2 ? el("li", {}, link3, " ", glossNode(row2)) : null;
      })
    );
    const items = found.filter((item2) => item2 !== null);
    const own2 = store.saes.get(slug);
    if (own2 && own2.neuronpedia) {
      const link3 = el("a", { href: own2.neuronpedia + "/" + latent2, rel: "noreferrer" }, own2.label + " " + latent2 + " ↗");
      items.push(el("li", {}, link3, " on Neuronpedia"));
    }
    return items.length ? el("ul", { class: "elsewhere", "aria-label": "Latents " + latent2 + " elsewhere" }, ...items) : null;
  }

  // latents/page.js
  var EMBED = "?embed=true&embedexplanation=true&embedplots=true&embedtest=true";
  function embed(article) {
    const link3 = maybe(article, "a.out");
    if (!(link3 instanceof HTMLAnchorElement)) return null;
    const button2 = el("button", { type: "button" }, "Load this latent's page from neuronpedia.org");
    const box = el("section", { class: "panel wide embed" }, button2);
    button2.addEventListener("click", () => {
      const frame = el("iframe", { title: "Neuronpedia", referrerpolicy: "no-referrer" });
      frame.src = link3.href + EMBED;
      button2.replaceWith(frame);
    });
    return box;
  }
  function latentPage() {
    const steps = byId("steps", HTMLElement);
    const { home = "" } = steps.dataset;
    const articles = all(document, "article.latent");
    const shard = Array.from(store.shards.values()).find((item2) => item2.sae === thisPage.sae);
    const sae2 = store.saes.get(thisPage.sae);
    const blind = blindness(sae2);
    const built = /* @__PURE__ */ new Map();
    let current = -1;
    const status = el("p", { class: "absent", role: "status" });
    steps.after(status);
    const button2 = (label2, key, action) => {
      const node = el("button", { type: "button", "aria-keyshortcuts": key }, label2);
      node.addEventListener("click", action);
      return node;
    };
    const count = el("span", { class: "count" });
    const back = button2("← Previous", "k", () => move(-1));
    const forward = button2("Next →", "j", () => move(1));
    const ends2 = within(steps, ".ends");
    const outside = { "-1": maybe(ends2, "#page-previous"), 1: maybe(ends2, "#page-next") };
    ends2.replaceChildren(count, back, forward);
    const suffix = () => blind.suffix() + viewSuffix();
    whenViewChanges(() => articles[current] && setFragment(articles[current].id + suffix()));
    const number = (article) => Number(article.id.slice("latent-".length));
    function leave() {
      if (articles[current]) articles[current].classList.remove("current");
      status.replaceChildren();
    }
    function arrive(name3) {
      const title2 = document.title.split(" · ").slice(-2).join(" · ");
      document.title = name3 + " · " + title2;
      back.disabled = current <= 0 && !outside["-1"];
      forward.disabled = current >= articles.length - 1 && !outside["1"];
      count.textContent = sae2 ? asText.count(sae2.count) + " shown" : "";
    }
    function build(article, latent2) {
      const hidden = blind.of(article, latent2);
      const record = shard && shard.byLatent.get(latent2);
      if (built.get(latent2) === hidden || !record) return;
      const old = maybe(article, ":scope > .panels");
      if (old) old.remove();
      built.set(latent2, hidden);
      const panels = panelNodes(record, thisPage.sae, hidden);
      if (steps.dataset.embed && !hidden) {
        const frame = embed(article);
        if (frame) panels.append(frame);
      }
      article.append(panels);
      const has = Boolean(maybe(panels, "[data-panel='examples']"));
      article.classList.toggle("has-panels", has);
    }
    function dress(article) {
      const latent2 = number(article);
      blind.dress(article, latent2, change);
      build(article, latent2);
      for (const dressing of listeners.latent) dressing(article, latent2, blind.of(article, latent2));
      followView(article);
      arrive("Latent " + latent2 + (blind.of(article, latent2) ? ", blind" : ""));
      freshen2();
    }
    function show(place, focus) {
      if (place < 0 || place >= articles.length) return;
      showTip(null);
      if (place !== current) leave();
      current = place;
      articles[place].classList.add("current");
      dress(articles[place]);
      if (focus) self.scrollTo(0, 0);
    }
    function change(asked2) {
      const article = articles[current];
      if (!article) return;
      blind.ask(asked2);
      setFragment(article.id + suffix());
      showTip(null);
      dress(article);
    }
    function move(step2) {
      const place = step2 > 0 ? Math.floor(current + 1) : Math.ceil(current - 1);
      reading.range = null;
      if (place >= 0 && place < articles.length) {
        setFragment(articles[place].id + suffix());
        show(place, true);
      } else if (outside[step2]) goTo(carry(outside[step2].getAttribute("href") || "") + suffix());
    }
    function absent(latent2) {
      const page2 = (of) => (latentHref(thisPage.sae, of) || "").replace(/#[^#]*$/, "");
      const href = latentHref(thisPage.sae, latent2);
      const target = page2(latent2);
      if (href && articles.length && target !== page2(number(articles[0]))) {
        goTo(href + suffix(), true);
        return;
      }
      showTip(null);
      leave();
      const after = articles.findIndex((article) => number(article) > latent2);
      current = (after < 0 ? articles.length : after) - 0.5;
      const whole2 = el("a", { href: home }, "All latents that it shows");
      status.append("This report does not show latent " + latent2 + " of this SAE. ", whole2);
      elsewhere(thisPage.sae, latent2).then((others) => {
        if (others && status.contains(whole2)) status.append(others);
      });
      arrive("Latent " + latent2 + " is not shown");
      self.scrollTo(0, 0);
    }
    function fromHash() {
      const { anchor: anchor2, values } = fragmentParts(fragmentNow());
      const named2 = /^latent-(\d{1,15})$/.exec(anchor2);
      blind.ask(Boolean(named2 && values.get("blind") === ""));
      if (named2) readView(values);
      const latent2 = named2 ? Number(named2[1]) : -1;
      const place = articles.findIndex((article) => number(article) === latent2);
      if (place >= 0) show(place, place !== current);
      else if (named2) absent(latent2);
      else if (current === -1) show(0, false);
    }
    self.addEventListener("hashchange", fromHash);
    fromHash();
    return {
      move,
      toggleBlind() {
        const button3 = articles[current] && maybe(articles[current], ".blind-switch");
        if (button3) button3.click();
      },
      up() {
        goTo(carry(home));
      },
      unfoldAll() {
        if (!articles[current]) return;
        const folds = all(articles[current], ".fold");
        const closed = folds.filter((fold) => fold.getAttribute("aria-expanded") === "false");
        (closed.length ? closed : folds).forEach((fold) => fold.click());
      }
    };
  }

  // overview/page.js
  function overviewPage() {
    if (!document.getElementById("order")) return;
    const select = byId("order", HTMLSelectElement);
    const list2 = byId("cards", HTMLElement);
    const cards = all(list2, ":scope > *");
    const value2 = (card, name3) => Number.parseFloat(card.dataset[name3] || "");
    function apply() {
      const name3 = select.value.replace(/^-/, "");
      const sign = select.value.startsWith("-") ? -1 : 1;
      const compare2 = (a, b) => {
        const [x, y] = [value2(a, name3), value2(b, name3)];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
        return sign * (x - y);
      };
      const sorted = name3 === "model" ? cards : cards.slice().sort((a, b) => compare2(a, b) || cards.indexOf(a) - cards.indexOf(b));
      list2.replaceChildren(...sorted);
    }
    function read2() {
      const wanted2 = new URLSearchParams(fragmentNow()).get("sort") || "model";
      const known2 = Array.from(select.options).some((option) => option.value === wanted2);
      select.value = known2 ? wanted2 : "model";
      apply();
    }
    select.addEventListener("change", () => {
      apply();
      setFragment(select.value === "model" ? "" : "sort=" + select.value);
    });
    self.addEventListener("hashchange", read2);
    read2();
  }

  // sae/filters.js
  var RANGES = ["latent", "density", "max", "score"];
  var LISTS2 = ["tokens", "raises"];
  var TEXTS = ["q", "tokens", "raises", "label"];
  var ONLY = ["starred", "labelled", "pinned"];
  var SORTS = ["latent", "marked", "density", "max", "score", "shape", "tokens", "raises", "label"];
  var LONGEST2 = 200;
  var NUMBER4 = /^-?[0-9]{1,15}(\.[0-9]{1,25})?(e-?[0-9]{1,2})?$/i;
  var noFilters = () => ({
    q: "",
    tokens: "",
    raises: "",
    label: "",
    latent: [null, null],
    density: [null, null],
    max: [null, null],
    score: [null, null],
    only: /* @__PURE__ */ new Set(),
    sort: [{ name: "latent", down: false }]
  });
  var columnNames = SORTS;
  var numberFrom = (text4) => NUMBER4.test(text4.trim()) ? Number(text4) : null;
  function readFilters(text4) {
    const parts = new URLSearchParams(text4);
    const state = noFilters();
    for (const name3 of TEXTS) state[name3] = (parts.get(name3) || "").slice(0, LONGEST2);
    for (const name3 of RANGES) {
      const ends2 = (parts.get(name3) || "").split("..");
      if (ends2.length === 2) state[name3] = [numberFrom(ends2[0]), numberFrom(ends2[1])];
    }
    for (const name3 of (parts.get("only") || "").split(",")) if (ONLY.includes(name3)) state.only.add(name3);
    const sort = [];
    for (const part of (parts.get("sort") || "").split(",").slice(0, 9)) {
      const name3 = SORTS.find((one) => one === part.replace(/^-/, ""));
      if (name3 && !sort.some((key) => key.name === name3)) sort.push({ name: name3, down: part.startsWith("-") });
    }
    if (sort.length) state.sort = sort.slice(0, 3);
    return state;
  }
  function writeFilters(state) {
    const parts = [];
    const say3 = (name3, value2) => parts.push(name3 + "=" + encodeURIComponent(value2).replace(/%2C/g, ",").replace(/%20/g, "+"));
    const sort = state.sort.map(({ name: name3, down }) => (down ? "-" : "") + name3).join(",");
    if (sort !== "latent") say3("sort", sort);
    for (const name3 of TEXTS) if (state[name3]) say3(name3, state[name3]);
    for (const name3 of RANGES) {
      if (state[name3].some((end) => end !== null)) say3(name3, state[name3].map((end) => end === null ? "" : String(end)).join(".."));
    }
    if (state.only.size) say3("only", ONLY.filter((name3) => state.only.has(name3)).join(","));
    return parts.join("&");
  }
  var countFilters = (state) => state.only.size + TEXTS.filter((name3) => name3 !== "q" && state[name3]).length + RANGES.filter((name3) => state[name3].some((end) => end !== null)).length;
  function rowFinder(table3) {
    const { rows, sae: sae2 } = table3;
    let words2 = null;
    const label2 = (row2) => [noteBook.label(sae2, row2), row2.label].filter(Boolean).join(" · ");
    const forms = /* @__PURE__ */ new Map();
    function formsOf(id) {
      let found = forms.get(id);
      if (found === void 0) {
        const text4 = tokenText(id);
        found = Array.from(/* @__PURE__ */ new Set([text4, proseText(text4), proseText(text4).trim()])).join("\n").toLowerCase();
        forms.set(id, found);
      }
      return found;
    }
    const lines2 = (packed) => "\n" + unpack(packed).map(formsOf).join("\n") + "\n";
    function read2() {
      if (!words2) words2 = rows.map((row2) => ({ tokens: lines2(row2.tokens), raises: lines2(row2.raises) }));
      return words2;
    }
    function needle(text4) {
      const quoted = /^"(.+)"$/.exec(text4.trim());
      return quoted ? "\n" + quoted[1].toLowerCase() + "\n" : text4.trim().toLowerCase();
    }
    const marked2 = (row2) => (noteBook.of(sae2, row2.latent).star ? 2 : 0) + (isPinned(sae2, row2.latent) ? 1 : 0);
    function middle2(row2) {
      let mass = 0;
      let moment = 0;
      for (let i = 0; i < row2.spark.length; i += 1) {
        const height = row2.spark.charCodeAt(i) - 65;
        mass += height;
        moment += i * height;
      }
      return mass ? moment / mass : "";
    }
    const first = (packed) => packed ? proseText(tokenText(unpack(packed)[0])).trim().toLowerCase() : "";
    const keys2 = {
      latent: (row2) => row2.latent,
      marked: marked2,
      density: (row2) => row2.density,
      max: (row2) => row2.max,
      score: (row2) => row2.score ?? "",
      shape: middle2,
      tokens: (row2) => first(row2.tokens),
      raises: (row2) => first(row2.raises),
      /** @param {LatentRow} row */
      label: (row2) => label2(row2).toLowerCase()
    };
    function tests(state) {
      const found = [];
      for (const name3 of RANGES) {
        const [low, high2] = state[name3];
        if (low !== null) found.push((row2) => (row2[name3] ?? NaN) >= low);
        if (high2 !== null) found.push((row2) => (row2[name3] ?? NaN) <= high2);
      }
      if (state.only.has("starred")) found.push((row2) => noteBook.of(sae2, row2.latent).star);
      if (state.only.has("labelled")) found.push((row2) => label2(row2) !== "");
      if (state.only.has("pinned")) found.push((row2) => isPinned(sae2, row2.latent));
      const q = needle(state.q);
      if (/^\d+$/.test(q)) found.push((row2) => String(row2.latent).startsWith(q));
      else if (q) {
        const text4 = read2();
        const blind = "blind".includes(q);
        found.push((row2, i) => text4[i].tokens.includes(q) || text4[i].raises.includes(q) || label2(row2).toLowerCase().includes(q) || blind && row2.blind);
      }
      for (const name3 of LISTS2) {
        const wanted3 = needle(state[name3]);
        if (wanted3) found.push((row2, i) => read2()[i][name3].includes(wanted3));
      }
      const wanted2 = state.label.trim().toLowerCase();
      if (wanted2) found.push((row2) => label2(row2).toLowerCase().includes(wanted2));
      return found;
    }
    return function(state) {
      const fits = tests(state);
      const order2 = [];
      rows.forEach((row2, i) => {
        if (fits.every((fit) => fit(row2, i))) order2.push(i);
      });
      const by = state.sort.map(({ name: name3, down }) => ({ values: rows.map(keys2[name3]), sign: down ? -1 : 1 }));
      order2.sort((a, b) => {
        for (const { values, sign } of by) {
          const x = values[a];
          const y = values[b];
          if (x === y) continue;
          if (x === "" || y === "") return x === "" ? 1 : -1;
          return x < y ? -sign : sign;
        }
        return a - b;
      });
      return order2.map((i) => rows[i]);
    };
  }
  var COLUMNS = ["sae", "latent", "density", "max", "active on", "raises", "explanation", "map x", "map y", "star", "pinned", "own label", "note"];
  function rowsAsData(rows, sae2) {
    const tokens2 = (packed) => unpack(packed).map(tokenText).join(" ");
    const scored = rows.some((row2) => typeof row2.score === "number");
    return {
      columns: scored ? [...COLUMNS, "output score"] : COLUMNS,
      rows: rows.map((row2) => {
        const entry = noteBook.of(sae2, row2.latent);
        const own2 = row2.blind && !revealed(sae2, row2.latent) ? ["", ""] : [entry.label.trim(), entry.note];
        const marks2 = [Number(entry.star), Number(isPinned(sae2, row2.latent))];
        return [sae2, row2.latent, row2.density, row2.max, tokens2(row2.tokens), tokens2(row2.raises), row2.label, row2.x, row2.y, ...marks2, ...own2, ...scored ? [row2.score ?? ""] : []];
      })
    };
  }

  // sae/table.js
  var MARGIN2 = 12;
  var PRINTED = 2e3;
  var LOWEST = -7;
  var COLUMNS2 = { labelled: 8, unlabelled: 7 };
  var FIRST_DOWN = /* @__PURE__ */ new Set(["density", "max", "score", "shape", "marked"]);
  var WORDS = { latent: "latent", marked: "marked", density: "density", max: "max", score: "output score", shape: "activations", tokens: "active on", raises: "raises", label: "explanation" };
  var maxText = (row2) => row2.max > 0 ? asText.value(row2.max) : "–";
  var scoreText = (row2) => typeof row2.score === "number" ? asText.value(row2.score) : "–";
  var field = (id) => byId(id, HTMLInputElement);
  function sparkPath(text4) {
    const width2 = 92 / text4.length;
    let path = "";
    for (let i = 0; i < text4.length; i += 1) {
      const height = text4.charCodeAt(i) - 65;
      if (height > 0) path += "M" + (i * width2).toFixed(1) + " 20v-" + height + "h" + (width2 - 0.8).toFixed(1) + "v" + height + "z";
    }
    return path;
  }
  function codes(ids2) {
    const nodes = [];
    ids2.forEach((id, i) => {
      if (i) nodes.push(" ");
      nodes.push(el("code", {}, tokenText(id)));
    });
    return nodes;
  }
  function latentTable(table3) {
    const { rows, sae: sae2 } = table3;
    const scroller = byId("scroller", HTMLElement);
    const body = byId("rows", HTMLElement);
    const grid2 = within(scroller, "table");
    const unlabelled = grid2.classList.contains("unlabelled");
    const heads = all(scroller, "th[data-sort]").flatMap((node) => {
      const name3 = columnNames.find((one) => one === node.dataset.sort);
      return name3 ? [{ name: name3, node }] : [];
    });
    const from = field("from");
    const to = field("to");
    const logs = rows.filter((row2) => row2.density > 0).map((row2) => Math.log10(row2.density));
    const lowest = logs.length ? Math.floor(10 * logs.reduce((a, b) => Math.min(a, b), 0)) / 10 : LOWEST;
    const find2 = rowFinder(table3);
    const texts = { q: field("filter"), tokens: field("by-tokens"), raises: field("by-raises"), label: field("by-label") };
    const scored = grid2.classList.contains("scored");
    const ranges = (
      /** @type {("latent" | "max" | "score")[]} */
      scored ? ["latent", "max", "score"] : ["latent", "max"]
    );
    const numbers2 = ranges.flatMap((name3) => [
      { name: name3, end: 0, input: field(name3 + "-from") },
      { name: name3, end: 1, input: field(name3 + "-to") }
    ]);
    const only = all(document, "#filters input[name='only']").filter((node) => node instanceof HTMLInputElement);
    const then = byId("then", HTMLSelectElement);
    const reset = byId("reset", HTMLButtonElement);
    const said3 = (id, text4) => byId(id, HTMLElement).textContent = text4;
    const watchers = [];
    const readers = [];
    let state = noFilters();
    let shown3 = rows;
    let drawn2 = "";
    const inLines = (text4) => new Map((aligned(rows.map(text4)) || []).map((parts, i) => [rows[i], parts]));
    const lines2 = { density: inLines(densityText), max: inLines(maxText), score: inLines(scoreText) };
    function line2(row2) {
      const link3 = el("a", { href: latentHref(sae2, row2.latent) }, String(row2.latent));
      const meter = el("i", {});
      const share2 = row2.density > 0 ? (Math.log10(row2.density) - lowest) / -Math.min(lowest, -1e-6) : 0;
      meter.style.setProperty("width", 100 * Math.max(0, share2) + "%");
      const spark = el("td", { class: "c-spark" });
      if (row2.spark) spark.append(svg(sparkPath(row2.spark), 92, 20));
      const own2 = noteBook.label(sae2, row2);
      const label2 = el("td", { class: "c-label", title: own2 || row2.label });
      if (own2) label2.append(el("bdi", { class: "own" }, own2), row2.label ? " · " : "");
      label2.append(row2.label);
      const node = el(
        "tr",
        {},
        el("th", { scope: "row" }, link3),
        el("td", { class: "c-marks" }, markButtons(sae2, row2.latent)),
        el("td", { class: cellClass("c-density", lines2.density.get(row2)) }, densityText(row2), el("span", { class: "meter", "aria-hidden": "true" }, meter)),
        el("td", { class: cellClass("c-max", lines2.max.get(row2)) }, maxText(row2)),
        ...scored ? [el("td", { class: cellClass("c-score", lines2.score.get(row2)) }, scoreText(row2))] : [],
        spark,
        el("td", { class: "c-tokens" }, ...row2.blind ? [blindMark()] : codes(unpack(row2.tokens))),
        el("td", { class: "c-logits" }, ...codes(unpack(row2.raises))),
        label2
      );
      node.dataset.latent = String(row2.latent);
      return node;
    }
    const columns = () => COLUMNS2[grid2.classList.contains("unlabelled") ? "unlabelled" : "labelled"] + Number(scored);
    function gap(height) {
      const cell2 = el("td", { colspan: columns() });
      cell2.style.setProperty("height", height + "px");
      return el("tr", { class: "gap", "aria-hidden": "true" }, cell2);
    }
    const targets = (row2) => all(row2, "a, button");
    function focus() {
      const now = focused();
      const row2 = now && body.contains(now) && now.closest("tr");
      return row2 ? { latent: row2.dataset.latent, place: targets(row2).indexOf(now) } : null;
    }
    function draw2() {
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
      const height = rem * (parseFloat(getComputedStyle(scroller).getPropertyValue("--row")) || 2.1875);
      const first = session.paper ? 0 : Math.max(0, Math.floor(scroller.scrollTop / height) - MARGIN2);
      const last = session.paper ? Math.min(shown3.length, PRINTED) : Math.min(shown3.length, first + Math.ceil(self.innerHeight / height) + 2 * MARGIN2);
      const key = first + "-" + last;
      if (key === drawn2) return;
      drawn2 = key;
      if (!shown3.length) {
        const cell2 = el("td", { colspan: columns() }, rows.length ? "No latent fits the filters." : "The report shows no latent of this SAE.");
        body.replaceChildren(el("tr", { class: "empty" }, cell2));
        return;
      }
      const had = focus();
      const rest = "The first " + asText.count(last) + " of " + asText.count(shown3.length) + " latents; the downloaded table has all.";
      body.replaceChildren(
        gap(first * height),
        ...shown3.slice(first, last).map(line2),
        session.paper && last < shown3.length ? el("tr", { class: "empty" }, el("td", { colspan: columns() }, rest)) : gap((shown3.length - last) * height)
      );
      if (!had) return;
      const again2 = maybe(body, "tr[data-latent='" + had.latent + "']");
      (again2 ? targets(again2)[had.place] : scroller).focus({ preventScroll: true });
    }
    function apply() {
      shown3 = find2(state);
      heads.forEach(({ name: name3, node }) => {
        const rank = state.sort.findIndex((key2) => key2.name === name3);
        const key = state.sort[rank];
        node.removeAttribute("aria-sort");
        delete node.dataset.rank;
        if (rank === 0) node.setAttribute("aria-sort", key.down ? "descending" : "ascending");
        else if (rank > 0) node.dataset.rank = rank + 1 + (key.down ? "▼" : "▲");
      });
      const whole2 = asText.count(rows.length) + " latents";
      said3("found", shown3.length === rows.length ? whole2 : asText.count(shown3.length) + " of " + whole2);
      const [low, high2] = state.density;
      said3("from-out", low === null ? "any" : asText.percent(low));
      said3("to-out", asText.percent(high2 === null ? 1 : Math.min(1, high2)));
      const n = countFilters(state);
      said3("filters-count", n ? "(" + n + ")" : "");
      reset.disabled = writeFilters(state) === "";
      const labelled = rows.some((row2) => noteBook.label(sae2, row2));
      grid2.classList.toggle("unlabelled", unlabelled && !labelled);
      for (const watch of watchers) watch(state.density);
      for (const watch of readers) watch(shown3);
      drawn2 = "";
      draw2();
    }
    function fill2() {
      for (const name3 of TEXTS) texts[name3].value = state[name3];
      for (const { name: name3, end, input } of numbers2) input.value = state[name3][end] === null ? "" : String(state[name3][end]);
      for (const box of only) box.checked = state.only.has(box.value);
      const place = (value2, other) => value2 === null ? other : Math.max(lowest, Math.min(0, Math.log10(value2 || 1e-30)));
      const [low, high2] = state.density;
      for (const { input, value: value2 } of [{ input: from, value: place(low, lowest) }, { input: to, value: place(high2, 0) }]) {
        input.min = String(lowest);
        input.max = "0";
        input.value = String(value2);
        input.setAttribute("aria-valuetext", asText.percent(10 ** value2));
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
    function read2() {
      state = readFilters(fragmentNow());
      if (countFilters(state)) byId("filters", HTMLDetailsElement).open = true;
      fill2();
      apply();
    }
    let timer = 0;
    function flush() {
      if (timer) typed();
      clearTimeout(timer);
      timer = 0;
    }
    function sortBy(name3, more) {
      flush();
      const old = state.sort.find((key2) => key2.name === name3);
      const key = { name: name3, down: old ? !old.down : FIRST_DOWN.has(name3) };
      if (!more) state.sort = [{ name: name3, down: old === state.sort[0] ? key.down : FIRST_DOWN.has(name3) }];
      else if (old) state.sort = state.sort.map((other) => other === old ? key : other);
      else state.sort = [...state.sort.slice(0, 2), key];
      fill2();
      changed();
    }
    heads.forEach(({ name: name3, node }) => {
      const button2 = el("button", { type: "button", title: "Sort; with Shift, sort further" }, ...node.childNodes);
      button2.addEventListener("click", (event) => sortBy(name3, event.shiftKey));
      node.replaceChildren(button2);
    });
    then.append(el("option", { value: "" }, "latent"));
    for (const name3 of columnNames.slice(1).filter((one) => one !== "score" || scored)) {
      then.append(el("option", { value: name3 }, WORDS[name3] + " ▲"), el("option", { value: "-" + name3 }, WORDS[name3] + " ▼"));
    }
    then.addEventListener("change", () => {
      flush();
      const name3 = columnNames.find((one) => one === then.value.replace(/^-/, ""));
      const [first] = state.sort;
      state.sort = name3 && name3 !== first.name ? [first, { name: name3, down: then.value.startsWith("-") }] : [first];
      fill2();
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
      for (const name3 of TEXTS) state[name3] = texts[name3].value.slice(0, 200);
      for (const { name: name3, end, input } of numbers2) {
        state[name3][end] = numberFrom(input.value);
        input.setAttribute("aria-invalid", String(input.value.trim() !== "" && state[name3][end] === null));
      }
    };
    for (const input of [...Object.values(texts), ...numbers2.map(({ input: input2 }) => input2)]) input.addEventListener("input", soon);
    for (const box of only) {
      box.addEventListener("change", () => {
        state.only[box.checked ? "add" : "delete"](box.value);
        changed();
      });
    }
    function density(low, high2) {
      flush();
      const rounded = (value2) => value2 === null ? null : Number(value2.toPrecision(4));
      state.density = [rounded(low), rounded(high2)];
      fill2();
      changed();
    }
    [from, to].forEach((input, moved) => {
      input.addEventListener("input", () => {
        const ends2 = [Number(from.value), Number(to.value)];
        if (ends2[0] > ends2[1]) ends2[1 - moved] = ends2[moved];
        density(ends2[0] <= lowest ? null : 10 ** ends2[0], ends2[1] >= 0 ? null : 10 ** ends2[1]);
      });
    });
    reset.addEventListener("click", () => {
      flush();
      state = noFilters();
      fill2();
      changed();
      texts.q.focus();
    });
    reset.after(offer("latents", () => rowsAsData(shown3, sae2)));
    let frame = 0;
    scroller.addEventListener("scroll", () => {
      if (!frame)
        frame = requestAnimationFrame(() => {
          frame = 0;
          draw2();
        });
    }, { passive: true });
    const again = () => {
      drawn2 = "";
      draw2();
    };
    self.addEventListener("resize", again);
    listeners.paper.push(again);
    noteBook.changed.push(apply);
    listeners.pins.push(apply);
    self.addEventListener("hashchange", () => {
      const fragment = fragmentNow();
      if (scroller.isConnected && !(fragment && document.getElementById(fragment)) && fragment !== writeFilters(state)) read2();
    });
    read2();
    performance.mark("saereport-table");
    const onDensity = (watch) => {
      watchers.push(watch);
      watch(state.density);
    };
    const onShown = (watch) => {
      readers.push(watch);
      watch(shown3);
    };
    return { density, onDensity, onShown };
  }

  // sae/page.js
  var AT_ONCE = 5e3;
  var FAINT = 0.25;
  function scale(colours) {
    return [0, 2, 4, 6, 8, 9].map((step2, i) => [i / 5, colours[step2]]);
  }
  function range(live) {
    const logs = live.filter((row2) => row2.density > 0).map((row2) => Math.log10(row2.density));
    const low = Math.floor(logs.reduce((a, b) => Math.min(a, b), 0));
    return [low, Math.max(low + 1, Math.ceil(logs.reduce((a, b) => Math.max(a, b), -9)))];
  }
  function legend2(live) {
    const [low, high2] = range(live);
    const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
    [0, 2, 4, 6, 8, 9].forEach((step2) => ramp.append(el("i", { class: "a" + step2 })));
    const { percent: percent2 } = asText;
    return el("div", { class: "legend" }, "density " + percent2(10 ** low), ramp, percent2(10 ** high2));
  }
  function drawMap(box, table3, view) {
    const rows = table3.rows;
    const live = rows.filter(alive);
    let fits = new Set(rows);
    const plot = plotBox({
      class: "plot tall",
      role: "img",
      "aria-label": "Scatter plot of " + asText.count(rows.length) + " latents by decoder direction."
    });
    const said3 = el("p", { class: "kept", role: "status" });
    box.append(legend2(live), plot, said3);
    const size = rows.length > 3e3 ? 4 : rows.length > 500 ? 6 : 9;
    const trace = (some, name3, marker) => ({
      type: "scatter",
      mode: "markers",
      name: name3,
      x: some.map((row2) => row2.x),
      y: some.map((row2) => row2.y),
      customdata: some.map((row2) => row2.latent),
      hoverinfo: marker.opacity === FAINT ? "skip" : "none",
      marker
    });
    const make2 = (colours) => {
      const steps = Array.from({ length: 10 }, (_, i) => colourOf("a" + i));
      const [low, high2] = range(live);
      const inside = live.filter((row2) => fits.has(row2));
      const logs = inside.map((row2) => row2.density > 0 ? Math.log10(row2.density) : low);
      const axis2 = {
        type: "linear",
        showgrid: false,
        zeroline: false,
        showticklabels: false,
        ticks: "",
        title: { text: "" }
      };
      return {
        data: [
          trace(rows.filter((row2) => !fits.has(row2)), "left out", { size, color: colours.quiet, opacity: FAINT }),
          trace(rows.filter((row2) => !alive(row2) && fits.has(row2)), "dead", { size, color: "rgba(0,0,0,0)", line: { width: 1, color: colours.quiet } }),
          trace(inside, "active", {
            size,
            opacity: 0.9,
            line: { width: 0.6, color: colours["ink-3"] },
            color: logs,
            cmin: low,
            cmax: high2,
            colorscale: scale(steps),
            showscale: false
          })
        ],
        layout: {
          paper_bgcolor: "rgba(0,0,0,0)",
          plot_bgcolor: "rgba(0,0,0,0)",
          font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
          margin: { l: 8, r: 8, t: 8, b: 8 },
          showlegend: false,
          hovermode: "closest",
          // Other filters do not move what the reader has gone to.
          uirevision: "map",
          dragmode: self.matchMedia("(pointer: coarse)").matches ? false : "pan",
          xaxis: axis2,
          yaxis: { ...axis2, scaleanchor: "x" }
        },
        config: { scrollZoom: true }
      };
    };
    drawPlot(plot, make2, {
      /** @param {PlotEvent} event */
      plotly_hover: (event) => {
        const row2 = table3.byLatent.get(event.points[0].customdata);
        if (!row2 || !event.event) return;
        const lines2 = ["Latent " + row2.latent];
        if (row2.label) lines2.push(row2.label);
        if (row2.blind) lines2.push("blind");
        else lines2.push("active on " + unpack(row2.tokens).map(tokenText).join("  "));
        if (row2.raises) lines2.push("raises " + unpack(row2.raises).map(tokenText).join("  "));
        lines2.push(alive(row2) ? "density " + densityText(row2) : "dead on this text");
        showTip(lines2, event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => showTip(null),
      /** @param {PlotEvent} event */
      plotly_click: (event) => {
        const href = latentHref(table3.sae, event.points[0].customdata);
        if (href) goTo(href);
      }
    });
    view.onShown((shown3) => {
      fits = new Set(shown3);
      said3.textContent = shown3.length < rows.length ? asText.count(shown3.length) + " of " + asText.count(rows.length) + " latents fit the filters of the table; the others are faint." : "";
      if (plot.redraw) plot.redraw();
    });
  }
  function brushed(block, box, view) {
    const [first] = block.views;
    const { decades = 1 } = first;
    const at2 = (density) => decades * Math.log10(density) - 0.5;
    const bars = first.data[0];
    const ends2 = [(bars.x0 || 0) - 0.5, (bars.x0 || 0) + bars.y.length - 0.5];
    const layout = { ...first.layout };
    if (!self.matchMedia("(pointer: coarse)").matches) Object.assign(layout, { dragmode: "select", selectdirection: "h" });
    view.onDensity(([low, high2]) => {
      const range2 = [low && low > 0 ? at2(low) : ends2[0], high2 && high2 > 0 ? at2(high2) : ends2[1]].map((end) => Math.min(Math.max(end, ends2[0]), ends2[1]));
      const rectangle = { type: "rect", yref: "paper", x0: range2[0], x1: range2[1], y0: 0, y1: 1, line: { width: 0 }, fillcolor: "rgba(70,130,210,0.2)", layer: "below" };
      layout.shapes = low === null && high2 === null ? [] : [rectangle];
      const plot = (
        /** @type {Plot | null} */
        maybe(box, ".plot")
      );
      if (plot && plot.redraw) plot.redraw();
    });
    const select = (event) => {
      if (!event || !event.range) return;
      const [low, high2] = event.range.x.slice().sort((a, b) => a - b);
      const edges = [Math.floor(low + 0.5), Math.floor(high2 + 0.5) + 1];
      view.density(edges[0] <= ends2[0] + 0.5 ? null : 10 ** (edges[0] / decades), edges[1] >= ends2[1] + 0.5 ? null : 10 ** (edges[1] / decades));
    };
    layout.selections = [];
    const hint = "Drag over the bars to show only latents of these densities in the table.";
    within(box, ".summary").after(el("p", { class: "kept" }, hint));
    return { ...block, views: [{ ...first, layout }], events: { plotly_selected: select } };
  }
  function saePage() {
    const table3 = store.tables.get(thisPage.sae);
    if (!table3) return;
    const view = latentTable(table3);
    for (const box of all(document, "figure[data-figure]")) {
      const block = table3.figures[box.dataset.figure || ""];
      if (!block) continue;
      const whole2 = merged(block);
      figureBlock(box.dataset.figure === "density" ? brushed(whole2, box, view) : whole2, box);
    }
    const map = document.getElementById("map");
    if (!map || !table3.has_map) return;
    if (table3.rows.length <= AT_ONCE) whenSeen(map, () => drawMap(map, table3, view));
    else {
      const label2 = "Draw the map of " + asText.count(table3.rows.length) + " latents";
      const button2 = el("button", { type: "button" }, label2);
      button2.addEventListener("click", () => {
        button2.remove();
        drawMap(map, table3, view);
      });
      map.append(button2);
    }
  }

  // shell/jump.js
  function listen(field2) {
    const box = el("div", { class: "jump-said", role: "status", hidden: "" });
    (field2.closest("label") || field2).after(box);
    const quiet2 = () => {
      field2.setCustomValidity("");
      box.hidden = true;
      box.replaceChildren();
    };
    async function go() {
      const text4 = field2.value.trim();
      const wanted2 = /^\d{1,15}$/.test(text4) ? Number(text4) : null;
      const table3 = wanted2 === null ? null : await loadTable(thisPage.sae);
      const href = wanted2 !== null && table3 && table3.byLatent.has(wanted2) ? latentHref(thisPage.sae, wanted2) : null;
      if (href) {
        goTo(href);
        quiet2();
        field2.value = "";
        field2.blur();
        return;
      }
      const why = wanted2 === null ? "A latent is asked for by its number." : "This report does not show latent " + wanted2 + " of this SAE.";
      const others = wanted2 === null ? null : await elsewhere(thisPage.sae, wanted2);
      if (field2.value.trim() !== text4) return;
      field2.setCustomValidity(why);
      box.replaceChildren(el("p", {}, why), ...others ? [others] : []);
      box.hidden = false;
    }
    field2.addEventListener("keydown", (event) => {
      if (event.key === "Enter") go();
      if (event.key === "Escape") {
        quiet2();
        field2.blur();
      }
    });
    field2.addEventListener("input", quiet2);
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      quiet2();
      field2.focus();
    });
    document.addEventListener("click", (event) => {
      if (event.target instanceof Node && event.target !== field2 && !box.contains(event.target)) quiet2();
    });
    self.addEventListener("hashchange", quiet2);
  }
  function jumpField() {
    const field2 = document.getElementById("jump");
    if (!(field2 instanceof HTMLInputElement)) return null;
    listen(field2);
    return field2;
  }

  // shell/theme.js
  var root4 = document.documentElement;
  var NAMES = { "": "follow the system", light: "light", dark: "dark" };
  var button = byId("theme", HTMLButtonElement);
  function label() {
    const text4 = "Colours: " + NAMES[root4.dataset.theme || ""];
    button.setAttribute("aria-label", text4);
    button.title = text4;
  }
  function startTheme(changed) {
    function next() {
      const dark = self.matchMedia("(prefers-color-scheme: dark)").matches;
      const order2 = dark ? ["", "light", "dark"] : ["", "dark", "light"];
      const theme2 = order2[(order2.indexOf(root4.dataset.theme || "") + 1) % order2.length];
      if (theme2) root4.dataset.theme = theme2;
      else delete root4.dataset.theme;
      remember("theme", theme2 || null);
      label();
      changed();
    }
    button.addEventListener("click", next);
    label();
    return next;
  }
  function startHelp() {
    const keys2 = byId("keys", HTMLDialogElement);
    const toggle2 = () => keys2.open ? keys2.close() : keys2.showModal();
    byId("help", HTMLElement).addEventListener("click", toggle2);
    byId("keys-close", HTMLElement).addEventListener("click", () => keys2.close());
    return { keys: keys2, toggle: toggle2 };
  }

  // shell/page.js
  var nextTheme = startTheme(redraw);
  self.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  var { keys, toggle: help } = startHelp();
  var jump = jumpField();
  startActions();
  watchExamples();
  var latents = thisPage.kind === "latents" ? latentPage() : null;
  if (thisPage.kind === "sae") saePage();
  if (thisPage.kind === "graph") graphPage();
  if (thisPage.kind === "prompt") promptPage();
  else drawBlocks();
  if (thisPage.kind === "compare") comparePage();
  if (thisPage.kind === "overview") overviewPage();
  notesSection();
  readyFigures();
  var anchor = thisPage.kind === "text" && document.getElementById(fragmentNow());
  if (anchor) anchor.scrollIntoView();
  within(document, ".skip").addEventListener("click", (event) => {
    event.preventDefault();
    const main = byId("main", HTMLElement);
    main.focus({ preventScroll: true });
    main.scrollIntoView();
  });
  function mark2(what) {
    const article = maybe(document, "article.current[id^='latent-']");
    const row2 = focused()?.closest("tr[data-latent]");
    if (article) toggleMark(what, thisPage.sae, Number(article.id.slice("latent-".length)));
    else if (row2 instanceof HTMLElement) toggleMark(what, thisPage.sae, Number(row2.dataset.latent));
  }
  var filter = document.getElementById("filter");
  var listed = new Set(all(keys, "dt kbd").map((node) => node.textContent));
  var ARROWS = { ArrowRight: "→", ArrowLeft: "←" };
  var actions = {
    "?": help,
    t: nextTheme,
    "/": () => (filter || jump)?.focus(),
    j: () => latents?.move(1),
    "→": () => latents?.move(1),
    k: () => latents?.move(-1),
    "←": () => latents?.move(-1),
    u: () => latents?.up(),
    e: () => latents?.unfoldAll(),
    b: () => latents?.toggleBlind(),
    y: copyLink,
    m: copyMarkdown,
    r: recut,
    s: () => mark2("star"),
    p: () => mark2("pin"),
    n: () => writeNote()
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (around(event, "input, textarea, select")) {
      if (event.key === "Escape") focused()?.blur();
      return;
    }
    const scrolls = around(event, ".scroll[tabindex], .compared, .scroller");
    if (scrolls && ARROWS[event.key]) return;
    const key = ARROWS[event.key] || event.key;
    const action = actions[key];
    if (!action || !listed.has(key) || keys.open && key !== "?") return;
    event.preventDefault();
    action();
  });

  // inspect.js
  var receiver = (
    /** @type {Receiver} */
    self.saereport
  );
  receiver.inspect = {
    aligned,
    asText,
    csv,
    el,
    endsOf: endsOf2,
    fragmentNow,
    graphView,
    loadTable,
    markdownParts,
    sentenceAround,
    session,
    store,
    thisPage,
    toAxis,
    tokenCode,
    viewAddress
  };
})();
