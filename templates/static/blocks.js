// Panels: a block's base and its own fields are merged, then shown by its kind.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const areRecords = (value) => Array.isArray(value) && value.length > 0 && value.every(isRecord);

  // As `merge` in saereport/site/blocks.py.
  function merge(under, over) {
    if (isRecord(under) && isRecord(over)) {
      const result = { ...under };
      for (const [key, value] of Object.entries(over)) {
        result[key] = Object.hasOwn(under, key) ? merge(under[key], value) : value;
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

  S.merged = function (block) {
    const whole = block.base ? merge(S.bases.get(block.base) || {}, block) : block;
    if (!whole.alike) return whole;
    const [first, ...others] = whole.views;
    return { ...whole, views: [first, ...others.map((view) => merge(first, view))] };
  };

  function facts(block) {
    const list = el("dl", { class: "kv" });
    block.values.forEach((value, i) => {
      const term = block.names[i];
      const note = block.notes && block.notes[i];
      const detail = el("dd", {}, typeof value === "number" ? S.format.value(value) : value);
      if (note) detail.append(el("small", {}, note));
      list.append(el("div", {}, el("dt", {}, term), detail));
    });
    const box = el("div", { class: "block" });
    if (block.title) box.append(el("h3", {}, block.title));
    const rows = () => block.names.map((name, i) => [name, block.values[i], (block.notes && block.notes[i]) || ""]);
    box.append(S.offer(block.title || "values", () => ({ columns: ["name", "value", "note"], rows: rows() })), list);
    return box;
  }

  const kinds = {
    tokens: S.tokenList,
    latents: S.latentList,
    figure: (block, shard, max, blind) => S.figure(block, null, blind),
    facts,
    examples: S.examples,
    attribution: S.attribution,
    influences: S.influences,
    text: (block) => el("div", { class: "block" }, el("p", {}, block.text)),
    columns: (block, shard, max, blind) => {
      const inside = block.blocks.map((inner) => S.block(inner, shard, max, blind));
      return el("div", { class: "block columns" }, ...inside);
    },
  };

  S.block = function (raw, shard, max, blind) {
    const block = S.merged(raw);
    return Object.hasOwn(kinds, block.b) ? kinds[block.b](block, shard, max, blind) : el("div", {});
  };

  // A latent's panels in order, as one element; blind without those that spoil.
  S.panels = function (record, shard, blind) {
    const known = new Map(S.report.panels.map((panel) => [panel.name, panel]));
    const box = el("div", { class: "panels" });
    for (const [name, blocks] of record.panels) {
      const panel = known.get(name);
      if (!panel || (blind && panel.reveals_text)) continue;
      const header = el("header", {}, el("h2", {}, panel.title));
      const section = el("section", { class: panel.wide ? "panel wide" : "panel" }, header);
      section.dataset.panel = name;
      for (const block of blocks) {
        const node = S.block(block, shard, record.max, blind);
        if (node.controls) header.append(...node.controls);
        section.append(node);
      }
      if (panel.tables.length) {
        const href = S.link("methods.html", panel.tables[0]);
        header.append(el("a", { class: "how", href }, "What is this?"));
      }
      box.append(section);
    }
    // A narrow panel without a neighbour takes the whole row.
    const narrow = Array.from(box.children).filter((node) => !node.classList.contains("wide"));
    if (narrow.length % 2) narrow[narrow.length - 1].classList.add("wide");
    return box;
  };
})();
