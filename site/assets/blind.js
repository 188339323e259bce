// Blind case studies: a latent by its weights and influences alone, with room for a hypothesis.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;

  S.blindMark = () => el("span", { class: "blind-mark" }, "blind");

  // Everything that this browser remembers under names that begin so.
  function remembered(start) {
    const full = "saereport-" + start;
    try {
      return Object.keys(self.localStorage)
        .filter((key) => key.startsWith(full))
        .map((key) => [key.slice(full.length), self.localStorage.getItem(key)]);
    } catch (error) {
      return [];
    }
  }

  // Labels in the form that `saereport --explanations` reads: JSON lines.
  function lines(hypotheses) {
    return hypotheses
      .sort((a, b) => a[0] - b[0])
      .map(([index, description]) => JSON.stringify({ index, description, source: "hypothesis" }) + "\n")
      .join("");
  }

  function download(name, text) {
    const href = "data:application/x-ndjson;charset=utf-8," + encodeURIComponent(text);
    const link = el("a", { href, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }

  // What is known on a page of latents about who is met blind.
  S.blindness = function (sae) {
    const slug = sae ? sae.slug : "";
    const own = (what) => what + "-" + S.report.fingerprint + "-" + slug + "-";
    const boxes = new Map();
    let asked = false;
    const revealed = (latent) => S.remember(own("revealed") + latent) === "yes";

    function of(article, latent) {
      const start = article.dataset.blind;
      return start === "sealed" || asked || (start === "veiled" && !revealed(latent));
    }

    function all(latent, text) {
      const found = remembered(own("hypothesis"))
        .map(([name, kept]) => [Number(name), kept])
        .filter(([name]) => Number.isSafeInteger(name) && name !== latent);
      return [...found, [latent, text]].filter((item) => item[1].trim());
    }

    function hypothesis(latent) {
      const id = "hypothesis-" + latent;
      const area = el("textarea", { id, rows: "3", spellcheck: "true" });
      area.value = S.remember(own("hypothesis") + latent) || "";
      const note = el("span", { class: "kept", role: "status" });
      const save = el("button", { type: "button" }, "Export");
      const update = () => {
        const others = all(latent, area.value).length;
        save.disabled = !others;
        const kept = S.remember(own("hypothesis") + latent) === area.value;
        if (!area.value.trim()) note.textContent = "What do you think that it stands for?";
        else note.textContent = kept ? "Kept in this browser" : "This browser keeps nothing: export it";
      };
      area.addEventListener("input", () => {
        S.remember(own("hypothesis") + latent, area.value.trim() ? area.value : null);
        update();
      });
      save.title = "Your hypotheses on latents of this SAE, as a file of explanations";
      save.addEventListener("click", () => {
        const wanted = all(latent, area.value);
        if (wanted.length) download("hypotheses-" + slug + ".jsonl", lines(wanted));
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
        if (now && start === "sealed") return;
        if (now && start === "veiled") S.remember(own("revealed") + latent, "yes");
        change(!now);
      });
      const header = article.querySelector(":scope > header");
      if (start !== "sealed") header.append(switch_);
      const note = article.querySelector(".blind-note");
      const { area, node } = hypothesis(latent);
      const box = el("section", { class: "blind-box", "aria-label": "Blind case study" });
      if (note) box.append(note);
      box.append(node);
      header.after(box);
      return { switch_, note, box, area };
    }

    // Hide or show what spoils, in the article that the server made.
    function dress(article, latent, change) {
      if (!boxes.has(latent)) boxes.set(latent, make(article, latent, change));
      const { switch_, note, box, area } = boxes.get(latent);
      const now = of(article, latent);
      article.classList.toggle("blind", now);
      article.querySelectorAll("[data-spoils]").forEach((node) => (node.hidden = now));
      switch_.textContent = now ? "Reveal" : "Blind";
      switch_.title = now ? "Show what is hidden (b)" : "Hide examples and explanation (b)";
      if (note && article.dataset.blind === "veiled") note.hidden = !now;
      box.hidden = !now && !area.value.trim() && !article.dataset.blind;
    }

    return { of, dress, ask: (wanted) => (asked = wanted), suffix: () => (asked ? "&blind" : "") };
  };
})();
