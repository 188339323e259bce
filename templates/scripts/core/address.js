// Addresses. In a report's folder a page's fragment lies behind the `#`. In a single file the page's
// own path comes first: `#resid-l10/l0000.html#latent-47`. Pinned latents go along to every page, as
// `pins`.
import { thisPage } from "./page.js";
import { session } from "./state.js";

const PINS = /(?:^|&)pins=([^&#]*)/;

// What the page shows, where the address cannot be written: in a frame without one of its own.
/** @type {string | null} */
let unwritten = null;
self.addEventListener("hashchange", () => (unwritten = null));

function behind() {
  if (unwritten !== null) return unwritten;
  const hash = self.location.hash.slice(1);
  const at = thisPage.single ? hash.indexOf("#") : -1;
  return thisPage.single && at < 0 ? "" : hash.slice(at + 1);
}

// What an address says about this page, without the pins.
export const fragmentNow = () => behind().replace(PINS, "");

// The pins as the address has them.
export function pinsInAddress() {
  const found = PINS.exec(behind());
  return found ? found[1] : "";
}

/** @param {string} fragment */
export const withPins = (fragment) => [fragment, session.pins ? "pins=" + session.pins : ""].filter(Boolean).join("&");

/**
 * Say in the address what the page shows, without a new entry in the history.
 * @param {string} fragment
 */
export function setFragment(fragment) {
  const rest = withPins(fragment);
  const text = thisPage.single ? document.documentElement.dataset.path + (rest ? "#" + rest : "") : rest;
  const { pathname, search } = self.location;
  try {
    self.history.replaceState(null, "", text ? "#" + text : pathname + search);
    unwritten = null;
  } catch {
    unwritten = rest;
  }
}

// The whole address: page, what it shows, and pinned latents.
export function viewAddress() {
  setFragment(fragmentNow());
  return self.location.href;
}

/**
 * The address of a page of this report, from its path and what it should show.
 * @param {string} path
 * @param {string} [fragment]
 */
export function linkTo(path, fragment) {
  const rest = withPins(fragment || "");
  return (thisPage.single ? "#" : thisPage.root) + path + (rest ? "#" + rest : "");
}

/**
 * The same for an address relative to the report's root, `resid-l10/l0000.html#latent-47`.
 * @param {string} href
 */
export function addressOf(href) {
  const [path, fragment] = href.split("#");
  return linkTo(path, fragment);
}

/**
 * Go to an address that one of these made; `replace` leaves no entry in the history.
 * @param {string} href
 * @param {boolean} [replace]
 */
export function goTo(href, replace) {
  const hash = href.slice(href.indexOf("#"));
  // In a single file the document is loaded again: only what is gone to begins at the top, not
  // what one comes back to.
  session.leaving = true;
  if (!thisPage.single || !hash.startsWith("#")) {
    if (replace) self.location.replace(href);
    else self.location.href = href;
  } else if (self.location.hash === hash) {
    self.dispatchEvent(new HashChangeEvent("hashchange"));
  } else if (replace) self.location.replace(self.location.href.split("#")[0] + hash);
  else self.location.hash = hash;
}

session.pins = pinsInAddress();
