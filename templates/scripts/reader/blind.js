// Blind case studies: a latent by its weights and influences alone, with room for a hypothesis.
import { store } from "../core/data.js";
import { all, el, maybe, within } from "../core/dom.js";
import { remember, remembered } from "../core/memory.js";
import { explanationLines, saveLines } from "./files.js";

/** @import { SaeRecord } from "../records" */

export const blindMark = () => el("span", { class: "blind-mark" }, "blind");

/**
 * @param {string} what
 * @param {string} slug
 */
const own = (what, slug) => what + "-" + store.report.fingerprint + "-" + slug + "-";

/**
 * Whether the reader has revealed a latent that is blinded.
 * @param {string} slug
 * @param {number} latent
 */
export const revealed = (slug, latent) => remember(own("revealed", slug) + latent) === "yes";

/**
 * What is known on a page of latents about who is blinded.
 * @param {SaeRecord | undefined} sae
 */
export function blindness(sae) {
  const slug = sae ? sae.slug : "";
  /** @type {Map<number, ReturnType<typeof make>>} */
  const boxes = new Map();
  let asked = false;

  /**
   * @param {HTMLElement} article
   * @param {number} latent
   */
  function of(article, latent) {
    const start = article.dataset.blind;
    return start === "redacted" || asked || (start === "hidden" && !revealed(slug, latent));
  }

  /**
   * @param {number} latent
   * @param {string} text
   * @returns {[number, string][]}
   */
  function everyone(latent, text) {
    const found = remembered(own("hypothesis", slug))
      .map(([name, kept]) => /** @type {[number, string]} */ ([Number(name), kept]))
      .filter(([name]) => Number.isSafeInteger(name) && name !== latent);
    found.push([latent, text]);
    return found.filter(([, kept]) => kept.trim());
  }

  /** @param {number} latent */
  function hypothesis(latent) {
    const id = "hypothesis-" + latent;
    const area = el("textarea", { id, rows: "3", spellcheck: "true" });
    area.value = remember(own("hypothesis", slug) + latent) || "";
    const note = el("span", { class: "kept", role: "status" });
    const save = el("button", { type: "button" }, "Export");
    const update = () => {
      const others = everyone(latent, area.value).length;
      save.disabled = !others;
      const kept = remember(own("hypothesis", slug) + latent) === area.value;
      if (!area.value.trim()) note.textContent = "What do you think that it stands for?";
      else note.textContent = kept ? "Kept in this browser" : "This browser keeps nothing: export it";
    };
    // Whether the browser refused what is written, for want of room: then only this page has it.
    let refused = false;
    function keep() {
      const text = area.value.trim() ? area.value : null;
      remember(own("hypothesis", slug) + latent, text);
      refused = text !== null && remember(own("hypothesis", slug) + latent) !== text;
      update();
    }
    // What another page wrote meanwhile; the field is left alone while it says the same.
    function reread() {
      const now = remember(own("hypothesis", slug) + latent) || "";
      if (refused) return keep();
      if (now.trim() !== area.value.trim()) area.value = now;
      return update();
    }
    area.addEventListener("input", keep);
    self.addEventListener("storage", reread);
    self.addEventListener("pageshow", (event) => event.persisted && reread());
    save.title = "Your hypotheses on latents of this SAE, as a file of explanations";
    save.addEventListener("click", () => {
      const wanted = everyone(latent, area.value);
      const rows = wanted.map(([index, description]) => ({ index, description, source: "hypothesis", sae: slug }));
      if (rows.length) saveLines("hypotheses-" + slug + ".jsonl", explanationLines(rows));
    });
    update();
    const label = el("label", { for: id }, "Your hypothesis");
    return { area, node: el("div", { class: "hypothesis" }, label, area, el("div", {}, note, save)) };
  }

  /**
   * @param {HTMLElement} article
   * @param {number} latent
   * @param {(blind: boolean) => void} change
   */
  function make(article, latent, change) {
    const start = article.dataset.blind;
    const switch_ = el("button", { type: "button", class: "blind-switch", "aria-keyshortcuts": "b" });
    switch_.addEventListener("click", () => {
      const now = of(article, latent);
      if (now && start === "redacted") return;
      if (now && start === "hidden") remember(own("revealed", slug) + latent, "yes");
      change(!now);
    });
    const header = within(article, ":scope > header");
    if (start !== "redacted") header.append(switch_);
    const note = maybe(article, ".blind-note");
    const { area, node } = hypothesis(latent);
    const box = el("section", { class: "blind-box", "aria-label": "Blind case study" });
    if (note) box.append(note);
    box.append(node);
    header.after(box);
    return { switch_, note, box, area };
  }

  /**
   * Hide or show what reveals the text that it is active on, in the article that the server made.
   * @param {HTMLElement} article
   * @param {number} latent
   * @param {(blind: boolean) => void} change
   */
  function dress(article, latent, change) {
    const made = boxes.get(latent) || make(article, latent, change);
    boxes.set(latent, made);
    const { switch_, note, box, area } = made;
    const now = of(article, latent);
    article.classList.toggle("blind", now);
    all(article, "[data-reveals-text]").forEach((node) => (node.hidden = now));
    switch_.textContent = now ? "Reveal" : "Blind";
    switch_.title = now ? "Show what is hidden (b)" : "Hide examples and explanation (b)";
    if (note && article.dataset.blind === "hidden") note.hidden = !now;
    box.hidden = !now && !area.value.trim() && !article.dataset.blind;
  }

  return { of, dress, ask: (/** @type {boolean} */ wanted) => (asked = wanted), suffix: () => (asked ? "&blind" : "") };
}
