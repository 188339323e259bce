// Blind case studies: a latent by its weights and influences alone, with room for a hypothesis.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;

  S.blindMark = () => el("span", { class: "blind-mark" }, "blind");

  const own = (what, slug) => what + "-" + S.report.fingerprint + "-" + slug + "-";

  // Whether the reader has revealed a latent that is blinded.
  S.revealed = (slug, latent) => S.remember(own("revealed", slug) + latent) === "yes";

  // What is known on a page of latents about who is blinded.
  S.blindness = function (sae) {
    const slug = sae ? sae.slug : "";
    const boxes = new Map();
    let asked = false;

    function of(article, latent) {
      const start = article.dataset.blind;
      return start === "redacted" || asked || (start === "hidden" && !S.revealed(slug, latent));
    }

    function all(latent, text) {
      const found = S.remembered(own("hypothesis", slug))
        .map(([name, kept]) => [Number(name), kept])
        .filter(([name]) => Number.isSafeInteger(name) && name !== latent);
      return [...found, [latent, text]].filter((item) => item[1].trim());
    }

    function hypothesis(latent) {
      const id = "hypothesis-" + latent;
      const area = el("textarea", { id, rows: "3", spellcheck: "true" });
      area.value = S.remember(own("hypothesis", slug) + latent) || "";
      const note = el("span", { class: "kept", role: "status" });
      const save = el("button", { type: "button" }, "Export");
      const update = () => {
        const others = all(latent, area.value).length;
        save.disabled = !others;
        const kept = S.remember(own("hypothesis", slug) + latent) === area.value;
        if (!area.value.trim()) note.textContent = "What do you think that it stands for?";
        else note.textContent = kept ? "Kept in this browser" : "This browser keeps nothing: export it";
      };
      // Whether the browser refused what is written, for want of room: then only this page has it.
      let refused = false;
      function keep() {
        const text = area.value.trim() ? area.value : null;
        S.remember(own("hypothesis", slug) + latent, text);
        refused = text !== null && S.remember(own("hypothesis", slug) + latent) !== text;
        update();
      }
      // What another page wrote meanwhile; the field is left alone while it says the same.
      function reread() {
        const now = S.remember(own("hypothesis", slug) + latent) || "";
        if (refused) return keep();
        if (now.trim() !== area.value.trim()) area.value = now;
        return update();
      }
      area.addEventListener("input", keep);
      self.addEventListener("storage", reread);
      self.addEventListener("pageshow", (event) => event.persisted && reread());
      save.title = "Your hypotheses on latents of this SAE, as a file of explanations";
      save.addEventListener("click", () => {
        const wanted = all(latent, area.value);
        const rows = wanted.map(([index, description]) => ({ index, description, source: "hypothesis", sae: slug }));
        if (rows.length) S.saveLines("hypotheses-" + slug + ".jsonl", S.explanationLines(rows));
      });
      update();
      const label = el("label", { for: id }, "Your hypothesis");
      return { area, node: el("div", { class: "hypothesis" }, label, area, el("div", {}, note, save)) };
    }

    function make(article, latent, change) {
      const start = article.dataset.blind;
      const switch_ = el("button", { type: "button", class: "blind-switch", "aria-keyshortcuts": "b" });
      switch_.addEventListener("click", () => {
        const now = of(article, latent);
        if (now && start === "redacted") return;
        if (now && start === "hidden") S.remember(own("revealed", slug) + latent, "yes");
        change(!now);
      });
      const header = article.querySelector(":scope > header");
      if (start !== "redacted") header.append(switch_);
      const note = article.querySelector(".blind-note");
      const { area, node } = hypothesis(latent);
      const box = el("section", { class: "blind-box", "aria-label": "Blind case study" });
      if (note) box.append(note);
      box.append(node);
      header.after(box);
      return { switch_, note, box, area };
    }

    // Hide or show what reveals_text, in the article that the server made.
    function dress(article, latent, change) {
      if (!boxes.has(latent)) boxes.set(latent, make(article, latent, change));
      const { switch_, note, box, area } = boxes.get(latent);
      const now = of(article, latent);
      article.classList.toggle("blind", now);
      article.querySelectorAll("[data-reveals-text]").forEach((node) => (node.hidden = now));
      switch_.textContent = now ? "Reveal" : "Blind";
      switch_.title = now ? "Show what is hidden (b)" : "Hide examples and explanation (b)";
      if (note && article.dataset.blind === "hidden") note.hidden = !now;
      box.hidden = !now && !area.value.trim() && !article.dataset.blind;
    }

    return { of, dress, ask: (wanted) => (asked = wanted), suffix: () => (asked ? "&blind" : "") };
  };
})();
