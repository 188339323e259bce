// A page of latents: one at a time, with its panels; next and previous across pages.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const EMBED = "?embed=true&embedexplanation=true&embedplots=true&embedtest=true";

  function embed(article) {
    const link = article.querySelector("a.out");
    if (!link) return null;
    const button = el("button", { type: "button" }, "Load this latent's page from neuronpedia.org");
    const box = el("section", { class: "panel wide embed" }, button);
    button.addEventListener("click", () => {
      const frame = el("iframe", { title: "Neuronpedia", referrerpolicy: "no-referrer" });
      frame.src = link.href + EMBED;
      button.replaceWith(frame);
    });
    return box;
  }

  S.latentPage = function () {
    const steps = document.getElementById("steps");
    const articles = Array.from(document.querySelectorAll("article.latent"));
    const shard = Array.from(S.shards.values()).find((item) => item.sae === S.sae);
    const sae = S.saes.get(S.sae);
    let current = -1;

    const button = (label, key, action) => {
      const node = el("button", { type: "button", "aria-keyshortcuts": key }, label);
      node.addEventListener("click", action);
      return node;
    };
    const count = el("span", { class: "count" });
    const back = button("← Previous", "k", () => move(-1));
    const forward = button("Next →", "j", () => move(1));
    const ends = steps.querySelector(".ends");
    const outside = { "-1": ends.querySelector("#page-previous"), 1: ends.querySelector("#page-next") };
    ends.replaceChildren(count, back, forward);

    function show(place, focus) {
      if (place < 0 || place >= articles.length || place === current) return;
      S.tip(null);
      if (current >= 0) articles[current].classList.remove("current");
      current = place;
      const article = articles[place];
      const latent = Number(article.id.slice("latent-".length));
      article.classList.add("current");
      if (!article.classList.contains("has-panels") && shard && shard.byLatent.has(latent)) {
        const panels = S.panels(shard.byLatent.get(latent), shard);
        if (steps.dataset.embed) {
          const frame = embed(article);
          if (frame) panels.append(frame);
        }
        article.append(panels);
        if (panels.querySelector("[data-panel='examples']")) article.classList.add("has-panels");
      }
      const title = document.title.split(" · ").slice(-2).join(" · ");
      document.title = "Latent " + latent + " · " + title;
      back.disabled = place === 0 && !outside["-1"];
      forward.disabled = place === articles.length - 1 && !outside["1"];
      count.textContent = sae ? S.format.count(sae.count) + " shown" : "";
      if (focus) self.scrollTo(0, 0);
      S.freshen();
    }

    function move(step) {
      const place = current + step;
      if (place >= 0 && place < articles.length) {
        self.history.replaceState(null, "", "#" + articles[place].id);
        show(place, true);
      } else if (outside[step]) self.location.href = outside[step].href;
    }

    function fromHash() {
      const place = articles.findIndex((article) => "#" + article.id === self.location.hash);
      show(place < 0 ? Math.max(current, 0) : place, place >= 0);
    }

    self.addEventListener("hashchange", fromHash);
    fromHash();
    S.move = move;
    S.up = () => {
      self.location.href = steps.dataset.home;
    };
    S.unfoldAll = () => {
      const folds = Array.from(articles[current].querySelectorAll(".fold"));
      const closed = folds.filter((fold) => fold.getAttribute("aria-expanded") === "false");
      (closed.length ? closed : folds).forEach((fold) => fold.click());
    };
  };
})();
