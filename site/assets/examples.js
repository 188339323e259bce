// Examples: running text with each token's activation as its background.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const FIRST = { top: 10, other: 4 };
  const info = new WeakMap();
  // What the tooltip says on a token that another panel made.
  S.describe = (token, lines) => info.set(token, { lines });

  function level(activation, max) {
    if (!(max > 0) || !(activation > 0)) return 0;
    return Math.min(9, Math.floor((10 * activation) / max));
  }
  S.level = level;

  function name(group) {
    const [kind, number] = group.group.split(":");
    if (kind === "top") return "Strongest";
    const range = group.range;
    if (!range) return kind + " " + number;
    const { value } = S.format;
    const words = value(range[0]) + " – " + value(range[1]);
    return kind === "quantile" ? "Quantile " + words : "Interval " + words;
  }

  function about(token) {
    const data = info.get(token);
    if (!data || data.lines) return data ? data.lines : null;
    const active = data.value === undefined ? "not active" : "activation " + S.format.value(data.value);
    return [S.token(data.id), active, "token " + data.id + " · position " + data.position];
  }

  // One example as a row. `whole` shows all that is kept of the sequence.
  function row(example, max) {
    const [sequence, peak, activation, start, text, document_, places, values] = example;
    const own = S.unpack(text);
    const stop = start + own.length;
    const active = new Map(places.map((place, i) => [place, values[i]]));
    const words = el("div", { class: "words", dir: "auto" });

    function fill(ids, low) {
      const high = low + ids.length;
      const parts = [];
      if (low > 0) parts.push("…");
      for (let position = low; position < high; position += 1) {
        const id = ids[position - low];
        const value = active.get(position);
        const classes = [];
        if (value !== undefined) classes.push("a" + level(value, max));
        if (position === peak) classes.push("peak");
        if (S.special.has(id)) classes.push("special");
        if (position < start || position >= stop) classes.push("far");
        const text = S.prose(S.token(id));
        // The space before a word stays outside its colour, so that lines break cleanly.
        const word = text.length > 1 && text.startsWith(" ") ? text.slice(1) : text;
        if (word !== text) parts.push(" ");
        const span = el("span", classes.length ? { class: classes.join(" ") } : {}, word);
        info.set(span, { id, position, value });
        if (position === peak) span.tabIndex = 0;
        parts.push(span);
      }
      if (high === stop) parts.push("…");
      words.replaceChildren(...parts);
    }
    fill(own, start);

    const fold = el("button", { class: "fold", type: "button", "aria-expanded": "false" }, "▸");
    fold.setAttribute("aria-label", "Full context");
    fold.title = "Full context";
    fold.addEventListener("click", async () => {
      const open = fold.getAttribute("aria-expanded") === "false";
      fold.setAttribute("aria-expanded", String(open));
      fold.textContent = open ? "▾" : "▸";
      if (open) fill(await S.sequence(sequence), 0);
      else fill(own, start);
    });
    const where = "doc " + document_ + " · seq " + sequence + ":" + peak + " ";
    const end = el("span", { class: "at" }, where);
    return el(
      "li",
      { class: "example" },
      el("span", { class: "value" }, S.format.value(activation)),
      words,
      el("span", {}, end, fold),
    );
  }

  function groupNode(group, max) {
    const heading = el("h3", {}, name(group));
    if (group.range) {
      const [, , count, share] = group.range;
      const bar = el("i", {});
      bar.style.setProperty("width", 100 * share + "%");
      const text = S.format.count(count) + " active tokens, " + S.format.percent(share) + " of all";
      heading.append(el("span", {}, text), el("span", { class: "share", "aria-hidden": "true" }, bar));
    }
    const list = el("ul", {});
    const rows = group.examples;
    const limit = group.group === "top" ? FIRST.top : FIRST.other;
    rows.slice(0, limit).forEach((example) => list.append(row(example, max)));
    const box = el("section", { class: "group" }, heading, list);
    if (!rows.length) box.append(el("p", { class: "none" }, "No example was drawn from this range."));
    if (rows.length > limit) {
      const more = el("button", { class: "linkish", type: "button" }, "all " + rows.length + " examples");
      more.addEventListener("click", () => {
        rows.slice(limit).forEach((example) => list.append(row(example, max)));
        more.remove();
      });
      box.append(more);
    }
    return box;
  }

  function legend(max) {
    const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
    for (let i = 0; i < 10; i += 1) ramp.append(el("i", { class: "a" + i }));
    return el("div", { class: "legend" }, "0", ramp, S.format.value(max));
  }

  const KINDS = [
    ["top", "Strongest"],
    ["interval", "By interval"],
    ["quantile", "By quantile"],
  ];

  S.examples = function (block, shard, max) {
    const byKind = KINDS.map(([kind, label]) => ({
      kind,
      label,
      groups: block.groups.filter((group) => group.group.split(":")[0] === kind),
    })).filter((item) => item.groups.length);
    const body = el("div", {});
    const show = (i) => {
      S.remember("examples", byKind[i].kind);
      body.replaceChildren(...byKind[i].groups.map((group) => groupNode(group, max)));
    };
    const wanted = byKind.findIndex((item) => item.kind === S.remember("examples"));
    const current = wanted < 0 ? 0 : wanted;
    const box = el("div", { class: "block" }, body);
    if (byKind.length) show(current);
    box.controls = [legend(max)];
    if (byKind.length > 1) {
      const labels = byKind.map((item) => item.label);
      box.controls.unshift(S.segments(labels, current, show, "which examples"));
    }
    return box;
  };

  // Tooltips and walking from token to token, for every example on the page.
  S.watchExamples = function () {
    const token = (event) => (event.target instanceof Element ? event.target.closest(".words span") : null);
    document.addEventListener("mouseover", (event) => {
      const span = token(event);
      if (span) S.tip(about(span), event.clientX, event.clientY);
    });
    document.addEventListener("mouseout", (event) => {
      if (token(event)) S.tip(null);
    });
    document.addEventListener("focusin", (event) => {
      const span = token(event);
      if (!span) return S.tip(null);
      const box = span.getBoundingClientRect();
      return S.tip(about(span), box.left, box.bottom - 12);
    });
    document.addEventListener("focusout", () => S.tip(null));
    document.addEventListener("keydown", (event) => {
      const span = token(event);
      if (!span || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
      const next = event.key === "ArrowRight" ? span.nextElementSibling : span.previousElementSibling;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!next) return;
      next.tabIndex = 0;
      if (!span.classList.contains("peak")) span.tabIndex = -1;
      next.focus();
    });
  };
})();
