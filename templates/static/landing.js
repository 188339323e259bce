// Made from templates/scripts; see CONTRIBUTING.md.
"use strict";
"use strict";
(() => {
  // core/page.js
  var root = document.documentElement;
  var thisPage = {
    /** The way to the report's root, `../` or empty. */
    root: root.dataset.root || "",
    /** The kind of page: `latents`, `sae`, `graph`, … */
    kind: root.dataset.page || "",
    /** The SAE's slug, or empty. */
    sae: root.dataset.sae || "",
    /** Whether the report is one file. */
    single: root.dataset.single !== void 0
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

  // core/address.js
  var PINS = /(?:^|&)pins=([^&#]*)/;
  var unwritten = null;
  self.addEventListener("hashchange", () => unwritten = null);
  function behind() {
    if (unwritten !== null) return unwritten;
    const hash = self.location.hash.slice(1);
    const at = thisPage.single ? hash.indexOf("#") : -1;
    return thisPage.single && at < 0 ? "" : hash.slice(at + 1);
  }
  var fragmentNow = () => behind().replace(PINS, "");
  function pinsInAddress() {
    const found = PINS.exec(behind());
    return found ? found[1] : "";
  }
  var withPins = (fragment) => [fragment, session.pins ? "pins=" + session.pins : ""].filter(Boolean).join("&");
  function setFragment(fragment) {
    const rest = withPins(fragment);
    const text = thisPage.single ? document.documentElement.dataset.path + (rest ? "#" + rest : "") : rest;
    const { pathname, search } = self.location;
    try {
      self.history.replaceState(null, "", text ? "#" + text : pathname + search);
      unwritten = null;
    } catch {
      unwritten = rest;
    }
  }
  session.pins = pinsInAddress();

  // core/dom.js
  function el(tag, fields, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(fields)) {
      if (name === "class") node.className = String(value);
      else if (value !== void 0 && value !== null) node.setAttribute(name, String(value));
    }
    for (const child of children) if (child !== null && child !== void 0) node.append(child);
    return node;
  }
  var focused = () => document.activeElement instanceof HTMLElement ? document.activeElement : null;
  var all = (part, selector) => Array.from(part.querySelectorAll(selector)).filter((node) => node instanceof HTMLElement);
  function byId(id, kind) {
    const found = document.getElementById(id);
    if (!(found instanceof kind)) throw new Error("the page has no " + id);
    return found;
  }
  var around = (event, selector) => event.target instanceof Element ? event.target.closest(selector) : null;

  // core/memory.js
  var PREFIX = "saereport-";
  function remember(name, value) {
    try {
      if (value === void 0) return self.localStorage.getItem(PREFIX + name);
      if (value === null) self.localStorage.removeItem(PREFIX + name);
      else self.localStorage.setItem(PREFIX + name, value);
    } catch {
    }
    return null;
  }

  // shell/theme.js
  var root2 = document.documentElement;
  var NAMES = { "": "follow the system", light: "light", dark: "dark" };
  var button = byId("theme", HTMLButtonElement);
  function label() {
    const text = "Colours: " + NAMES[root2.dataset.theme || ""];
    button.setAttribute("aria-label", text);
    button.title = text;
  }
  function startTheme(changed2) {
    function next() {
      const dark = self.matchMedia("(prefers-color-scheme: dark)").matches;
      const order = dark ? ["", "light", "dark"] : ["", "dark", "light"];
      const theme = order[(order.indexOf(root2.dataset.theme || "") + 1) % order.length];
      if (theme) root2.dataset.theme = theme;
      else delete root2.dataset.theme;
      remember("theme", theme || null);
      label();
      changed2();
    }
    button.addEventListener("click", next);
    label();
    return next;
  }
  function startHelp() {
    const keys2 = byId("keys", HTMLDialogElement);
    const toggle = () => keys2.open ? keys2.close() : keys2.showModal();
    byId("help", HTMLElement).addEventListener("click", toggle);
    byId("keys-close", HTMLElement).addEventListener("click", () => keys2.close());
    return { keys: keys2, toggle };
  }

  // landing.js
  var nextTheme = startTheme(() => {
  });
  var { keys, toggle: help } = startHelp();
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
  var body = byId("rows", HTMLTableSectionElement);
  var filter = byId("filter", HTMLInputElement);
  var sort = byId("sort", HTMLSelectElement);
  var heads = all(document, "th[data-sort]");
  var selects = all(document, "select[data-filter]").flatMap(
    (node) => node instanceof HTMLSelectElement ? [{ name: node.dataset.filter || "", node }] : []
  );
  var columns = heads.map((head) => head.dataset.sort || "");
  var rows = Array.from(body.rows, (node, place) => {
    const cells = Array.from(node.cells, (cell) => cell.textContent);
    const { layer = "" } = node.dataset;
    const value = { layer };
    columns.forEach((name, i) => {
      const order = node.cells[i].dataset.order;
      value[name] = order === void 0 ? cells[i].toLowerCase() : order === "" ? null : Number(order);
    });
    const chosen = { model: cells[columns.indexOf("model")], layer, architecture: cells[columns.indexOf("architecture")] };
    return { node, place, value, chosen, words: cells.join(" ").toLowerCase() };
  });
  var state = { sort: "", down: false, q: "", chosen: {} };
  function compare(a, b) {
    const [x, y] = [a.value[state.sort], b.value[state.sort]];
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
    const ordered = rows.slice().sort((a, b) => state.sort && compare(a, b) || a.place - b.place);
    body.append(...ordered.map((row) => row.node));
    for (const head of heads) {
      if (head.dataset.sort === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    sort.value = (state.down ? "-" : "") + state.sort;
    byId("nothing", HTMLElement).hidden = shown > 0;
    const all2 = rows.length === 1 ? "1 SAE" : rows.length.toLocaleString("en") + " SAEs";
    byId("found", HTMLElement).textContent = shown === rows.length ? all2 : shown.toLocaleString("en") + " of " + all2;
  }
  function write() {
    const parts = new URLSearchParams();
    if (state.q) parts.set("q", state.q);
    for (const { name } of selects) if (state.chosen[name]) parts.set(name, state.chosen[name]);
    if (state.sort) parts.set("sort", (state.down ? "-" : "") + state.sort);
    setFragment(parts.toString());
  }
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
    const button2 = el("button", { type: "button" }, title);
    button2.addEventListener("click", () => {
      if (state.sort === name) state.down = !state.down;
      else [state.sort, state.down] = [name, head.classList.contains("num")];
      changed();
    });
    head.replaceChildren(button2);
    sort.append(el("option", { value: name }, title + ", rising"), el("option", { value: "-" + name }, title + ", falling"));
  }
  sort.addEventListener("change", () => {
    take(sort.value);
    changed();
  });
  var timer = 0;
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
    if (fragmentNow().includes("=") || !fragmentNow()) read();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (around(event, "input, select")) {
      if (event.key === "Escape") focused()?.blur();
      return;
    }
    const actions = { "?": help, t: nextTheme, "/": () => filter.focus() };
    if (!Object.hasOwn(actions, event.key) || keys.open && event.key !== "?") return;
    event.preventDefault();
    actions[event.key]();
  });
  read();
})();
