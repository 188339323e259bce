// Where everything in a graph goes: a column for each token, a row for each layer's SAE, the tokens
// at the bottom and the logits on top. Equal graphs have equal pictures.
"use strict";
(function () {
  const S = self.saereport;
  const MEANINGS_UP_TO = 36;
  const NUMBERED = 14;
  const LINE = 150;
  const GAP = 6;
  const LOW = { main: 20, bare: 2 };

  const pen = document.createElement("canvas").getContext("2d");
  function width(text, size) {
    pen.font = size + "px sans-serif";
    return pen.measureText(text).width;
  }
  // A text cut to a width in pixels.
  S.fit = function (text, most, size) {
    if (width(text, size) <= most) return text;
    const letters = Array.from(text);
    while (letters.length > 1 && width(letters.join("") + "…", size) > most) letters.pop();
    return letters.join("") + "…";
  };

  // Nodes and supernodes: what is drawn as one thing.
  function itemsOf(model, state) {
    const { short, meaning } = S.graphNames;
    const grouped = new Set(state.groups.flatMap((group) => group.members));
    const latents = model.nodes.filter((node) => node.kind === "latent");
    // Where there are many latents, the picture is small: only the strongest are labelled, in large.
    const few = latents.length <= MEANINGS_UP_TO;
    const numbered = new Set(few ? [] : latents.sort((a, b) => b.reach - a.reach).slice(0, NUMBERED));
    const items = [];
    for (const node of model.nodes) {
      if (grouped.has(node.place)) continue;
      const item = { node, group: null, members: [node], kind: node.kind, text: "", w: 20, h: 20, k: 1 };
      if (node.kind === "logit") {
        item.text = S.fit(short(model, node), 120, 11);
        item.w = width(item.text, 11) + 18;
        item.h = 24;
      } else if (node.kind === "latent") {
        item.r = 4.5 + 4.5 * Math.max(0, 1 - node.influence);
        item.h = 22;
        if (numbered.has(node)) {
          item.text = String(node.latent);
          item.large = true;
          item.w = width(item.text, 17) + 12;
          item.h = 42;
        } else if (few) {
          item.text = S.fit(meaning(node) || String(node.latent), 104, 9.5);
          item.w = Math.max(30, width(item.text, 9.5) + 10);
          item.h = 36;
        }
      } else if (node.kind === "error") {
        item.w = 15;
        item.h = 13;
      } else item.w = item.h = 16;
      items.push(item);
    }
    for (const group of state.groups) {
      const members = group.members.map((place) => model.nodes[place]);
      const size = few ? 11.5 : 17;
      const text = S.fit(group.name, 15 * size, size) + " (" + members.length + ")";
      items.push({ node: null, group, members, kind: "group", text, large: !few, w: width(text, size) + 28, h: few ? 28 : 34, k: 1 });
    }
    return items;
  }

  function rowKey(node) {
    if (node.kind === "embedding") return [-1, 0];
    if (node.kind === "logit") return [1e9, 0];
    return [node.layer, node.sae];
  }

  function rowsOf(model, items) {
    const rows = new Map();
    for (const node of model.nodes) {
      const key = rowKey(node);
      if (!rows.has(key.join())) rows.set(key.join(), { key, cells: new Map(), main: false, used: false });
    }
    const sorted = Array.from(rows.values()).sort((a, b) => a.key[0] - b.key[0] || a.key[1] - b.key[1]);
    sorted.forEach((row, i) => (row.place = i));
    const mean = (values) => Math.round(values.reduce((a, b) => a + b, 0) / values.length);
    for (const item of items) {
      const places = item.members.map((node) => rows.get(rowKey(node).join()).place);
      const row = sorted[mean(places)];
      item.column = mean(item.members.map((node) => node.position));
      row.used = true;
      if (item.kind !== "error") row.main = true;
      if (!row.cells.has(item.column)) row.cells.set(item.column, []);
      row.cells.get(item.column).push(item);
      item.row = row;
    }
    return sorted.filter((row) => row.used);
  }

  // Lines of items no wider than asked, or than the widest item.
  function lines(items, most) {
    const result = [];
    let line = null;
    for (const item of items) {
      if (!line || line.w + GAP + item.w > most) {
        line = { items: [], w: -GAP, h: 0 };
        result.push(line);
      }
      line.items.push(item);
      line.w += item.w + GAP;
      line.h = Math.max(line.h, item.h);
    }
    return result;
  }

  const high = (cell) => cell.lines.reduce((h, line) => h + line.h + 2, 0);
  const heightOf = (row) => Math.max(...Array.from(row.cells.values(), (cell) => (cell.lines ? high(cell) : 24)));

  function order(a, b) {
    const rank = { group: 0, logit: 1, latent: 1, embedding: 1, error: 2 };
    if (rank[a.kind] !== rank[b.kind]) return rank[a.kind] - rank[b.kind];
    if (a.kind === "logit") return b.node.probability - a.node.probability || a.node.place - b.node.place;
    return a.members[0].place - b.members[0].place;
  }

  // Items with x and y (their centres), the rows, the columns, and the size of the whole.
  S.graphLayout = function (model, state, space) {
    const items = itemsOf(model, state).filter((item) => state.errors || item.kind !== "error");
    const rows = rowsOf(model, items);
    const columns = model.record.tokens.map(() => ({ w: 40, busy: false }));
    for (const row of rows) {
      for (const [column, cell] of row.cells) {
        cell.sort(order);
        if (row.key[0] === 1e9) continue;
        const total = cell.reduce((sum, item) => sum + item.w + GAP, 0);
        const most = total <= LINE ? LINE : Math.max(90, total / Math.ceil(total / LINE) + 12);
        const made = lines(cell, most);
        cell.lines = made;
        const widest = Math.max(...made.map((line) => line.w));
        columns[column].w = Math.max(columns[column].w, widest + 18);
        if (row.key[0] !== -1) columns[column].busy = true;
      }
    }
    // What is higher than the space is drawn smaller, which leaves room at the sides; what is wider
    // leaves room above. What has to be read is drawn larger to make up for it.
    const shrunk = (ratio) => Math.min(Math.max(1, ratio), 1 / space.least);
    const least = rows.reduce((sum, row) => sum + heightOf(row) + (row.main ? LOW.main : LOW.bare), 0);
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
    for (const item of items) {
      if (item.kind !== "logit") continue;
      item.k = Math.min(1.7, wide);
      item.w *= item.k;
      item.h *= item.k;
    }
    for (const row of rows) {
      if (row.key[0] === 1e9) for (const cell of row.cells.values()) cell.lines = lines(cell, W - 12);
      row.h = heightOf(row);
    }
    const inner = rows.reduce((sum, row) => sum + row.h, 0);
    const main = rows.filter((row) => row.main).length;
    const spare = Math.max(0, space.h * wide - inner - LOW.bare * (rows.length - main)) / Math.max(1, main);
    let y = 8;
    for (const row of rows.slice().reverse()) {
      const pad = row.main ? Math.min(110, Math.max(LOW.main, spare)) : LOW.bare;
      row.y = y;
      row.full = row.h + pad;
      row.middle = y + row.full / 2;
      y += row.full;
      for (const [column, cell] of row.cells) {
        let top = row.middle - high(cell) / 2;
        for (const line of cell.lines) {
          const own = columns[column];
          let left = row.key[0] === 1e9 ? W - 8 - line.w : own.x + (own.w - line.w) / 2;
          for (const item of line.items) {
            item.x = left + item.w / 2;
            item.y = top + line.h / 2;
            left += item.w + GAP;
          }
          top += line.h + 2;
        }
      }
    }
    const of = new Map();
    items.forEach((item) => item.members.forEach((node) => of.set(node.place, item)));
    return { items, rows, columns, W, H: y + 4, of, edges: edgesOf(model, of) };
  };

  // Links between what is drawn; the links of a supernode's members are added up.
  function edgesOf(model, of) {
    const edges = new Map();
    const places = new Map();
    const numbered = (item) => places.get(item) ?? (places.set(item, places.size), places.size - 1);
    for (const link of model.strongest) {
      const source = of.get(link.source.place);
      const target = of.get(link.target.place);
      if (!source || !target || source === target) continue;
      const key = numbered(source) + " " + numbered(target);
      const edge = edges.get(key);
      const score = Math.sign(link.weight) * link.score;
      if (edge) {
        edge.weight += link.weight;
        edge.score += score;
      } else edges.set(key, { source, target, weight: link.weight, score });
    }
    const sorted = Array.from(edges.values());
    for (const edge of sorted) edge.score = Math.abs(edge.score);
    sorted.sort((a, b) => b.score - a.score);
    sorted.forEach((edge, rank) => (edge.rank = rank));
    return sorted;
  }
})();
