// The table of latents: sorted, filtered, and drawn only where it is seen, so that 25,000 rows are light.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const MARGIN = 12;
  const LOWEST = -7;

  const KEYS = {
    latent: (row) => row[0],
    density: (row) => row[1],
    max: (row) => row[2],
    label: (row) => row[5] || "\uffff",
  };

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

  S.latentTable = function (table) {
    const rows = table.rows;
    const scroller = document.getElementById("scroller");
    const body = document.getElementById("rows");
    const filter = document.getElementById("filter");
    const from = document.getElementById("from");
    const to = document.getElementById("to");
    const found = document.getElementById("found");
    const heads = Array.from(scroller.querySelectorAll("th[data-sort]"));
    const alive = rows.filter((row) => row[1] > 0).map((row) => Math.log10(row[1]));
    const lowest = alive.length ? Math.floor(10 * alive.reduce((a, b) => Math.min(a, b), 0)) / 10 : LOWEST;
    const state = { sort: "latent", down: false, q: "", from: lowest, to: 0 };
    let words = null;
    let shown = rows;
    let drawn = "";

    function haystack() {
      if (!words) {
        words = rows.map((row) => {
          const tokens = S.unpack(row[3] + row[4]).map((id) => {
            const text = S.token(id);
            return text + " " + S.prose(text);
          });
          const blind = row[9] ? " blind" : "";
          return (row[0] + " " + row[5] + blind + " " + tokens.join(" ")).toLowerCase();
        });
      }
      return words;
    }

    function apply() {
      const q = state.q.trim().toLowerCase();
      const low = state.from <= lowest ? -1 : 10 ** state.from;
      const high = state.to >= 0 ? 2 : 10 ** state.to;
      const number = /^\d+$/.test(q) ? q : null;
      const text = q ? haystack() : null;
      shown = rows.filter((row, i) => {
        if (row[1] < low || row[1] > high) return false;
        if (!q) return true;
        return number ? String(row[0]).startsWith(number) : text[i].includes(q);
      });
      const key = KEYS[state.sort];
      const sign = state.down ? -1 : 1;
      const compare =
        state.sort === "label"
          ? (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)
          : (a, b) => key(a) - key(b);
      shown.sort((a, b) => sign * compare(a, b) || a[0] - b[0]);
      heads.forEach((head) => {
        if (head.dataset.sort === state.sort)
          head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      found.textContent =
        shown.length === rows.length
          ? S.format.count(rows.length) + " latents"
          : S.format.count(shown.length) + " of " + S.format.count(rows.length) + " latents";
      document.getElementById("from-out").textContent = state.from <= lowest ? "any" : S.format.percent(10 ** state.from);
      document.getElementById("to-out").textContent = S.format.percent(10 ** Math.min(0, state.to));
      drawn = "";
      draw();
    }

    function line(row) {
      const link = el("a", { href: S.href(table.sae, row[0]) }, String(row[0]));
      const meter = el("i", {});
      const share = row[1] > 0 ? (Math.log10(row[1]) - lowest) / -Math.min(lowest, -1e-6) : 0;
      meter.style.setProperty("width", 100 * Math.max(0, share) + "%");
      const spark = el("td", { class: "c-spark" });
      if (row[6]) spark.append(S.svg(sparkPath(row[6]), 92, 20));
      const density = row[1] > 0 ? S.format.percent(row[1]) : "dead";
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, link),
        el("td", { class: "c-density" }, density, el("span", { class: "meter", "aria-hidden": "true" }, meter)),
        el("td", { class: "c-max" }, row[1] > 0 ? S.format.value(row[2]) : "–"),
        spark,
        el("td", { class: "c-tokens" }, ...(row[9] ? [S.blindMark()] : codes(S.unpack(row[3])))),
        el("td", { class: "c-logits" }, ...codes(S.unpack(row[4]))),
        el("td", { class: "c-label", title: row[5] }, row[5]),
      );
    }

    function gap(height) {
      const cell = el("td", { colspan: 7 });
      cell.style.setProperty("height", height + "px");
      return el("tr", { class: "gap", "aria-hidden": "true" }, cell);
    }

    function draw() {
      const height = parseFloat(getComputedStyle(scroller).getPropertyValue("--row")) || 35;
      const first = Math.max(0, Math.floor(scroller.scrollTop / height) - MARGIN);
      const last = Math.min(shown.length, first + Math.ceil(self.innerHeight / height) + 2 * MARGIN);
      const key = first + "-" + last;
      if (key === drawn) return;
      drawn = key;
      if (!shown.length) {
        const cell = el("td", { colspan: 7 }, "No latent fits the filters.");
        body.replaceChildren(el("tr", { class: "empty" }, cell));
        return;
      }
      const focused = document.activeElement && body.contains(document.activeElement) ? document.activeElement.textContent : null;
      body.replaceChildren(
        gap(first * height),
        ...shown.slice(first, last).map(line),
        gap((shown.length - last) * height),
      );
      if (focused !== null) {
        const again = Array.from(body.querySelectorAll("a")).find((a) => a.textContent === focused);
        if (again) again.focus({ preventScroll: true });
      }
    }

    function write() {
      const parts = new URLSearchParams();
      if (state.sort !== "latent" || state.down) parts.set("sort", (state.down ? "-" : "") + state.sort);
      if (state.q) parts.set("q", state.q);
      if (state.from > lowest) parts.set("from", String(state.from));
      if (state.to < 0) parts.set("to", String(state.to));
      S.setFragment(parts.toString());
    }

    function read() {
      const parts = new URLSearchParams(S.fragment());
      const sort = parts.get("sort") || "latent";
      state.down = sort.startsWith("-");
      const name = sort.replace(/^-/, "");
      state.sort = Object.hasOwn(KEYS, name) ? name : "latent";
      state.q = parts.get("q") || "";
      const number = (key, other) => {
        const value = parseFloat(parts.get(key));
        return Number.isFinite(value) ? Math.max(lowest, Math.min(0, value)) : other;
      };
      state.from = number("from", lowest);
      state.to = number("to", 0);
      filter.value = state.q;
      for (const [input, value] of [[from, state.from], [to, state.to]]) {
        input.min = String(lowest);
        input.max = "0";
        input.value = String(value);
      }
    }

    function changed() {
      scroller.scrollTop = 0;
      apply();
      write();
    }

    heads.forEach((head) => {
      const button = el("button", { type: "button" }, head.textContent);
      button.addEventListener("click", () => {
        const name = head.dataset.sort;
        const first = name === "density" || name === "max";
        state.down = state.sort === name ? !state.down : first;
        state.sort = name;
        changed();
      });
      head.replaceChildren(button);
    });
    let timer = 0;
    filter.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        state.q = filter.value;
        changed();
      }, 90);
    });
    for (const [input, name] of [[from, "from"], [to, "to"]]) {
      input.addEventListener("input", () => {
        state[name] = Number(input.value);
        if (state.from > state.to) state[name === "from" ? "to" : "from"] = state[name];
        from.value = String(state.from);
        to.value = String(state.to);
        changed();
      });
    }
    let frame = 0;
    scroller.addEventListener("scroll", () => {
      if (!frame)
        frame = requestAnimationFrame(() => {
          frame = 0;
          draw();
        });
    }, { passive: true });
    self.addEventListener("resize", () => {
      drawn = "";
      draw();
    });
    self.addEventListener("hashchange", () => {
      read();
      apply();
    });
    read();
    apply();
    performance.mark("saereport-table");
  };
})();
