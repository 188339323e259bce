// Going from page to page in a report in one file.
import { goTo } from "../core/address.js";
import { all, around, el } from "../core/dom.js";
import { thisPage } from "../core/page.js";
import { session } from "../core/state.js";
import { wanted } from "./open.js";

/** @param {string} place */
function scrollTo(place) {
  const target = place && document.getElementById(place);
  if (target) target.scrollIntoView();
}

// ---- where the reader was on a page, for the way back to it
/**
 * Every page is a reload, before which the browser may have put its place into a shorter page.
 * @param {string} name
 * @param {string | null} [value]
 */
function tab(name, value) {
  const key = "saereport-" + name + "-" + self.location.pathname;
  try {
    const had = self.sessionStorage.getItem(key);
    if (value === null) self.sessionStorage.removeItem(key);
    else if (value !== undefined) self.sessionStorage.setItem(key, value);
    return had;
  } catch {
    return null;
  }
}

/** @param {number} top */
function stay(top) {
  let moved = false;
  for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"])
    self.addEventListener(kind, () => (moved = true), { once: true, passive: true });
  // Figures make the page longer as they are drawn, and the browser has its own say after loading.
  for (const wait of [0, 60, 250, 600]) self.setTimeout(() => moved || self.scrollTo(0, top), wait);
}

/** @param {Element} link */
function save(link) {
  const from = (link.getAttribute("href") || "").slice(1);
  const block = all(document, "script[data-path]").find((node) => node.dataset.path === from);
  const href = URL.createObjectURL(new Blob([block ? block.textContent : ""], { type: "application/json" }));
  el("a", { href, download: from.split("/").pop() }).click();
  self.setTimeout(() => URL.revokeObjectURL(href), 1000);
}

/** @param {MouseEvent} event */
function follow(event) {
  const link = around(event, "a[href^='#']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const href = link.getAttribute("href") || "";
  const target = document.getElementById(href.slice(1));
  if (link.hasAttribute("download")) save(link);
  else if (target) {
    target.tabIndex = -1;
    target.focus();
  } else goTo(href);
}

function travel() {
  const { path } = document.documentElement.dataset;
  const top = tab("returned", null) && tab("top" + self.location.hash);
  document.addEventListener("DOMContentLoaded", () => (top ? stay(Number(top)) : scrollTo(wanted().place)));
  self.addEventListener("hashchange", (event) => {
    if (wanted().path === path) scrollTo(wanted().place);
    else {
      event.stopImmediatePropagation();
      if (session.leaving) {
        tab("top" + new URL(event.oldURL).hash, String(self.scrollY));
        self.scrollTo(0, 0);
      } else tab("returned", "yes");
      self.location.reload();
    }
  });
  // Links go through here: in a frame without an address of its own, such as a notebook's, they
  // would be taken for addresses of the page around it.
  document.addEventListener("click", follow);
}

if (thisPage.single) travel();
