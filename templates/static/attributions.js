// Top examples decomposed: source tokens by what they add, heads as bars, earlier latents by path.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const WIDTH = 14;
  const HALF = 18;

  function step(value, most) {
    if (!value || !(most > 0)) return "";
    return (value < 0 ? "n" : "p") + Math.max(1, Math.min(5, Math.ceil((5 * Math.abs(value)) / most)));
  }

  const signed = (value) => (value > 0 ? "+" : "") + S.format.value(value);
  const offsetName = (offset) => (offset === 0 ? "the peak" : S.format.value(offset) + " from the peak");

  // Tokens around a peak, coloured by value at their offset. Without text: the offsets alone.
  function words(where, values, most, blind) {
    const box = el("div", { class: "words signed", dir: "auto" });
    const add = (offset, text, name) => {
      const value = values.get(offset);
      const classes = [step(value, most), offset === 0 ? "peak" : "", offset > 0 ? "far" : ""];
      const span = el("span", { class: classes.filter(Boolean).join(" ") }, text);
      if (offset === 0) span.tabIndex = 0;
      S.describe(span, [name, value === undefined ? "nothing listed" : signed(value), offsetName(offset)]);
      box.append(span);
    };
    if (!where) {
      const first = Math.min(0, ...values.keys());
      for (let offset = first; offset <= 0; offset += 1) {
        if (offset > first) box.append(" ");
        add(offset, S.format.value(offset), "token " + S.format.value(offset));
      }
      box.classList.add("ids");
      return box;
    }
    const [, peak, start, window_] = where;
    const ids = S.unpack(window_);
    const before = Array.from(values).filter(([offset]) => peak + offset < start);
    if (before.length) {
      const sum = before.reduce((total, [, value]) => total + value, 0);
      const span = el("span", { class: step(sum, most) }, "…");
      S.describe(span, ["before", signed(sum), "all tokens before this"]);
      box.append(span, " ");
    } else if (start > 0) box.append("… ");
    ids.forEach((id, i) => {
      const offset = start + i - peak;
      if (blind) {
        if (i) box.append(" ");
        add(offset, "#" + id, "#" + id);
        return;
      }
      const text = S.prose(S.token(id));
      const word = text.length > 1 && text.startsWith(" ") ? text.slice(1) : text;
      if (word !== text) box.append(" ");
      add(offset, word, S.token(id));
    });
    if (blind) box.classList.add("ids");
    return box;
  }

  const headName = (layer, head) => "L" + layer + "H" + head;

  // Bars up and down from a line, one for each head.
  function headBars(values, layer, most) {
    const bar = (value, i) => {
      const height = (HALF * Math.abs(value)) / most;
      const end = value < 0 ? "v" + height.toFixed(1) : "v-" + height.toFixed(1);
      const back = value < 0 ? "v-" + height.toFixed(1) : "v" + height.toFixed(1);
      return "M" + (i * WIDTH + 2) + " " + HALF + end + "h" + (WIDTH - 4) + back + "z";
    };
    const some = (wanted) => values.map((value, i) => (wanted(value) ? bar(value, i) : "")).join("");
    const about = values.map((value, i) => headName(layer, i) + " " + signed(value)).join(", ");
    const graph = S.svg(some((value) => value > 0), values.length * WIDTH, 2 * HALF, about);
    graph.firstChild.setAttribute("class", "up");
    for (const [name, path] of [["down", some((value) => value < 0)], ["zero", "M0 " + HALF + "h" + values.length * WIDTH]]) {
      const line = graph.firstChild.cloneNode();
      line.setAttribute("class", name);
      line.setAttribute("d", path);
      graph.append(line);
    }
    const best = values.reduce((top, value, i) => (Math.abs(value) > Math.abs(values[top]) ? i : top), 0);
    const caption = el("small", {}, headName(layer, best) + " " + signed(values[best]));
    const box = el("div", { class: "head-bars" }, graph, caption);
    graph.addEventListener("mousemove", (event) => {
      const place = graph.getBoundingClientRect();
      const i = Math.floor(((event.clientX - place.left) / place.width) * values.length);
      if (values[i] !== undefined) S.tip([headName(layer, i), signed(values[i])], event.clientX, event.clientY);
    });
    graph.addEventListener("mouseleave", () => S.tip(null));
    return box;
  }

  function grid(columns, rows) {
    const row = (cells, tag) => el("tr", {}, ...cells.map((cell, i) => el(i ? tag : "th", {}, cell)));
    const table = el("table", { class: "grid" }, el("thead", {}, row(columns, "th")));
    table.append(el("tbody", {}, ...rows.map((cells) => row(cells, "td"))));
    return el("details", {}, el("summary", {}, "Table"), el("div", { class: "scroll" }, table));
  }

  const most = (numbers) => Math.max(1e-12, ...numbers.map(Math.abs));

  S.attribution = function (block, shard, max, blind) {
    const list = el("ul", {});
    const { value } = S.format;
    const scale = most(block.examples.flatMap((row) => row[5]));
    const heads = most(block.examples.flatMap((row) => row[3]));
    const rows = [];
    block.examples.forEach(([activation, total, rest, byHead, first, sources, where], i) => {
      const values = new Map(sources.map((number, k) => [first + k, number]));
      rows.push([String(i + 1), value(activation), value(total), value(rest), ...byHead.map(value)]);
      const side = el("span", { class: "value" }, value(activation));
      const item = el("li", { class: "example apart" }, side, words(where, values, scale, blind));
      item.append(headBars(byHead, block.layer, heads));
      list.append(item);
    });
    const names = (block.examples[0] || [0, 0, 0, []])[3].map((_, i) => headName(block.layer, i));
    const columns = ["example", "activation", "pre-activation", "bias", ...names];
    const table = grid(columns, rows);
    const box = el("div", { class: "block" }, el("p", {}, block.note), list, table);
    const data = () => ({
      columns: [...columns, "first source, from the peak", "sources"],
      rows: block.examples.map(([activation, total, rest, byHead, first, sources], i) => [i + 1, activation, total, rest, ...byHead, first, sources.join(" ")]),
    });
    box.controls = [S.divergingLegend(scale), S.offer("attribution by head", data)];
    return box;
  };

  function earlier(slug, latent, inside, blind) {
    const sae = S.saes.get(slug);
    const label = sae ? sae.label : slug;
    const node = el("span", {}, label + " ");
    const href = inside ? S.href(slug, latent) : null;
    node.append(href ? el("a", { href }, String(latent)) : el("span", { class: "absent" }, String(latent)));
    if (href && !blind)
      S.whenSeen(node, async () => {
        const rows = await S.table(slug);
        const row = rows && rows.byLatent.get(latent);
        if (row) node.append(S.gloss(row));
      });
    return node;
  }

  function influenceTable(block, rows, blind) {
    const head = ["earlier latent", "path", "token", "influence"];
    const body = el("tbody", {});
    const widest = most(rows.map((row) => row[7]));
    for (const [place, latent, inside, layer, number, source, token, value] of rows) {
      const cell = el("td", { class: "lead-value" }, signed(value));
      const line = el("i", { class: value < 0 ? "neg" : "" });
      line.style.setProperty("width", (72 * Math.abs(value)) / widest + "%");
      cell.append(line);
      const shown = () => (blind ? el("code", { class: "tok" }, "#" + token) : S.code(token));
      const text = token < 0 ? null : shown();
      const path = layer < 0 ? "direct" : headName(layer, number);
      const at = el("small", {}, source === 0 ? " peak" : " " + S.format.value(source));
      const from = el("td", {}, earlier(block.saes[place], latent, inside, blind));
      body.append(el("tr", {}, from, el("td", {}, path), el("td", {}, text, at), cell));
    }
    const titles = el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)));
    const table = el("table", { class: "list paths" }, el("thead", {}, titles), body);
    return el("div", { class: "scroll-x" }, table);
  }

  S.influences = function (block, shard, max, blind) {
    const inside = el("div", {});
    const show = (i) => {
      const [activation, where, rows] = block.examples[i];
      const values = new Map();
      rows.forEach((row) => values.set(row[5], (values.get(row[5]) || 0) + row[7]));
      const side = activation === null ? "" : S.format.value(activation);
      const line = words(where, values, most(Array.from(values.values())), blind);
      const example = el("div", { class: "example apart" }, el("span", { class: "value" }, side), line);
      inside.replaceChildren(example, influenceTable(block, rows, blind));
    };
    const heading = el("div", { class: "choose" }, el("h3", {}, block.title));
    if (block.examples.length > 1) {
      const labels = block.examples.map((_, i) => String(i + 1));
      heading.append(S.segments(labels, 0, show, "which example"));
    }
    show(0);
    const data = () => ({
      columns: ["example", "SAE", "latent", "path", "source, from the peak", "token", "influence"],
      rows: block.examples.flatMap(([, , rows], i) =>
        rows.map(([place, latent, , layer, number, source, token, value]) => {
          const word = token < 0 ? "" : blind ? "#" + token : S.token(token);
          return [i + 1, block.saes[place], latent, layer < 0 ? "direct" : headName(layer, number), source, word, value];
        }),
      ),
    });
    return el("div", { class: "block" }, S.offer(block.title || "influences", data), heading, inside);
  };
})();
