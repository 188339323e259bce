// Pinned latents: they go along in the address, wait in a tray, and are compared side by side.
import { glossNode } from "../blocks/lists.js";
import { fragmentNow, linkTo, pinsInAddress, setFragment, withPins } from "../core/address.js";
import { store } from "../core/data.js";
import { all, byId, el, within } from "../core/dom.js";
import { latentHref } from "../core/latents.js";
import { loadTable } from "../core/load.js";
import { thisPage } from "../core/page.js";
import { listeners, session } from "../core/state.js";

/** @import { LatentKey } from "../types" */

const MOST = 12;
const PIN = /^([a-z0-9][a-z0-9._-]{0,120})\.(\d{1,15})$/;
const OUTSIDE = /^(?:[a-z][a-z0-9+.-]*:|\/)/i;


/** @param {LatentKey} from */
const name = ({ slug, latent }) => slug + "." + latent;
/** @param {LatentKey} from */
const called = ({ slug, latent }) => {
  const sae = store.saes.get(slug);
  return (sae ? sae.label : slug) + " " + latent;
};
/**
 * @param {string} slug
 * @param {number} latent
 */
export const isPinned = (slug, latent) => session.pinned.some((pin) => name(pin) === slug + "." + latent);

/**
 * The pins of an address: each once, and only those that this report can show.
 * @param {string} text
 */
function parsed(text) {
  const pins = new Map();
  const unknown = [];
  let decoded = text;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    // Not written by this report; what fits the form is taken.
  }
  for (const part of decoded.split(",").slice(0, 100)) {
    const found = PIN.exec(part);
    const pin = found && { slug: found[1], latent: Number(found[2]) };
    if (pin && (!store.saes.size || latentHref(pin.slug, pin.latent))) pins.set(name(pin), pin);
    else if (part) unknown.push(part.slice(0, 40));
  }
  return { pins: Array.from(pins.values()), unknown };
}

// ---- links that the server made carry the pins too
/** @param {string} href */
export function carry(href) {
  const within = href.startsWith("#") && (!thisPage.single || document.getElementById(href.slice(1)));
  if (within || OUTSIDE.test(href)) return href;
  const lead = thisPage.single && href.startsWith("#") ? "#" : "";
  const [path, ...rest] = href.slice(lead.length).split("#");
  const kept = rest.join("#").split("&").filter((part) => part && !part.startsWith("pins="));
  const fragment = withPins(kept.join("&"));
  return lead + path + (fragment ? "#" + fragment : "");
}

function dressLinks() {
  for (const link of all(document, "a[href]:not([download])")) {
    const href = link.getAttribute("href") || "";
    const carried = carry(href);
    if (carried !== href) link.setAttribute("href", carried);
  }
}

// ---- the tray
const said = el("p", { class: "tray-said", role: "status" });
const list = el("ul", { id: "pinned" });
const toggle = el("button", { type: "button", "aria-controls": "pinned", "aria-expanded": "false" });
const compare = el("a", { class: "compare" }, "Compare");
const clear = el("button", { type: "button" }, "Clear");
const bar = el("div", {}, toggle, compare, clear);
const tray = el("aside", { class: "tray js-only", "aria-label": "Pinned latents", hidden: "" }, said, list, bar);

/** @param {boolean} wanted */
function open(wanted) {
  toggle.setAttribute("aria-expanded", String(wanted));
  list.hidden = !wanted;
  if (wanted) describe();
}

/** @param {LatentKey} pin */
function item(pin) {
  const href = latentHref(pin.slug, pin.latent) || linkTo("index.html");
  const off = el("button", { type: "button", class: "mini-button", "aria-label": "Unpin " + called(pin) }, "×");
  off.addEventListener("click", () => {
    const place = session.pinned.findIndex((other) => name(other) === name(pin));
    togglePin(pin.slug, pin.latent);
    const left = all(list, "button");
    (left[Math.min(place, left.length - 1)] || document.getElementById("main")).focus();
  });
  const line = el("li", {}, el("a", { href }, called(pin)), el("span", { class: "gloss" }), off);
  line.dataset.pin = name(pin);
  return line;
}

// Label or tokens of what is pinned; the tables they are in are loaded when the tray is open.
async function describe() {
  for (const pin of session.pinned) {
    const table = await loadTable(pin.slug).catch(() => null);
    const row = table && table.byLatent.get(pin.latent);
    if (table && !row) drop([pin]);
    const line = list.querySelector("[data-pin='" + name(pin) + "']");
    if (!row || !line || (!row.label && !row.blind && !store.tokens.size)) continue;
    within(line, ".gloss").replaceWith(glossNode(row));
  }
}

function draw() {
  const n = session.pinned.length;
  tray.hidden = !n && !said.textContent;
  bar.hidden = !n;
  toggle.textContent = n + " pinned";
  compare.href = linkTo("compare.html");
  if (thisPage.kind === "compare") compare.setAttribute("aria-current", "page");
  list.replaceChildren(...session.pinned.map(item));
  if (!n) open(false);
  else if (!list.hidden) describe();
  document.documentElement.classList.toggle("has-tray", !tray.hidden);
}

/** @param {string} text */
function say(text) {
  said.textContent = text;
  if (!text) return;
  const off = el("button", { type: "button", class: "mini-button", "aria-label": "Dismiss" }, "×");
  off.addEventListener("click", () => {
    say("");
    draw();
    byId("main", HTMLElement).focus();
  });
  said.append(" ", off);
}

// ---- the pins of this tab: an older page's address does not know what came after it
/**
 * @param {string} name
 * @param {string | null} [value]
 * @returns {string | null}
 */
function tab(name, value) {
  const key = "saereport-" + name + "-" + store.report.fingerprint;
  try {
    if (value === undefined) return self.sessionStorage.getItem(key);
    if (value === null) self.sessionStorage.removeItem(key);
    else self.sessionStorage.setItem(key, value);
  } catch {
    // No storage: the address alone has them.
  }
  return null;
}

/** @param {LatentKey[]} pins */
function set(pins) {
  session.pinned = pins.slice(0, MOST);
  session.pins = session.pinned.map(name).join(",");
  tab("pins", session.pins);
  dressLinks();
  draw();
  for (const changed of listeners.pins) changed();
}

/** @param {LatentKey[]} pins */
function drop(pins) {
  const gone = new Set(pins.map(name));
  say("Not in this report, so not pinned: " + pins.map(called).join(", ") + ".");
  set(session.pinned.filter((pin) => !gone.has(name(pin))));
  setFragment(fragmentNow());
}
export const dropPins = drop;

/**
 * @param {string} slug
 * @param {number} latent
 */
export function togglePin(slug, latent) {
  const pin = { slug, latent };
  const without = session.pinned.filter((other) => name(other) !== name(pin));
  const off = without.length < session.pinned.length;
  say(off || without.length < MOST ? "" : "At most " + MOST + " latents can be pinned.");
  set(off ? without : [...without, pin]);
  setFragment(fragmentNow());
}

/** @param {string} [text] */
function fromAddress(text = pinsInAddress()) {
  const { pins, unknown } = parsed(text);
  const extra = pins.length > MOST ? "Only the first " + MOST + " are pinned. " : "";
  const words = unknown.length ? "Not in this report, so not pinned: " + unknown.slice(0, 3).join(", ") + (unknown.length > 3 ? " …" : "") : "";
  say(extra + words);
  set(pins);
  if (pinsInAddress() !== session.pins) setFragment(fragmentNow());
}

toggle.addEventListener("click", () => open(Boolean(list.hidden)));
clear.addEventListener("click", () => {
  say("");
  set([]);
  setFragment(fragmentNow());
  byId("main", HTMLElement).focus();
});
tray.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || list.hidden) return;
  open(false);
  toggle.focus();
});
byId("main", HTMLElement).tabIndex = -1;
document.body.append(tray);
open(false);
// Whether the reader went back or forward to another address of this document.
let returned = false;
if (self.navigation)
  self.navigation.addEventListener("navigate", ({ navigationType }) => {
    if (navigationType === "traverse" || navigationType === "push") returned = navigationType === "traverse";
  });
// An address without pins keeps those of the page, and so does one that the reader comes back to;
// another that names others brings them.
self.addEventListener("hashchange", () => {
  const asked = pinsInAddress();
  if (asked && asked !== session.pins && !returned) fromAddress();
  else if (asked !== session.pins) setFragment(fragmentNow());
  returned = false;
  dressLinks();
});
// A single file is loaded again for every page, so there Back is a reload too.
const [came] = self.performance.getEntriesByType("navigation");
const type = came instanceof PerformanceNavigationTiming ? came.type : "";
const reloaded = thisPage.single && type === "reload" && (tab("returned") || !pinsInAddress());
tab("returned", null);
self.addEventListener("pagehide", () => thisPage.single && returned && tab("returned", "yes"));
const before = type === "back_forward" || reloaded ? tab("pins") : null;
fromAddress(before === null ? pinsInAddress() : before);
self.addEventListener("pageshow", (event) => {
  const now = event.persisted ? tab("pins") : null;
  if (now !== null && now !== session.pins) fromAddress(now);
});
