// The landing page: theme, help, and the table of SAEs, filtered and sorted, remembered in the address.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const root = document.documentElement;
  const byId = (name) => document.getElementById(name);
  const NAMES = { "": "follow the system", light: "light", dark: "dark" };

  function labelTheme() {
    const text = "Colours: " + NAMES[root.dataset.theme || ""];
    byId("theme").setAttribute("aria-label", text);
    byId("theme").title = text;
  }
  function nextTheme() {
    const dark = self.matchMedia("(prefers-color-scheme: dark)").matches;
    const order = dark ? ["", "light", "dark"] : ["", "dark", "light"];
    const theme = order[(order.indexOf(root.dataset.theme || "") + 1) % order.length];
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    S.remember("theme", theme || null);
    labelTheme();
  }
  byId("theme").addEventListener("click", nextTheme);
  labelTheme();
  const keys = byId("keys");
  const help = () => (keys.open ? keys.close() : keys.showModal());
  byId("help").addEventListener("click", help);
  byId("keys-close").addEventListener("click", () => keys.close());

  // Going to a part by its address would take the place of the filters there.
  for (const link of document.querySelectorAll(".skip, .nav a[href^='#']")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const part = byId(link.hash.slice(1));
      part.tabIndex = -1;
      part.focus({ preventScroll: true });
      part.scrollIntoView();
    });
  }

  const body = byId("rows");
  const filter = byId("filter");
  const sort = byId("sort");
  const heads = Array.from(document.querySelectorAll("th[data-sort]"));
  const selects = Array.from(document.querySelectorAll("select[data-filter]"));
  const columns = heads.map((head) => head.dataset.sort);
  const rows = Array.from(body.rows, (node, place) => {
    const cells = Array.from(node.cells, (cell) => cell.textContent);
    const value = { layer: node.dataset.layer };
    columns.forEach((name, i) => {
      const order = node.cells[i].dataset.order;
      value[name] = order === undefined ? cells[i].toLowerCase() : order === "" ? null : Number(order);
    });
    const chosen = { model: cells[columns.indexOf("model")], layer: node.dataset.layer, architecture: cells[columns.indexOf("architecture")] };
    return { node, place, value, chosen, words: cells.join(" ").toLowerCase() };
  });
  const state = { sort: "", down: false, q: "", chosen: {} };

  function compare(a, b) {
    const [x, y] = [a.value[state.sort], b.value[state.sort]];
    // What was not measured is last in either order.
    if (x === null || y === null) return (x === null) - (y === null);
    const sign = state.down ? -1 : 1;
    return sign * (x < y ? -1 : x > y ? 1 : 0);
  }

  function apply() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = selects.every((select) => {
        const wanted = state.chosen[select.dataset.filter];
        return !wanted || row.chosen[select.dataset.filter] === wanted;
      });
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
    byId("nothing").hidden = shown > 0;
    const all = rows.length === 1 ? "1 SAE" : rows.length.toLocaleString("en") + " SAEs";
    byId("found").textContent = shown === rows.length ? all : shown.toLocaleString("en") + " of " + all;
  }

  function write() {
    const parts = new URLSearchParams();
    if (state.q) parts.set("q", state.q);
    for (const select of selects) if (state.chosen[select.dataset.filter]) parts.set(select.dataset.filter, state.chosen[select.dataset.filter]);
    if (state.sort) parts.set("sort", (state.down ? "-" : "") + state.sort);
    S.setFragment(parts.toString());
  }

  function take(order) {
    const name = order.replace(/^-/, "");
    state.sort = columns.includes(name) ? name : "";
    state.down = state.sort !== "" && order.startsWith("-");
  }

  function read() {
    const parts = new URLSearchParams(S.fragment());
    state.q = parts.get("q") || "";
    filter.value = state.q;
    for (const select of selects) {
      const wanted = parts.get(select.dataset.filter) || "";
      const known = Array.from(select.options).some((option) => option.value === wanted);
      select.value = known ? wanted : "";
      state.chosen[select.dataset.filter] = select.value;
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
    const name = head.dataset.sort;
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
  for (const select of selects) {
    select.addEventListener("change", () => {
      state.chosen[select.dataset.filter] = select.value;
      changed();
    });
  }
  self.addEventListener("hashchange", () => {
    // An address of a part of the page, from elsewhere, has no filters.
    if (S.fragment().includes("=") || !S.fragment()) read();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target instanceof Element && event.target.closest("input, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const actions = { "?": help, t: nextTheme, "/": () => filter.focus() };
    if (!Object.hasOwn(actions, event.key) || (keys.open && event.key !== "?")) return;
    event.preventDefault();
    actions[event.key]();
  });
  read();
})();
