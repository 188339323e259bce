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
    const blind = S.blindness(sae);
    const built = new Map();
    // The place of the latent that is shown; between two places when one is asked for that is not here.
    let current = -1;
    const status = el("p", { class: "absent", role: "status" });
    steps.after(status);

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

    // What goes along from latent to latent: meeting it blind, and how examples are read.
    const suffix = () => blind.suffix() + S.viewSuffix();
    S.onView = () => articles[current] && S.setFragment(articles[current].id + suffix());

    const number = (article) => Number(article.id.slice("latent-".length));

    function leave() {
      if (articles[current]) articles[current].classList.remove("current");
      status.replaceChildren();
    }

    function arrive(name) {
      const title = document.title.split(" · ").slice(-2).join(" · ");
      document.title = name + " · " + title;
      back.disabled = current <= 0 && !outside["-1"];
      forward.disabled = current >= articles.length - 1 && !outside["1"];
      count.textContent = sae ? S.format.count(sae.count) + " shown" : "";
    }

    // The panels of a latent, made again when a reader goes blind or reveals.
    function build(article, latent) {
      const hidden = blind.of(article, latent);
      if (built.get(latent) === hidden || !shard || !shard.byLatent.has(latent)) return;
      const old = article.querySelector(":scope > .panels");
      if (old) old.remove();
      built.set(latent, hidden);
      const panels = S.panels(shard.byLatent.get(latent), shard, hidden);
      if (steps.dataset.embed && !hidden) {
        const frame = embed(article);
        if (frame) panels.append(frame);
      }
      article.append(panels);
      const has = Boolean(panels.querySelector("[data-panel='examples']"));
      article.classList.toggle("has-panels", has);
    }

    function dress(article) {
      const latent = number(article);
      blind.dress(article, latent, change);
      build(article, latent);
      for (const dressing of S.onLatent) dressing(article, latent, blind.of(article, latent));
      S.followView(article);
      arrive("Latent " + latent + (blind.of(article, latent) ? ", blind" : ""));
      S.freshen();
    }

    function show(place, focus) {
      if (place < 0 || place >= articles.length) return;
      S.tip(null);
      if (place !== current) leave();
      current = place;
      articles[place].classList.add("current");
      dress(articles[place]);
      if (focus) self.scrollTo(0, 0);
    }

    // A reader went blind, or revealed the latent that is shown.
    function change(asked) {
      const article = articles[current];
      if (!article) return;
      blind.ask(asked);
      S.setFragment(article.id + suffix());
      S.tip(null);
      dress(article);
    }

    function move(step) {
      const place = step > 0 ? Math.floor(current + 1) : Math.ceil(current - 1);
      S.view.range = null;
      if (place >= 0 && place < articles.length) {
        S.setFragment(articles[place].id + suffix());
        show(place, true);
      } else if (outside[step]) S.go(S.carry(outside[step].getAttribute("href")) + suffix());
    }

    // A latent that is not on this page: on another page of the SAE, or not in the report.
    function absent(latent) {
      const page = (of) => (S.href(S.sae, of) || "").replace(/#[^#]*$/, "");
      const target = page(latent);
      if (target && articles.length && target !== page(number(articles[0]))) {
        S.go(S.href(S.sae, latent) + suffix(), true);
        return;
      }
      S.tip(null);
      leave();
      const after = articles.findIndex((article) => number(article) > latent);
      current = (after < 0 ? articles.length : after) - 0.5;
      const home = el("a", { href: steps.dataset.home }, "All latents that it shows");
      status.append("This report does not show latent " + latent + " of this SAE. ", home);
      arrive("Latent " + latent + " is not shown");
      self.scrollTo(0, 0);
    }

    function fromHash() {
      const { anchor, values } = S.parts(S.fragment());
      const named = /^latent-(\d{1,15})$/.exec(anchor);
      blind.ask(Boolean(named && values.get("blind") === ""));
      if (named) S.readView(values);
      const latent = named ? Number(named[1]) : -1;
      const place = articles.findIndex((article) => number(article) === latent);
      if (place >= 0) show(place, place !== current);
      else if (named) absent(latent);
      else if (current === -1) show(0, false);
    }

    self.addEventListener("hashchange", fromHash);
    fromHash();
    S.move = move;
    S.toggleBlind = () => {
      const button = articles[current] && articles[current].querySelector(".blind-switch");
      if (button) button.click();
    };
    S.up = () => {
      S.go(S.carry(steps.dataset.home));
    };
    S.unfoldAll = () => {
      if (!articles[current]) return;
      const folds = Array.from(articles[current].querySelectorAll(".fold"));
      const closed = folds.filter((fold) => fold.getAttribute("aria-expanded") === "false");
      (closed.length ? closed : folds).forEach((fold) => fold.click());
    };
  };
})();
