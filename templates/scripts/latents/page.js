// A page of latents: one at a time, with its panels; next and previous across pages.
import { panelNodes } from "../blocks/blocks.js";
import { freshen } from "../blocks/figures.js";
import { fragmentNow, goTo, setFragment } from "../core/address.js";
import { store } from "../core/data.js";
import { all, byId, el, maybe, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { latentHref } from "../core/latents.js";
import { thisPage } from "../core/page.js";
import { listeners } from "../core/state.js";
import { showTip } from "../core/tip.js";
import { blindness } from "../reader/blind.js";
import { carry } from "../reader/pins.js";
import { elsewhere } from "./elsewhere.js";
import { followView, fragmentParts, readView, reading, viewSuffix, whenViewChanges } from "./reading.js";

const EMBED = "?embed=true&embedexplanation=true&embedplots=true&embedtest=true";

/** @param {HTMLElement} article */
function embed(article) {
  const link = maybe(article, "a.out");
  if (!(link instanceof HTMLAnchorElement)) return null;
  const button = el("button", { type: "button" }, "Load this latent's page from neuronpedia.org");
  const box = el("section", { class: "panel wide embed" }, button);
  button.addEventListener("click", () => {
    const frame = el("iframe", { title: "Neuronpedia", referrerpolicy: "no-referrer" });
    frame.src = link.href + EMBED;
    button.replaceWith(frame);
  });
  return box;
}

export function latentPage() {
  const steps = byId("steps", HTMLElement);
  const { home = "" } = steps.dataset;
  const articles = all(document, "article.latent");
  const shard = Array.from(store.shards.values()).find((item) => item.sae === thisPage.sae);
  const sae = store.saes.get(thisPage.sae);
  const blind = blindness(sae);
  /** @type {Map<number, boolean>} */
  const built = new Map();
  // The place of the latent that is shown; between two places when one is asked for that is not here.
  let current = -1;
  const status = el("p", { class: "absent", role: "status" });
  steps.after(status);

  /**
   * @param {string} label
   * @param {string} key
   * @param {() => void} action
   */
  const button = (label, key, action) => {
    const node = el("button", { type: "button", "aria-keyshortcuts": key }, label);
    node.addEventListener("click", action);
    return node;
  };
  const count = el("span", { class: "count" });
  const back = button("← Previous", "k", () => move(-1));
  const forward = button("Next →", "j", () => move(1));
  const ends = within(steps, ".ends");
  const outside = { "-1": maybe(ends, "#page-previous"), 1: maybe(ends, "#page-next") };
  ends.replaceChildren(count, back, forward);

  // What goes along from latent to latent: meeting it blind, and how examples are read.
  const suffix = () => blind.suffix() + viewSuffix();
  whenViewChanges(() => articles[current] && setFragment(articles[current].id + suffix()));

  /** @param {Element} article */
  const number = (article) => Number(article.id.slice("latent-".length));

  function leave() {
    if (articles[current]) articles[current].classList.remove("current");
    status.replaceChildren();
  }

  /** @param {string} name */
  function arrive(name) {
    const title = document.title.split(" · ").slice(-2).join(" · ");
    document.title = name + " · " + title;
    back.disabled = current <= 0 && !outside["-1"];
    forward.disabled = current >= articles.length - 1 && !outside["1"];
    count.textContent = sae ? asText.count(sae.count) + " shown" : "";
  }

  /**
   * The panels of a latent, made again when a reader goes blind or reveals.
   * @param {HTMLElement} article
   * @param {number} latent
   */
  function build(article, latent) {
    const hidden = blind.of(article, latent);
    const record = shard && shard.byLatent.get(latent);
    if (built.get(latent) === hidden || !record) return;
    const old = maybe(article, ":scope > .panels");
    if (old) old.remove();
    built.set(latent, hidden);
    const panels = panelNodes(record, thisPage.sae, hidden);
    if (steps.dataset.embed && !hidden) {
      const frame = embed(article);
      if (frame) panels.append(frame);
    }
    article.append(panels);
    const has = Boolean(maybe(panels, "[data-panel='examples']"));
    article.classList.toggle("has-panels", has);
  }

  /** @param {HTMLElement} article */
  function dress(article) {
    const latent = number(article);
    blind.dress(article, latent, change);
    build(article, latent);
    for (const dressing of listeners.latent) dressing(article, latent, blind.of(article, latent));
    followView(article);
    arrive("Latent " + latent + (blind.of(article, latent) ? ", blind" : ""));
    freshen();
  }

  /**
   * @param {number} place
   * @param {boolean} focus
   */
  function show(place, focus) {
    if (place < 0 || place >= articles.length) return;
    showTip(null);
    if (place !== current) leave();
    current = place;
    articles[place].classList.add("current");
    dress(articles[place]);
    if (focus) self.scrollTo(0, 0);
  }

  /**
   * A reader went blind, or revealed the latent that is shown.
   * @param {boolean} asked
   */
  function change(asked) {
    const article = articles[current];
    if (!article) return;
    blind.ask(asked);
    setFragment(article.id + suffix());
    showTip(null);
    dress(article);
  }

  /** @param {1 | -1} step */
  function move(step) {
    const place = step > 0 ? Math.floor(current + 1) : Math.ceil(current - 1);
    reading.range = null;
    if (place >= 0 && place < articles.length) {
      setFragment(articles[place].id + suffix());
      show(place, true);
    } else if (outside[step]) goTo(carry(outside[step].getAttribute("href") || "") + suffix());
  }

  /**
   * A latent that is not on this page: on another page of the SAE, or not in the report.
   * @param {number} latent
   */
  function absent(latent) {
    /** @param {number} of */
    const page = (of) => (latentHref(thisPage.sae, of) || "").replace(/#[^#]*$/, "");
    const href = latentHref(thisPage.sae, latent);
    const target = page(latent);
    if (href && articles.length && target !== page(number(articles[0]))) {
      goTo(href + suffix(), true);
      return;
    }
    showTip(null);
    leave();
    const after = articles.findIndex((article) => number(article) > latent);
    current = (after < 0 ? articles.length : after) - 0.5;
    const whole = el("a", { href: home }, "All latents that it shows");
    status.append("This report does not show latent " + latent + " of this SAE. ", whole);
    elsewhere(thisPage.sae, latent).then((others) => {
      if (others && status.contains(whole)) status.append(others);
    });
    arrive("Latent " + latent + " is not shown");
    self.scrollTo(0, 0);
  }

  function fromHash() {
    const { anchor, values } = fragmentParts(fragmentNow());
    const named = /^latent-(\d{1,15})$/.exec(anchor);
    blind.ask(Boolean(named && values.get("blind") === ""));
    if (named) readView(values);
    const latent = named ? Number(named[1]) : -1;
    const place = articles.findIndex((article) => number(article) === latent);
    if (place >= 0) show(place, place !== current);
    else if (named) absent(latent);
    else if (current === -1) show(0, false);
  }

  self.addEventListener("hashchange", fromHash);
  fromHash();
  return {
    move,
    toggleBlind() {
      const button = articles[current] && maybe(articles[current], ".blind-switch");
      if (button) button.click();
    },
    up() {
      goTo(carry(home));
    },
    unfoldAll() {
      if (!articles[current]) return;
      const folds = all(articles[current], ".fold");
      const closed = folds.filter((fold) => fold.getAttribute("aria-expanded") === "false");
      (closed.length ? closed : folds).forEach((fold) => fold.click());
    },
  };
}
