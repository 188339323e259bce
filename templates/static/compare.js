// Pinned latents side by side: one row a panel, one column a latent.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const FIRST = ["examples", "activation", "tokens", "logits", "deembedding", "related"];
  const LISTS = ["tokens", "logits", "deembedding"];
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const COLOURS = 6;

  // What is known of a pinned latent: its row in the table, and its panels.
  async function known(pin, place) {
    const [slug, latent] = pin;
    const page = /l(\d+)\.html/.exec(S.href(slug, latent) || "");
    if (!page) return null;
    const shard = Number(page[1]);
    const data = slug + "/d" + String(shard).padStart(4, "0") + ".js";
    const [table] = await Promise.all([S.table(slug), S.load(data)]);
    const part = S.shards.get(slug + "/" + shard);
    const row = table && table.byLatent.get(latent);
    const record = part && part.byLatent.get(latent);
    if (!row || !record) return null;
    const hidden = Boolean(row[9]) && !S.revealed(slug, latent);
    const panels = new Map(record.panels);
    return { pin, slug, latent, place, row, record, shard: part, hidden, panels, name: S.saes.get(slug).label + " " + latent };
  }

  const swatch = (place) => el("i", { class: "swatch k" + (place % COLOURS), "aria-hidden": "true" });
  const title = (item) => el("h3", {}, swatch(item.place), item.name);

  // ---- the head of each column
  function head(item) {
    const { slug, latent, row, hidden } = item;
    const own = hidden ? "" : S.notes.label(slug, row);
    const facts = [
      ["Density", S.density(row)],
      ["Max", row[2] > 0 ? S.format.value(row[2]) : "–"],
    ];
    const list = el("dl", { class: "kv" });
    for (const [name, value] of facts) list.append(el("div", {}, el("dt", {}, name), el("dd", {}, value)));
    const gloss = own ? el("span", { class: "gloss own" }, own) : S.gloss(row);
    const name = el("h3", {}, swatch(item.place), el("a", { href: S.href(slug, latent) }, item.name));
    return [name, gloss, list, S.marks(slug, latent)];
  }

  // ---- all histograms over one axis
  // Widths are powers of two, so counts in wide bins are sums of counts in narrow ones.
  function widened(trace, width) {
    const start = trace.x0 - trace.dx / 2;
    const counts = [];
    trace.y.forEach((n, i) => {
      const bin = Math.floor((start + i * trace.dx) / width);
      counts[bin] = (counts[bin] || 0) + n;
    });
    return Array.from(counts, (n) => n || 0);
  }

  function histograms(items) {
    const found = items
      .map((item) => [item, (item.panels.get("activation") || []).map(S.merged).find((block) => block.base === "activation.histogram")])
      .filter((pair) => pair[1]);
    if (!found.length) return null;
    const linear = found.map(([, block]) => block.views[0].data[0]);
    const width = Math.max(...linear.map((trace) => trace.dx));
    const wide = linear.map((trace) => widened(trace, width));
    const most = Math.max(...wide.map((y) => y.length));
    const octaves = found.map(([, block]) => block.views[1].data[0]);
    const low = Math.min(...octaves.map((trace) => trace.x0));
    const high = Math.max(...octaves.map((trace) => trace.x0 + trace.y.length));
    const trace = ([item], y, x0, dx) => ({
      type: "scatter",
      mode: "lines",
      meta: "k" + (item.place % COLOURS),
      line: { shape: "hvh", width: 2, dash: DASHES[Math.floor(item.place / COLOURS) % DASHES.length] },
      hoverinfo: "none",
      name: S.plotText(item.name),
      x0,
      dx,
      y,
    });
    const padded = (y, before, length) => Array.from({ length }, (_, i) => y[i - before] || 0);
    const names = found.map(([item]) => item.name);
    const columns = ["from", "to", ...names];
    const counts = { title: { text: "tokens" }, rangemode: "tozero" };
    const ticks = Array.from({ length: Math.ceil((high - low) / 4) + 1 }, (_, i) => 4 * (Math.ceil(low / 4) + i)).filter((k) => k <= high);
    const few = ticks.filter((k, i) => i % Math.ceil(ticks.length / 8) === 0);
    return S.figure({
      base: "compare.histogram",
      title: "Non-zero activations, over one axis",
      summary: "Histograms of the non-zero activations of " + names.join(", ") + ".",
      log: "y",
      views: [
        {
          label: "linear bins",
          columns,
          data: found.map((pair, i) => trace(pair, padded(wide[i], 0, most), width / 2, width)),
          layout: { xaxis: { title: { text: "activation" }, rangemode: "tozero" }, yaxis: counts },
        },
        {
          label: "log bins",
          columns,
          octaves: 4,
          data: found.map((pair, i) => trace(pair, padded(octaves[i].y, octaves[i].x0 - low, high - low), low, 1)),
          layout: {
            xaxis: { title: { text: "activation (log scale)" }, tickmode: "array", tickvals: few.map((k) => k - 0.5), ticktext: few.map((k) => S.format.value(2 ** (k / 4))) },
            yaxis: counts,
          },
        },
      ],
    });
  }

  // ---- what the report knows about two of them together
  function* lists(blocks) {
    for (const block of blocks.map(S.merged)) {
      if (block.b === "columns") yield* lists(block.blocks);
      else if (block.b === "latents") yield block;
    }
  }

  function pairs(items) {
    const lines = [];
    const blind = new Set(S.report.panels.filter((panel) => panel.reveals_text).map((panel) => panel.name));
    for (const item of items) {
      for (const [name, blocks] of item.panels) {
        if (item.hidden && blind.has(name)) continue;
        for (const block of lists(blocks)) {
          for (const other of items) {
            const row = other !== item && (block.sae || item.slug) === other.slug && block.rows.find((one) => one[0] === other.latent);
            if (!row) continue;
            const shown = row.slice(2).map((value, i) => {
              const format = S.format[(block.formats || [])[i]] || S.format.value;
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
  function markShared(cells) {
    const where = new Map();
    cells.forEach((cell, i) => {
      for (const code of cell.querySelectorAll("code.tok[title]")) {
        if (!where.has(code.title)) where.set(code.title, { places: new Set(), text: code.textContent });
        where.get(code.title).places.add(i);
      }
    });
    const shared = Array.from(where).filter(([, { places }]) => places.size > 1);
    const names = new Set(shared.map(([name]) => name));
    for (const cell of cells) {
      for (const code of cell.querySelectorAll("code.tok[title]")) code.classList.toggle("shared", names.has(code.title));
    }
    return shared.map(([, { text }]) => text);
  }

  function section(panel, items) {
    const cells = items.map((item) => {
      const cell = el("div", { class: "cell" }, title(item));
      const blocks = item.panels.get(panel.name);
      if (item.hidden && panel.reveals_text) cell.append(el("p", { class: "none" }, "Hidden: it is blinded."));
      else if (!blocks) cell.append(el("p", { class: "none" }, "Not given for this latent."));
      else cell.append(...blocks.map((block) => S.block(block, item.shard, item.record.max, item.hidden)));
      for (const block of cell.querySelectorAll(".block")) if (block.controls) block.prepend(...block.controls);
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
      box.addEventListener("click", (event) => event.target.closest(".linkish, .seg button") && setTimeout(update));
    }
    box.append(el("div", { class: "cells" }, ...cells));
    return box;
  }

  // ---- which panels are shown, in the address
  function asked() {
    const text = new URLSearchParams(S.fragment()).get("panels");
    return new Set(text === null ? FIRST : text.split(","));
  }

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

  S.comparePage = function () {
    const box = document.getElementById("compare");
    const about = Array.from(box.childNodes);
    let drawn = null;

    async function draw() {
      const pins = S.pinned.slice();
      drawn = S.pins;
      // What has the focus is made again: without more, a keyboard would begin at the top.
      const within = box.contains(document.activeElement);
      if (!pins.length) {
        box.replaceChildren(el("p", { class: "absent", role: "status" }, "No latent is pinned."), ...about);
        if (within) document.getElementById("main").focus({ preventScroll: true });
        return;
      }
      const items = await Promise.all(pins.map(known)).catch(() => null);
      if (drawn !== S.pins) return;
      if (!items) {
        const again = el("button", { type: "button" }, "Try again");
        again.addEventListener("click", draw);
        box.replaceChildren(el("p", { class: "absent", role: "status" }, "What the report holds of the pinned latents could not be loaded. ", again));
        if (within) again.focus();
        return;
      }
      const lost = pins.filter((_, i) => !items[i]);
      if (lost.length) {
        S.dropPins(lost);
        return;
      }
      show(items);
      if (within) box.querySelector(".compared").focus({ preventScroll: true });
    }

    function show(items) {
      const held = S.report.panels.filter((panel) => items.some((item) => item.panels.has(panel.name)));
      const chosen = asked();
      const scroller = el("div", { class: "compared", tabindex: "0", role: "region", "aria-label": "Latents side by side" });
      scroller.style.setProperty("--columns", String(items.length));
      const heads = items.map((item) => el("div", { class: "cell" }, ...head(item)));
      const aspects = new Map();
      const place = (name) => {
        const panel = held.find((one) => one.name === name);
        const node = section(panel, items);
        aspects.set(name, node);
        const after = held.slice(held.indexOf(panel) + 1).map((one) => aspects.get(one.name)).find((one) => one && one.isConnected);
        if (after) after.before(node);
        else scroller.append(node);
      };
      const change = (name, wanted) => {
        chosen[wanted ? "add" : "delete"](name);
        if (wanted) place(name);
        else if (aspects.has(name)) aspects.get(name).remove();
        const names = held.map((panel) => panel.name).filter((one) => chosen.has(one));
        const usual = held.map((panel) => panel.name).filter((one) => FIRST.includes(one));
        S.setFragment(names.join() === usual.join() ? "" : "panels=" + names.join(","));
      };
      scroller.append(el("section", { class: "aspect" }, el("h2", { class: "sr" }, "Latents"), el("div", { class: "cells" }, ...heads)));
      const parts = [chooser(held, chosen, change)];
      if (items.length < 2) parts.unshift(el("p", { class: "absent", role: "status" }, "One latent is pinned; pin another to see them side by side."));
      const together = histograms(items);
      if (together) {
        const key = el("ul", { class: "keys-of" }, ...items.map((item) => el("li", {}, swatch(item.place), item.name)));
        together.querySelector("figcaption").after(key);
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
      document.title = "Compare " + items.map((item) => item.name).join(", ") + " · " + S.report.title;
    }

    S.onPins.push(() => {
      if (box.isConnected && S.pins !== drawn) draw();
    });
    self.addEventListener("hashchange", () => {
      if (!box.isConnected) return;
      const now = Array.from(box.querySelectorAll(".panels-shown input:checked"), (check) => check.value).join();
      if (drawn && now !== Array.from(asked()).join()) draw();
    });
    draw();
  };
})();
