// The data behind a figure or a table as a file: CSV or JSON, offered by one small menu beside it.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;

  // A spreadsheet would run a cell that begins so; an apostrophe makes it text.
  const FORMULA = /^[\s\u200b\ufeff]*[=+\-@＝＋－＠|%]/;
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
    const text = FORMULA.test(value) || /^[\t\r\n]/.test(value) ? "'" + value : String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };

  // RFC 4180: fields in quotes where needed, lines end in CR LF, the first one names the columns.
  S.csv = ({ columns, rows }) => [columns, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");

  const plain = (text) =>
    text
      .normalize("NFKD")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 48)
      .replace(/-$/, "");

  // Report, SAE, latent or prompt, and what it is.
  S.fileName = function (what, ending, latent) {
    const { title } = S.report;
    const page = /([^/]+)\.html$/.exec(S.page === "prompt" || S.page === "graph" ? decodeURIComponent(S.path()) : "");
    const parts = [title || "report", S.sae, page ? page[1] : "", latent === null ? "" : "latent-" + latent, what];
    return parts.map((part) => plain(String(part || ""))).filter(Boolean).join("_") + "." + ending;
  };
  S.path = () => (S.single ? document.documentElement.dataset.path : self.location.pathname);

  S.save = function (name, type, text) {
    const href = URL.createObjectURL(new Blob([text], { type: type + ";charset=utf-8" }));
    const link = el("a", { href, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    self.setTimeout(() => URL.revokeObjectURL(href), 1000);
    S.say("Saved " + name);
  };

  const latentAt = (node) => {
    const article = node.closest("article.latent");
    return article ? Number(article.id.slice("latent-".length)) : null;
  };

  // The menu: a button that opens into CSV and JSON. `get` gives { columns, rows } when asked.
  S.offer = function (what, get) {
    const title = () => (typeof what === "function" ? what() : what);
    const save = async (ending) => {
      const table = await get();
      const latent = latentAt(box);
      const name = S.fileName(title(), ending, latent);
      if (ending === "csv") return S.save(name, "text/csv", S.csv(table));
      const about = { report: S.report.title, fingerprint: S.report.fingerprint, sae: S.sae || null, latent, what: title() };
      return S.save(name, "application/json", JSON.stringify({ ...about, ...table }, null, 1) + "\n");
    };
    const choice = (ending) => {
      const button = el("button", { type: "button", "aria-label": ending.toUpperCase() + ": data of " + title() }, ending.toUpperCase());
      button.addEventListener("click", () => save(ending));
      return button;
    };
    const inside = el("span", { class: "data-choices", hidden: "" }, choice("csv"), choice("json"));
    const button = el("button", { class: "data-open", type: "button", "aria-expanded": "false", "aria-label": "Data of " + title(), title: "Download the data" }, "⤓");
    const box = el("span", { class: "data" }, inside, button);
    const open = (now) => {
      inside.hidden = !now;
      button.setAttribute("aria-expanded", String(now));
    };
    button.addEventListener("click", () => {
      open(inside.hidden);
      if (!inside.hidden) inside.firstChild.focus();
    });
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || inside.hidden) return;
      event.stopPropagation();
      open(false);
      button.focus();
    });
    return box;
  };

  // A number as the pages write it; anything else stays text.
  const DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  function read(text) {
    const folded = text.replace(/×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)/, (all, power) => "e" + power.replace("⁻", "-").replace(/[⁰-⁹¹²³]/g, (d) => DIGITS.indexOf(d)));
    const number = folded.replace("−", "-").replace(/(\d),(?=\d{3})/g, "$1");
    return /^[+-]?\d+(\.\d+)?(e-?\d+)?$/.test(number) ? Number(number) : text;
  }

  // What a table of the page shows.
  S.tableData = function (table) {
    const texts = (row) => Array.from(row.cells).map((item) => item.textContent.replace(/\s+/g, " ").trim());
    const rows = Array.from(table.tBodies).flatMap((body) => Array.from(body.rows));
    const head = table.tHead ? texts(table.tHead.rows[0]) : [];
    const width = Math.max(0, ...rows.map((row) => row.cells.length));
    const columns = head.length ? head : Array.from({ length: width }, (_, i) => (i ? "value" : "name"));
    return { columns, rows: rows.map((row) => texts(row).map(read)) };
  };

  function titleOf(table) {
    const box = table.closest("details, figure, .block, section");
    const near = box && box.querySelector("h3, h2, summary b");
    const section = table.closest("section");
    const heading = near || (section && section.querySelector("h2, h3"));
    return heading ? heading.textContent.trim() : document.title;
  }

  // A menu for each table that the server made.
  S.offerTables = function () {
    for (const table of document.querySelectorAll("main table.grid")) {
      if (table.closest("[data-figure], article.latent")) continue;
      const menu = S.offer(titleOf(table), () => S.tableData(table));
      const how = table.closest("section > *") && table.closest("section").querySelector(":scope > header > .how");
      if (how && !table.closest("details") && !how.parentElement.querySelector(".data")) how.before(menu);
      else (table.closest(".scroll") || table).before(el("div", { class: "data-line" }, menu));
    }
  };
})();
