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
    const active = (value) => (value === undefined ? "not active" : "activation " + S.format.value(value));
    const by = (value) => (data.name ? active(value) + ", " + data.name : active(value));
    if (data.tokens.length === 1) {
      const [[id, position, value]] = data.tokens;
      return [S.token(id), by(value), "token " + id + " · position " + position];
    }
    // The bytes of a character that is split over several tokens, and what each was.
    const each = data.tokens.map(([id, position, value]) => S.token(id) + " " + by(value) + " · token " + id + " · position " + position);
    return [data.text + ", in " + data.tokens.length + " tokens", ...each];
  }

  // A mark that a token begins with stands on a dotted circle; in running text it joins the letter
  // before it, unless its colour would then have no place.
  const JOINS = /^◌(?=\p{M})/u;

  // Tokens as running text: `eyes` says what each is coloured by.
  function fill(words, ids, low, eyes, own) {
    const parts = [];
    if (low > 0 && !own.whole) parts.push("…");
    let last = "";
    let stop = false;
    S.running(ids).forEach(([first, count, read]) => {
      const tokens = ids.slice(first, first + count).map((id, i) => [id, low + first + i, eyes.active.get(low + first + i)]);
      const values = tokens.map((token) => token[2]).filter((active) => active !== undefined);
      const value = values.length ? Math.max(...values) : undefined;
      const isPeak = !stop && tokens.some((token) => token[1] === own.peak);
      const classes = [];
      if (value !== undefined) classes.push("a" + level(value, eyes.max));
      if (isPeak) classes.push("peak");
      if (S.special.has(tokens[0][0])) classes.push("special");
      if (!own.whole && (low + first + count <= own.start || low + first >= own.stop)) classes.push("far");
      let text = S.prose(read);
      if (value === undefined && last && !last.endsWith(" ")) text = text.replace(JOINS, "");
      last = text;
      // The space before a word stays outside its colour, so that lines break cleanly.
      const word = text.length > 1 && text.startsWith(" ") ? text.slice(1) : text;
      if (word !== text) parts.push(" ");
      const span = el("span", classes.length ? { class: classes.join(" ") } : {}, word);
      info.set(span, { tokens, text: read, name: eyes.name });
      // The peak is reached by keyboard; the bytes of any split character as well.
      if (isPeak || count > 1) span.tabIndex = 0;
      stop = stop || isPeak;
      parts.push(span);
    });
    if (low + ids.length === own.stop) parts.push("…");
    words.replaceChildren(...parts);
  }

  const nameOf = (slug, latent) => (S.saes.get(slug) || { label: slug }).label + " " + latent;

  // A choice among the other latents with an example in this text; `look` is given what one sees.
  function otherEyes(sequence, here, look) {
    const others = S.readersOf(sequence).filter(([slug, latent]) => slug !== here[0] || latent !== here[1]);
    const box = el("div", { class: "also" });
    if (!others.length) return box;
    const select = el("select", { title: "Latents of this report with a stored example in this text: a sample, not all that are active" });
    const fill_ = () => {
      const kept = select.value;
      const options = others.map(([slug, latent], i) => {
        const table = S.tables.get(slug);
        const row = table && table.byLatent.get(latent);
        const gloss = row ? row[5] || S.unpack(row[3]).slice(0, 3).map(S.token).join(" ") : "";
        return el("option", { value: String(i) }, nameOf(slug, latent) + (gloss ? ": " + gloss.slice(0, 60) : ""));
      });
      select.replaceChildren(el("option", { value: "" }, "this latent alone"), ...options);
      select.value = kept;
    };
    fill_();
    const slugs = Array.from(new Set(others.map(([slug]) => slug))).filter((slug) => (S.saes.get(slug) || {}).count <= 2000);
    Promise.all(slugs.map(S.table)).then(fill_, () => {});
    const said = el("span", { class: "seen", role: "status" });
    select.addEventListener("change", async () => {
      said.replaceChildren();
      const [slug, latent] = others[Number(select.value)] || [];
      if (select.value === "") return look(null);
      const record = await S.latentRecord(slug, latent);
      const block = record && (record.panels.find(([name]) => name === "examples") || [])[1];
      const found = block && S.distinct(S.merged(block[0]).groups).find((example) => example[0] === sequence);
      if (!found) return look(null);
      const name = nameOf(slug, latent);
      look({ active: new Map(found[6].map((place, i) => [place, found[7][i]])), max: record.max, name });
      said.append("Coloured by ", el("a", { href: S.href(slug, latent) }, name), legend(record.max));
      return null;
    });
    box.append(el("label", {}, el("span", {}, "Also active here (" + others.length + ", a sample)"), select), said);
    return box;
  }

  // One example as a row, cut as the reader asked; its button shows all that is kept of the text.
  function row([example, folded], max, here) {
    const [sequence, peak, activation, start, text, document_, places, values] = example;
    const window_ = S.unpack(text);
    const own = { peak, start, stop: start + window_.length };
    const mine = { active: new Map(places.map((place, i) => [place, values[i]])), max };
    const words = el("div", { class: "words", dir: "auto" });
    const fold = el("button", { class: "fold", type: "button" });
    fold.title = "Full context";
    fold.setAttribute("aria-label", "Full context");
    const also = el("div", { class: "also-box" });
    let open = S.view.cut === "full";
    let asked = 0;

    async function show(eyes) {
      asked += 1;
      const now = asked;
      fold.setAttribute("aria-expanded", String(open));
      fold.textContent = open ? "▾" : "▸";
      if (!open) also.replaceChildren();
      if (!open && S.view.cut !== "sentence") return fill(words, window_, start, mine, own);
      if (!words.firstChild) fill(words, window_, start, mine, own);
      const ids = await S.sequence(sequence);
      if (now !== asked) return null;
      if (open) {
        fill(words, ids, 0, eyes || mine, own);
        if (!also.firstChild) also.append(otherEyes(sequence, here, show));
        return null;
      }
      const [low, high] = S.sentence(ids, peak);
      return fill(words, ids.slice(low, high), low, mine, { peak, start: low, whole: true });
    }
    fold.addEventListener("click", () => {
      open = !open;
      show(null);
    });
    show(null);
    const where = "doc " + document_ + " · seq " + sequence + ":" + peak + " ";
    const more = folded ? el("span", { class: "folded" }, "+" + folded + " on ", S.code(S.peakToken(example)), " ") : null;
    const end = el("span", { class: "at" }, where);
    return el(
      "li",
      { class: "example" },
      el("span", { class: "value" }, S.format.value(activation)),
      words,
      el("span", { class: "tail" }, more, end, fold),
      also,
    );
  }

  function groupNode(section, max, here) {
    const { group } = section;
    const heading = el("h3", {}, section.title);
    if (group && group.range) {
      const [, , count, share] = group.range;
      const bar = el("i", {});
      bar.style.setProperty("width", 100 * share + "%");
      // Of an imported group only the share of all tokens is known.
      const text = count === null ? S.format.percent(share) + " of all tokens" : S.format.count(count) + " active tokens, " + S.format.percent(share) + " of all";
      heading.append(el("span", {}, text), el("span", { class: "share", "aria-hidden": "true" }, bar));
    }
    const list = el("ul", {});
    const { rows, limit } = section;
    rows.slice(0, limit).forEach((example) => list.append(row(example, max, here)));
    const box = el("section", { class: "group" }, heading, list);
    if (!rows.length) {
      const empty = group && group.range && group.range[2] === 0;
      const why = empty ? "None of its active tokens lies in this range." : group ? "No example was drawn from this range." : "No stored example lies in this range.";
      box.append(el("p", { class: "none" }, why));
    }
    if (rows.length > limit) {
      const more = el("button", { class: "linkish", type: "button" }, "all " + rows.length + " examples");
      more.addEventListener("click", () => {
        const items = rows.slice(limit).map((example) => row(example, max, here));
        list.append(...items);
        more.remove();
        items[0].querySelector(".fold").focus();
      });
      box.append(more);
    }
    return box;
  }

  function legend(max) {
    const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
    for (let i = 0; i < 10; i += 1) ramp.append(el("i", { class: "a" + i }));
    return el("span", { class: "legend" }, "0", ramp, S.format.value(max));
  }

  const KINDS = [
    ["top", "Strongest"],
    ["interval", "By interval"],
    ["quantile", "By quantile"],
  ];

  // Two number fields: the range by keyboard, and what the brush over the histogram chose.
  function rangeFields(max) {
    const field = (name) => el("input", { type: "number", step: "any", min: "0", "aria-label": "Activation " + name, placeholder: name === "from" ? "0" : S.format.value(max) });
    const [low, high] = [field("from"), field("to")];
    const change = () => {
      const ends = [low.value === "" ? 0 : Number(low.value), high.value === "" ? max : Number(high.value)];
      const none = low.value === "" && high.value === "";
      S.changeView({ range: none ? null : [Math.max(0, Math.min(...ends)), Math.max(0, ...ends)] });
    };
    for (const input of [low, high]) input.addEventListener("change", change);
    const box = el("span", { class: "range", role: "group", "aria-label": "Activations" }, el("span", {}, "activation"), low, "–", high);
    box.follow = () => {
      const { range } = S.view;
      low.value = range ? String(range[0]) : "";
      high.value = range ? String(range[1]) : "";
    };
    return box;
  }

  S.examples = function (block, shard, max) {
    const here = [shard.sae, latentOf(block, shard)];
    const byKind = KINDS.map(([kind, label]) => ({
      kind,
      label,
      groups: block.groups.filter((group) => group.group.split(":")[0] === kind),
    })).filter((item) => item.groups.length);
    const all = S.distinct(block.groups);
    const wanted = byKind.findIndex((item) => item.kind === S.remember("examples"));
    let current = wanted < 0 ? 0 : wanted;

    function sections() {
      const { range, unique } = S.view;
      if (!range) {
        const groups = byKind.length ? byKind[current].groups : [];
        return groups.map((group) => ({
          title: name(group),
          group,
          rows: S.foldTokens(group.examples, unique),
          limit: group.group === "top" ? FIRST.top : FIRST.other,
        }));
      }
      const inside = all.filter((example) => example[2] >= range[0] && example[2] <= range[1]);
      const title = "Activation " + range.map(S.format.value).join(" to ");
      return [{ title, group: null, rows: S.foldTokens(inside, unique), limit: FIRST.top }];
    }

    const body = el("div", {});
    const said = el("span", { role: "status" });
    const reset = el("button", { type: "button", class: "linkish" }, "Reset");
    reset.addEventListener("click", () => S.changeView({ range: null, unique: false }));
    const sieve = el("p", { class: "sieve" }, said, " ", reset);
    const box = el("div", { class: "block follows" }, sieve, body);
    const kinds = S.segments(byKind.map((item) => item.label), current, (i) => {
      current = i;
      S.remember("examples", byKind[i].kind);
      show();
    }, "which examples");
    const cuts = S.segments(S.CUTS.map((cut) => cut[0].toUpperCase() + cut.slice(1)), 0, (i) => S.changeView({ cut: S.CUTS[i] }), "how much text");
    const unique = el("button", { type: "button", class: "toggle", title: "The strongest example of each peak token" }, "One per token");
    unique.addEventListener("click", () => S.changeView({ unique: !S.view.unique }));
    const range = rangeFields(max);

    let shown = "";
    function show() {
      const { view } = S;
      const found = sections();
      const rows = found.flatMap((section) => section.rows);
      const stored = view.range ? all.length : rows.reduce((sum, [, folded]) => sum + folded + 1, 0);
      const parts = [rows.length + " of " + stored + " stored examples"];
      if (view.range) parts.push("activation " + view.range.map(S.format.value).join(" to "));
      if (view.unique) parts.push("the strongest of each peak token");
      said.textContent = view.range || view.unique ? parts.join(", ") : "";
      sieve.hidden = !said.textContent;
      kinds.hidden = byKind.length < 2 || Boolean(view.range);
      Array.from(cuts.children).forEach((button, i) => button.setAttribute("aria-pressed", String(S.CUTS[i] === view.cut)));
      unique.setAttribute("aria-pressed", String(view.unique));
      range.follow();
      shown = JSON.stringify(view);
      body.replaceChildren(...found.map((section) => groupNode(section, max, here)));
    }
    box.follow = () => JSON.stringify(S.view) !== shown && show();
    show();

    const columns = ["group", "activation", "peak token", "text", "document", "sequence", "position", "active positions", "activations"];
    const table = () => ({
      columns,
      rows: sections().flatMap((section) =>
        section.rows.map(([example]) => {
          const [sequence, peak, activation, , text, document_, places, values] = example;
          const prose = S.running(S.unpack(text)).map((piece) => S.prose(piece[2])).join("");
          return [section.title, activation, S.token(S.peakToken(example)), prose, document_, sequence, peak, places.join(" "), values.join(" ")];
        }),
      ),
    });
    const own = S.page === "latents" ? range : null;
    box.controls = [kinds, cuts, unique, own, legend(max), S.offer("examples", table)].filter(Boolean);
    return box;
  };

  const latentOf = (block, shard) => {
    const owner = shard.latents.find((item) => item.panels.some(([, blocks]) => blocks.some((inner) => inner.groups === block.groups)));
    return owner ? owner.latent : -1;
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
