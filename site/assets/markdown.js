// A page as Markdown, with nothing in it that Markdown or HTML would act on.
"use strict";
(function () {
  const S = self.saereport;
  const N_EXAMPLES = 5;
  const N_ROWS = 10;

  // Every sign that could mean something is escaped; a name behind @ or a number behind # stays text.
  const plain = (text) =>
    text
      .replace(/\s+/g, " ")
      .trim()
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/[\\`*_{}[\]()#+\-.!|~$:=^'"]/g, (sign) => ("-.:'\"()+=".includes(sign) ? sign : "\\" + sign))
      .replace(/([@#])(?=\w)/g, "$1\u2060")
      .replace(/:(?=\/\/)/g, "\\:")
      .replace(/\bwww\./gi, "www\\.")
      .replace(/^([-+=]|\d+[.)])/, "\\$1");

  // Text as code: in a longer fence than any that is in it.
  const code = function (text) {
    const longest = Math.max(0, ...Array.from(text.matchAll(/`+/g), (found) => found[0].length));
    const fence = "`".repeat(longest + 1);
    const pad = /^[` ]|[` ]$/.test(text) ? " " : "";
    return fence + pad + text.replace(/\s+/g, " ") + pad + fence;
  };

  const text = (node) => (node ? node.textContent : "");
  const shown = (node) => node && !node.hidden && !node.closest("[hidden]");
  const link = (label, address) => "[" + plain(label) + "](<" + address.replace(/[<>\\\s]/g, encodeURIComponent) + ">)";

  // Running text with what is active in bold.
  function marked(example) {
    const [, peak, activation, start, packed, , places] = example;
    const active = new Set(places);
    let runs = [];
    S.running(S.unpack(packed)).forEach(([first, count, read]) => {
      const on = Array.from({ length: count }, (_, i) => start + first + i).some((place) => active.has(place));
      const own = S.prose(read);
      if (on && own.startsWith(" ") && own.length > 1) runs.push([false, " "], [true, own.slice(1)]);
      else runs.push([on, own]);
    });
    runs = runs.reduce((all, [on, part]) => {
      const last = all[all.length - 1];
      if (last && (last[0] === on || (!on && part === " " && last[0] === null))) last[1] += part;
      else all.push([on, part]);
      return all;
    }, []);
    const words = runs.map(([on, part]) => {
      const spaces = /^( *)(.*?)( *)$/s.exec(part);
      if (!on || !spaces[2]) return spaces[1] + plain(spaces[2]) + spaces[3];
      return spaces[1] + "<b>" + plain(spaces[2]) + "</b>" + spaces[3];
    });
    const at = S.unpack(packed)[peak - start];
    return S.format.value(activation) + " on " + code(S.token(at)) + ": …" + words.join("") + "…";
  }

  function latent(article) {
    const name = S.saes.get(S.sae) ? S.saes.get(S.sae).label : S.sae;
    const index = Number(article.id.slice("latent-".length));
    const out = ["## " + link(name + " latent " + index, S.viewAddress()), ""];
    const label = article.querySelector(".label");
    if (shown(label)) out.push("> " + plain(text(label)), "");
    out.push("*" + plain(S.report.title) + "*", "");
    for (const note of article.querySelectorAll(".dead, .blind-note")) if (shown(note)) out.push(plain(text(note)), "");
    for (const section of article.querySelectorAll(".story > section")) {
      const title = text(section.querySelector("h2"));
      const lines = [];
      section.querySelectorAll("dl > div").forEach((row) => lines.push(plain(text(row.querySelector("dt"))) + ": " + plain(text(row.querySelector("dd")))));
      for (const line of section.querySelectorAll(".line")) {
        if (!shown(line)) continue;
        const tokens = Array.from(line.querySelectorAll("code"), (token) => code(text(token)));
        lines.push(plain(text(line.querySelector("span"))) + ": " + tokens.join(" "));
      }
      section.querySelectorAll("li").forEach((item) => shown(item) && lines.push(plain(text(item))));
      section.querySelectorAll(".none").forEach((item) => lines.push(plain(text(item))));
      out.push("**" + plain(title) + "**", "", ...lines.map((line) => "- " + line), "");
    }
    const shard = Array.from(S.shards.values()).find((item) => item.sae === S.sae && item.byLatent.has(index));
    const panel = shard && article.querySelector("[data-panel='examples']") && shard.byLatent.get(index).panels.find(([panelName]) => panelName === "examples");
    const top = panel && S.merged(panel[1][0]).groups.find((group) => group.group === "top");
    if (top && top.examples.length) {
      out.push("**Strongest examples**, active tokens in bold", "");
      top.examples.slice(0, N_EXAMPLES).forEach((example, i) => out.push(i + 1 + ". " + marked(example)));
      out.push("");
    }
    return out;
  }

  function table(node) {
    const { columns, rows } = S.tableData(node);
    const line = (cells) => "| " + cells.map((value) => plain(typeof value === "number" ? S.format.value(value) : value)).join(" | ") + " |";
    const out = [line(columns), "|" + " --- |".repeat(columns.length), ...rows.slice(0, N_ROWS).map(line)];
    if (rows.length > N_ROWS) out.push("", "and " + (rows.length - N_ROWS) + " more");
    return [...out, ""];
  }

  // Any other page: its title, facts, sentences, and the beginning of its tables.
  function page() {
    const main = document.getElementById("main");
    const out = ["## " + link(text(main.querySelector("h1")) || document.title, S.viewAddress()), "", "*" + plain(S.report.title || document.title) + "*", ""];
    for (const node of main.querySelectorAll(".g-prompt, .c-tokens, .facts > div, .g-said p, .c-note, section > h2, header > h2, .summary, .g-text, table")) {
      if (!shown(node) || node.closest(".data, .contents")) continue;
      if (node.matches(".facts > div")) out.push("- " + plain(text(node.querySelector("dt"))) + ": " + plain(text(node.querySelector("dd"))));
      else if (node.matches(".c-tokens")) out.push(Array.from(node.querySelectorAll("code"), (token) => code(text(token))).join(" "), "");
      else if (node.matches("h2")) out.push("", "### " + plain(text(node)), "");
      else if (node.matches("table")) out.push("", ...table(node));
      else out.push(plain(text(node)), "");
    }
    return out;
  }

  S.markdown = function () {
    const article = document.querySelector("article.current");
    const lines = article ? latent(article) : page();
    return lines.join("\n").replace(/\n{3,}/g, "\n\n").trim() + "\n";
  };
  S.markdownParts = { plain, code };
})();
