// Stars, labels and notes of the reader, kept in this browser; a file takes them elsewhere.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const LIMIT = { label: 300, note: 10000, source: 80, bytes: 5e6, lines: 50000 };
  // Characters that are not seen, or that turn the text around them.
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
  const NOTHING = Object.freeze({ star: false, label: "", note: "", source: "" });
  const STAR = "M8 1.2l2.1 4.4 4.8.6-3.5 3.3.9 4.8L8 11.9l-4.3 2.4.9-4.8L1.1 6.2l4.8-.6z";
  const PIN = "M5 1.5h6v1.8L9.9 4.4v2.8l2.7 2.6v1.2H8.6v4H7.4v-4h-4V9.8l2.7-2.6V4.4L5 3.3z";
  const books = new Map();
  // What this browser refused to keep, for want of room.
  const unkept = new Map();

  // ---- shared with hypotheses
  // Everything that this browser remembers under names that begin so.
  S.remembered = function (start) {
    const full = "saereport-" + start;
    try {
      return Object.keys(self.localStorage)
        .filter((key) => key.startsWith(full))
        .map((key) => [key.slice(full.length), self.localStorage.getItem(key)]);
    } catch (error) {
      return [];
    }
  };

  // Labels in the form that `saereport --explanations` reads: JSON lines.
  S.explanationLines = (rows) =>
    rows.slice().sort((a, b) => a.index - b.index).map((row) => JSON.stringify(row) + "\n").join("");

  S.saveLines = (name, text) => S.save(name, "application/x-ndjson", text);

  // ---- what is kept
  const text = (value, most) =>
    typeof value === "string" ? value.replace(/\r\n?/g, "\n").replace(UNSEEN, "").slice(0, most) : "";
  const line = (value, most) => text(value, most).replace(/\s+/g, " ");
  const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  function clean(value) {
    if (!isRecord(value)) return NOTHING;
    return {
      star: value.star === true,
      label: line(value.label, LIMIT.label),
      note: text(value.note, LIMIT.note),
      source: line(value.source, LIMIT.source),
    };
  }
  const isNothing = (entry) => !entry.star && !entry.label.trim() && !entry.note.trim();
  const start = (slug) => "note-" + S.report.fingerprint + "-" + slug + "-";

  function parsed(json) {
    try {
      return JSON.parse(json);
    } catch (error) {
      return null;
    }
  }

  function book(slug) {
    if (!books.has(slug)) {
      const pages = new Map();
      for (const [latent, json] of S.remembered(start(slug))) {
        if (!/^\d{1,15}$/.test(latent)) continue;
        const entry = clean(parsed(json));
        if (!isNothing(entry)) pages.set(Number(latent), entry);
      }
      books.set(slug, pages);
    }
    return books.get(slug);
  }

  const N = {
    // Whether this browser keeps all that is written; known after the first try.
    kept: true,
    changed: [],
    of: (slug, latent) => book(slug).get(latent) || NOTHING,
    all: (slug) => Array.from(book(slug)).sort((a, b) => a[0] - b[0]),
  };
  S.notes = N;

  function put(slug, latent, entry) {
    const key = start(slug) + latent;
    if (isNothing(entry)) {
      unkept.delete(key);
      N.kept = !unkept.size;
      book(slug).delete(latent);
      S.remember(key, null);
      return;
    }
    book(slug).set(latent, entry);
    const json = JSON.stringify(entry);
    S.remember(key, json);
    if (S.remember(key) === json) unkept.delete(key);
    else unkept.set(key, [slug, latent, entry]);
    N.kept = !unkept.size;
  }

  const tell = () => N.changed.forEach((changed) => changed());
  // What this browser keeps, read again; what it refused stays, and may have room now.
  function reread() {
    books.clear();
    Array.from(unkept.values()).forEach((item) => put(...item));
    tell();
  }

  N.set = function (slug, latent, change) {
    put(slug, latent, clean({ ...N.of(slug, latent), ...change }));
    tell();
  };

  // What a reader wrote about a latent that is blinded stays hidden with the rest.
  N.label = (slug, row) => (row[9] && !S.revealed(slug, row[0]) ? "" : N.of(slug, row[0]).label.trim());

  // ---- files
  function records(slug) {
    return N.all(slug).map(([index, entry]) => ({
      index,
      ...(entry.label.trim() ? { description: entry.label.trim() } : {}),
      source: entry.source || "reader",
      sae: slug,
      ...(entry.star ? { star: true } : {}),
      ...(entry.note.trim() ? { note: entry.note } : {}),
    }));
  }
  N.lines = (slugs) => slugs.map((slug) => S.explanationLines(records(slug))).join("");

  // The notes in a file, those about latents that are not here, and the lines that make no sense.
  function understood(content) {
    const found = new Map();
    let elsewhere = 0;
    let strange = 0;
    const own = S.sae || (S.saes.size === 1 ? Array.from(S.saes.keys())[0] : "");
    for (const json of content.replace(/^\ufeff/, "").split("\n")) {
      if (!json.trim()) continue;
      const row = parsed(json);
      if (!isRecord(row) || !Number.isSafeInteger(row.index) || row.index < 0) {
        strange += 1;
        continue;
      }
      const slug = typeof row.sae === "string" ? row.sae : own;
      const entry = clean({ ...row, label: row.description });
      if (entry.source === "reader") entry.source = "";
      if (!S.saes.has(slug) || !S.href(slug, row.index)) elsewhere += 1;
      else if (!isNothing(entry)) found.set(slug + "." + row.index, [slug, row.index, entry]);
    }
    return { found: Array.from(found.values()), elsewhere, strange };
  }

  const counted = (n, what) => S.format.count(n) + " " + what + (n === 1 ? "" : "s");

  // The controls under a table or on the front page: how much there is, out, and in.
  function controls(box) {
    const summary = el("p", { class: "kept" });
    const said = el("p", { class: "kept", role: "status" });
    const choice = el("div", { class: "row" });
    const button = (label, action) => {
      const node = el("button", { type: "button" }, label);
      node.addEventListener("click", action);
      return node;
    };
    const every = Array.from(S.saes.keys());
    const out = (label, slugs, name) => {
      const node = button(label, () => S.saveLines(name, N.lines(slugs)));
      node.dataset.slugs = slugs.join(",");
      return node;
    };
    const outs = [];
    if (S.sae) outs.push(out("Export notes", [S.sae], "notes-" + S.sae + ".jsonl"));
    if (!S.sae || every.length > 1) outs.push(out("Export all SAEs' notes", every, "notes.jsonl"));
    const file = el("input", { type: "file", id: "notes-file", class: "sr", accept: ".jsonl,.json,.txt", tabindex: "-1", "aria-label": "File of notes" });
    const bring = button("Import notes", () => file.click());

    function update() {
      const notes = (S.sae ? [S.sae] : every).flatMap(N.all).map((pair) => pair[1]);
      const labels = notes.filter((entry) => entry.label.trim()).length;
      summary.textContent = notes.length
        ? counted(notes.filter((entry) => entry.star).length, "star") + ", " + counted(labels, "label") + ", " +
          counted(notes.filter((entry) => entry.note.trim()).length, "note") + ". " +
          (N.kept ? "Kept in this browser only." : "This browser keeps nothing: export them before you leave the page.")
        : "Star latents, label them and write notes on their pages. They stay in this browser until you export them.";
      for (const node of outs) node.disabled = !node.dataset.slugs.split(",").some((slug) => book(slug).size);
    }

    function take({ found, elsewhere, strange }) {
      const clashes = found.filter(([slug, latent]) => book(slug).has(latent)).length;
      const rest =
        (elsewhere ? " " + counted(elsewhere, "line") + " about latents that this report does not show." : "") +
        (strange ? " " + counted(strange, "line") + " that are not notes." : "");
      const finish = (replace) => {
        const taken = found.filter(([slug, latent]) => replace || !book(slug).has(latent));
        taken.forEach((item) => put(...item));
        choice.replaceChildren();
        said.textContent = "Took " + counted(taken.length, "latent") + "." + rest;
        tell();
        bring.focus();
      };
      if (!clashes) return finish(true);
      said.textContent = counted(found.length, "latent") + " in the file; " + S.format.count(clashes) + " of them you have notes on." + rest;
      const cancel = () => {
        choice.replaceChildren();
        said.textContent = "Nothing was taken.";
        bring.focus();
      };
      choice.replaceChildren(
        button("Replace mine", () => finish(true)),
        button("Keep mine", () => finish(false)),
        button("Cancel", cancel),
      );
      choice.firstChild.focus();
      return undefined;
    }

    file.addEventListener("change", async () => {
      const [chosen] = file.files;
      choice.replaceChildren();
      said.textContent = "";
      if (!chosen) return;
      let content = "";
      try {
        if (chosen.size <= LIMIT.bytes) content = await chosen.text();
      } catch (error) {
        // A file that went away: there is nothing in it.
      }
      file.value = "";
      if (chosen.size > LIMIT.bytes) said.textContent = "The file is larger than 5 MB, so it is not taken.";
      else if (content.split("\n", LIMIT.lines + 1).length > LIMIT.lines) said.textContent = "The file has more than 50,000 lines, so it is not taken.";
      else {
        const result = understood(content);
        if (result.found.length || result.elsewhere) take(result);
        else said.textContent = "The file holds no notes: one JSON object a line, with index and description.";
      }
    });
    N.changed.push(update);
    update();
    box.append(summary, el("div", { class: "row" }, ...outs, bring, file), said, choice);
  }

  S.notesSection = function () {
    const box = document.getElementById("notes");
    if (box) controls(box);
  };

  // ---- marks: a star and a pin, wherever a latent is named
  const MARKS = {
    star: { word: "Star", key: "s", path: STAR, on: (slug, latent) => N.of(slug, latent).star },
    pin: { word: "Pin", key: "p", path: PIN, on: (slug, latent) => S.isPinned(slug, latent) },
  };
  const ACTIONS = {
    star: (slug, latent) => N.set(slug, latent, { star: !N.of(slug, latent).star }),
    pin: (slug, latent) => S.togglePin(slug, latent),
  };
  S.mark = (what, slug, latent) => ACTIONS[what](slug, latent);

  S.marks = function (slug, latent, words) {
    const box = el("span", { class: words ? "marks" : "marks small" });
    for (const [what, { word, key, path, on }] of Object.entries(MARKS)) {
      const button = el("button", {
        type: "button",
        class: "mark-" + what,
        "aria-pressed": String(on(slug, latent)),
        "aria-label": word + " latent " + latent,
        title: word + " (" + key + ")",
        ...(words ? { "aria-keyshortcuts": key } : {}),
      });
      button.append(S.svg(path, 16, 16));
      if (words) button.append(el("span", { "aria-hidden": "true" }, word));
      Object.assign(button.dataset, { mark: what, slug, latent });
      button.addEventListener("click", () => S.mark(what, slug, latent));
      box.append(button);
    }
    return box;
  };

  function freshen() {
    for (const button of document.querySelectorAll("[data-mark]")) {
      const { mark, slug, latent } = button.dataset;
      button.setAttribute("aria-pressed", String(MARKS[mark].on(slug, Number(latent))));
    }
  }
  N.changed.push(freshen);
  S.onPins.push(freshen);
  self.addEventListener("storage", reread);
  self.addEventListener("pageshow", (event) => event.persisted && reread());

  // ---- on a latent's page
  const boxes = new WeakMap();

  function make(article, latent) {
    const slug = S.sae;
    article.querySelector(":scope > header").append(S.marks(slug, latent, true));
    const label = el("input", { type: "text", id: "label-" + latent, autocomplete: "off", maxlength: LIMIT.label });
    const area = el("textarea", { id: "note-" + latent, rows: "3", maxlength: LIMIT.note, spellcheck: "true", "aria-keyshortcuts": "n" });
    const own = el("bdi", { class: "own" });
    const said = el("span", { class: "kept", role: "status" });
    const save = el("button", { type: "button" }, "Export notes");
    save.title = "Your notes on latents of this SAE, as a file of explanations";
    save.addEventListener("click", () => S.saveLines("notes-" + slug + ".jsonl", N.lines([slug])));
    const show = () => {
      const entry = N.of(slug, latent);
      if (label.value.trim() !== entry.label.trim()) label.value = entry.label;
      if (area.value.trim() !== entry.note.trim()) area.value = entry.note;
      own.textContent = [entry.label.trim(), line(entry.note, 100).trim()].filter(Boolean).join(" · ");
      save.disabled = !N.all(slug).length;
      said.textContent = isNothing(entry)
        ? "A label comes back with the next build as an explanation."
        : N.kept ? "Kept in this browser only" : "This browser keeps nothing: export it";
    };
    label.addEventListener("input", () => N.set(slug, latent, { label: label.value, source: "" }));
    area.addEventListener("input", () => N.set(slug, latent, { note: area.value }));
    N.changed.push(show);
    show();
    const box = el(
      "details",
      { class: "notes" },
      el("summary", {}, "Your label and note", own),
      el(
        "div",
        { class: "notes-fields" },
        el("label", { for: label.id }, "Label"),
        label,
        el("label", { for: area.id }, "Note"),
        area,
        el("div", { class: "row" }, said, save),
      ),
    );
    article.querySelector(".story").after(box);
    return box;
  }

  S.onLatent.push((article, latent, hidden) => {
    if (!boxes.has(article)) boxes.set(article, make(article, latent));
    boxes.get(article).hidden = hidden;
  });

  S.writeNote = function () {
    const box = document.querySelector("article.current > .notes:not([hidden])");
    if (!box) return;
    box.open = true;
    box.querySelector("textarea").focus();
  };
})();
