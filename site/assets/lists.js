// Lists of tokens and of latents, and the one tooltip.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const SHORT = self.matchMedia("(max-width: 47.5em)").matches ? 6 : 10;

  // ---- tooltip: lines of text near a point
  let tip = null;
  S.tip = function (lines, x, y) {
    if (!tip) {
      tip = el("div", { class: "tip", role: "tooltip", hidden: "" });
      document.body.append(tip);
    }
    if (!lines) {
      tip.hidden = true;
      return;
    }
    tip.replaceChildren(
      ...lines.map((line, i) => (i === 0 ? el("b", {}, line) : el("div", {}, line))),
    );
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.max(4, Math.min(x + 12, self.innerWidth - box.width - 8));
    const top = y + 18 + box.height > self.innerHeight ? y - box.height - 10 : y + 18;
    tip.style.setProperty("left", left + "px");
    tip.style.setProperty("top", Math.max(4, top) + "px");
  };

  // ---- a table with the item first and values behind it
  function table(block, first, items) {
    const formats = block.formats || [];
    const head = el("tr", {}, el("th", { scope: "col" }, first));
    (block.columns || []).forEach((name) => head.append(el("th", { scope: "col" }, name)));
    const body = el("tbody", {});
    const bar = block.bar;
    const most = Math.max(...items.map((item) => Math.abs(item.values[bar] || 0)), 1e-12);
    const rows = items.map((item) => {
      const row = el("tr", {}, el("td", {}, item.node));
      item.values.forEach((value, i) => {
        const format = S.format[formats[i]] || S.format.value;
        const cell = el("td", i === bar ? { class: "lead-value" } : {}, format(value));
        if (i === bar) {
          const line = el("i", { class: value < 0 ? "neg" : "" });
          line.style.setProperty("width", (72 * Math.abs(value)) / most + "%");
          cell.append(line);
        }
        row.append(cell);
      });
      return row;
    });
    body.append(...rows);
    if (rows.length > SHORT + 2) {
      rows.slice(SHORT).forEach((row) => (row.hidden = true));
      const more = el("tr", { class: "more" });
      const label = "all " + rows.length;
      const button = el("button", { class: "linkish", type: "button" }, label);
      button.addEventListener("click", () => {
        rows.forEach((row) => (row.hidden = false));
        more.remove();
      });
      more.append(el("td", { colspan: 1 + (block.columns || []).length }, button));
      body.append(more);
    }
    return el("table", { class: "list" }, el("thead", {}, head), body);
  }

  S.code = (id) => el("code", { class: "tok", title: "token " + id }, S.token(id));

  S.tokenList = function (block) {
    const items = block.rows.map(([id, ...values]) => ({ node: S.code(id), values }));
    const data = () => ({
      columns: ["token", "token id", ...(block.columns || [])],
      rows: block.rows.map(([id, ...values]) => [S.token(id), id, ...values]),
    });
    return titled(block, table(block, "token", items), data);
  };

  // A latent in words: its explanation, or the tokens that it is active on.
  S.gloss = function (row) {
    const gloss = el("span", { class: "gloss" });
    if (row[9]) gloss.append(S.blindMark());
    else if (row[5]) gloss.append(row[5]);
    else
      S.unpack(row[3]).slice(0, 3).forEach((id) => gloss.append(el("code", {}, S.token(id)), " "));
    return gloss;
  };

  S.latentList = function (block, shard, max, blind) {
    const slug = block.sae || (shard ? shard.sae : S.sae);
    const sae = S.saes.get(slug);
    const waiting = [];
    const items = block.rows.map(([latent, inside, ...values]) => {
      const node = el("span", {});
      if (inside) {
        node.append(el("a", { href: S.href(slug, latent) || "#" }, String(latent)));
        waiting.push([latent, node]);
      } else if (sae && sae.neuronpedia) {
        const href = sae.neuronpedia + "/" + latent;
        node.append(el("a", { href, rel: "noreferrer", title: "on Neuronpedia" }, latent + " ↗"));
      } else {
        const title = "not shown in this report";
        node.append(el("span", { class: "absent", title }, String(latent)));
      }
      return { node, values };
    });
    const data = () => ({
      columns: ["SAE", "latent", ...(block.columns || [])],
      rows: block.rows.map(([latent, , ...values]) => [slug, latent, ...values]),
    });
    const list = titled(block, table(block, "latent", items), data);
    if (waiting.length && !blind)
      S.whenSeen(list, async () => {
        const rows = await S.table(slug);
        for (const [latent, node] of waiting) {
          const row = rows && rows.byLatent.get(latent);
          if (row) node.append(S.gloss(row));
        }
      });
    return list;
  };

  function titled(block, content, data) {
    const box = el("div", { class: "block" });
    if (block.title) box.append(el("h3", {}, block.title));
    if (!block.rows.length) box.append(el("p", { class: "none" }, "none"));
    else box.append(S.offer(block.title || "list", data), el("div", { class: "scroll-x" }, content));
    return box;
  }

  // ---- do something when an element comes near the window
  const seen = new WeakMap();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        const action = seen.get(entry.target);
        seen.delete(entry.target);
        if (action) Promise.resolve(action()).catch(() => {});
      }
    },
    { rootMargin: "240px" },
  );
  S.whenSeen = function (node, action) {
    seen.set(node, action);
    observer.observe(node);
  };
  // When the browser has nothing else to do.
  S.whenIdle = (action) => (self.requestIdleCallback || self.setTimeout)(action);
  // Do it now for all of a part of the page.
  S.seeAll = (part) =>
    Array.from(part.querySelectorAll("*"))
      .filter((node) => seen.has(node))
      .map((node) => {
        const action = seen.get(node);
        seen.delete(node);
        observer.unobserve(node);
        return Promise.resolve(action()).catch(() => {});
      });
})();
