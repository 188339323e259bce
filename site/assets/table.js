// The table of latents: drawn only where it is seen, so that 25,000 rows are light.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const MARGIN = 12;
  const PRINTED = 2000;
  const LOWEST = -7;
  const COLUMNS = 8;
  const FIRST_DOWN = new Set(["density", "max", "shape", "marked"]);
  const WORDS = { latent: "latent", marked: "marked", density: "density", max: "max", shape: "activations", tokens: "active on", raises: "raises", label: "explanation" };
  const $ = (id) => document.getElementById(id);

  function sparkPath(text) {
    const width = 92 / text.length;
    let path = "";
    for (let i = 0; i < text.length; i += 1) {
      const height = text.charCodeAt(i) - 65;
      if (height > 0) path += "M" + (i * width).toFixed(1) + " 20v-" + height + "h" + (width - 0.8).toFixed(1) + "v" + height + "z";
    }
    return path;
  }

  function codes(ids) {
    const nodes = [];
    ids.forEach((id, i) => {
      if (i) nodes.push(" ");
      nodes.push(el("code", {}, S.token(id)));
    });
    return nodes;
  }

  // Returns what sets the range of densities from elsewhere, and tells of its changes.
  S.latentTable = function (table) {
    const { rows, sae } = table;
    const scroller = $("scroller");
    const body = $("rows");
    const grid = scroller.querySelector("table");
    const unlabelled = grid.classList.contains("unlabelled");
    const heads = Array.from(scroller.querySelectorAll("th[data-sort]"));
    const from = $("from");
    const to = $("to");
    const logs = rows.filter((row) => row[1] > 0).map((row) => Math.log10(row[1]));
    const lowest = logs.length ? Math.floor(10 * logs.reduce((a, b) => Math.min(a, b), 0)) / 10 : LOWEST;
    const find = S.rowFinder(table);
    const texts = { q: $("filter"), tokens: $("by-tokens"), raises: $("by-raises"), label: $("by-label") };
    const numbers = ["latent", "max"].flatMap((name) => [[name, 0, $(name + "-from")], [name, 1, $(name + "-to")]]);
    const only = Array.from(document.querySelectorAll("#filters input[name='only']"));
    const then = $("then");
    const watchers = [];
    let state = S.noFilters();
    let shown = rows;
    let drawn = "";

    // ---- rows
    function line(row) {
      const link = el("a", { href: S.href(sae, row[0]) }, String(row[0]));
      const meter = el("i", {});
      const share = row[1] > 0 ? (Math.log10(row[1]) - lowest) / -Math.min(lowest, -1e-6) : 0;
      meter.style.setProperty("width", 100 * Math.max(0, share) + "%");
      const spark = el("td", { class: "c-spark" });
      if (row[6]) spark.append(S.svg(sparkPath(row[6]), 92, 20));
      const own = S.notes.label(sae, row);
      const label = el("td", { class: "c-label", title: own || row[5] });
      if (own) label.append(el("bdi", { class: "own" }, own), row[5] ? " · " : "");
      label.append(row[5]);
      const node = el(
        "tr",
        {},
        el("th", { scope: "row" }, link),
        el("td", { class: "c-marks" }, S.marks(sae, row[0])),
        el("td", { class: "c-density" }, S.density(row), el("span", { class: "meter", "aria-hidden": "true" }, meter)),
        el("td", { class: "c-max" }, row[2] > 0 ? S.format.value(row[2]) : "–"),
        spark,
        el("td", { class: "c-tokens" }, ...(row[9] ? [S.blindMark()] : codes(S.unpack(row[3])))),
        el("td", { class: "c-logits" }, ...codes(S.unpack(row[4]))),
        label,
      );
      node.dataset.latent = row[0];
      return node;
    }

    function gap(height) {
      const cell = el("td", { colspan: COLUMNS });
      cell.style.setProperty("height", height + "px");
      return el("tr", { class: "gap", "aria-hidden": "true" }, cell);
    }

    const targets = (row) => Array.from(row.querySelectorAll("a, button"));
    // Where the focus is: the latent, and the how-manieth thing in its row.
    function focus() {
      const row = body.contains(document.activeElement) && document.activeElement.closest("tr");
      return row ? [row.dataset.latent, targets(row).indexOf(document.activeElement)] : null;
    }

    function draw() {
      // A row's height is in rem: it follows the reader's text size.
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
      const height = rem * (parseFloat(getComputedStyle(scroller).getPropertyValue("--row")) || 2.1875);
      const first = S.paper ? 0 : Math.max(0, Math.floor(scroller.scrollTop / height) - MARGIN);
      const last = S.paper ? Math.min(shown.length, PRINTED) : Math.min(shown.length, first + Math.ceil(self.innerHeight / height) + 2 * MARGIN);
      const key = first + "-" + last;
      if (key === drawn) return;
      drawn = key;
      if (!shown.length) {
        const cell = el("td", { colspan: COLUMNS }, rows.length ? "No latent fits the filters." : "The report shows no latent of this SAE.");
        body.replaceChildren(el("tr", { class: "empty" }, cell));
        return;
      }
      const focused = focus();
      const rest = "The first " + S.format.count(last) + " of " + S.format.count(shown.length) + " latents; the downloaded table has all.";
      body.replaceChildren(
        gap(first * height),
        ...shown.slice(first, last).map(line),
        S.paper && last < shown.length ? el("tr", { class: "empty" }, el("td", { colspan: COLUMNS }, rest)) : gap((shown.length - last) * height),
      );
      if (!focused) return;
      const again = body.querySelector("tr[data-latent='" + focused[0] + "']");
      (again ? targets(again)[focused[1]] : scroller).focus({ preventScroll: true });
    }

    // ---- the state and its controls
    function apply() {
      shown = find(state);
      const ranks = new Map(state.sort.map((key, i) => [key.name, [key, i]]));
      heads.forEach((head) => {
        const [key, rank] = ranks.get(head.dataset.sort) || [null, 0];
        head.removeAttribute("aria-sort");
        delete head.dataset.rank;
        if (key && !rank) head.setAttribute("aria-sort", key.down ? "descending" : "ascending");
        else if (key) head.dataset.rank = rank + 1 + (key.down ? "▼" : "▲");
      });
      const all = S.format.count(rows.length) + " latents";
      $("found").textContent = shown.length === rows.length ? all : S.format.count(shown.length) + " of " + all;
      const [low, high] = state.density;
      $("from-out").textContent = low === null ? "any" : S.format.percent(low);
      $("to-out").textContent = S.format.percent(high === null ? 1 : Math.min(1, high));
      const n = S.countFilters(state);
      $("filters-count").textContent = n ? "(" + n + ")" : "";
      $("reset").disabled = S.writeFilters(state) === "";
      const labelled = rows.some((row) => S.notes.label(sae, row));
      grid.classList.toggle("unlabelled", unlabelled && !labelled);
      for (const watch of watchers) watch(state.density);
      drawn = "";
      draw();
    }

    function fill() {
      for (const [name, input] of Object.entries(texts)) input.value = state[name];
      for (const [name, end, input] of numbers) input.value = state[name][end] === null ? "" : String(state[name][end]);
      for (const box of only) box.checked = state.only.has(box.value);
      const place = (value, other) => (value === null ? other : Math.max(lowest, Math.min(0, Math.log10(value || 1e-30))));
      for (const [input, value] of [[from, place(state.density[0], lowest)], [to, place(state.density[1], 0)]]) {
        input.min = String(lowest);
        input.max = "0";
        input.value = String(value);
        input.setAttribute("aria-valuetext", S.format.percent(10 ** value));
      }
      const second = state.sort[1];
      then.value = second ? (second.down ? "-" : "") + second.name : "";
    }

    const write = () => S.setFragment(S.writeFilters(state));
    function changed() {
      scroller.scrollTop = 0;
      apply();
      write();
    }
    function read() {
      state = S.readFilters(S.fragment());
      if (S.countFilters(state)) $("filters").open = true;
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

    heads.forEach((head) => {
      const name = head.dataset.sort;
      const button = el("button", { type: "button", title: "Sort; with Shift, sort further" }, ...head.childNodes);
      button.addEventListener("click", (event) => sortBy(name, event.shiftKey));
      head.replaceChildren(button);
    });
    then.append(el("option", { value: "" }, "latent"));
    for (const name of S.columnNames.slice(1)) {
      then.append(el("option", { value: name }, WORDS[name] + " ▲"), el("option", { value: "-" + name }, WORDS[name] + " ▼"));
    }
    then.addEventListener("change", () => {
      flush();
      const name = then.value.replace(/^-/, "");
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
      for (const [name, input] of Object.entries(texts)) state[name] = input.value.slice(0, 200);
      for (const [name, end, input] of numbers) {
        state[name][end] = S.numberFrom(input.value);
        input.setAttribute("aria-invalid", String(input.value.trim() !== "" && state[name][end] === null));
      }
    };
    for (const input of [...Object.values(texts), ...numbers.map((item) => item[2])]) input.addEventListener("input", soon);
    for (const box of only) {
      box.addEventListener("change", () => {
        state.only[box.checked ? "add" : "delete"](box.value);
        changed();
      });
    }

    function density(low, high) {
      flush();
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
    $("reset").addEventListener("click", () => {
      flush();
      state = S.noFilters();
      fill();
      changed();
      texts.q.focus();
    });
    $("reset").after(S.offer("latents", () => S.rowsAsData(shown, sae)));

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
    S.onPaper.push(again);
    S.notes.changed.push(apply);
    S.onPins.push(apply);
    self.addEventListener("hashchange", () => {
      const fragment = S.fragment();
      if (scroller.isConnected && !(fragment && document.getElementById(fragment)) && fragment !== S.writeFilters(state)) read();
    });
    read();
    performance.mark("saereport-table");
    const onDensity = (watch) => {
      watchers.push(watch);
      watch(state.density);
    };
    return { density, onDensity };
  };
})();
