// What a reader chose on a prompt's page, kept in its address: `token=3&cell=maps.6.1~…`. A part
// without a value, before it, is a place on the page. What makes no sense is passed over by who asks.
import { fragmentNow, setFragment } from "./address.js";
import { thisPage } from "./page.js";

const LONGEST = 400;

/** @param {string} fragment */
function partsOf(fragment) {
  const [first, ...rest] = fragment.split("&");
  const place = first.includes("=") ? "" : first;
  return { place, values: new URLSearchParams(place ? rest.join("&") : fragment) };
}

/**
 * What the address says of one choice; empty where it says nothing.
 * @param {string} name
 */
export const chosen = (name) => (thisPage.kind === "prompt" ? (partsOf(fragmentNow()).values.get(name) || "").slice(0, LONGEST) : "");

/**
 * Say a choice in the address; empty for none.
 * @param {string} name
 * @param {string} value
 */
export function choose(name, value) {
  if (thisPage.kind !== "prompt") return;
  const { place, values } = partsOf(fragmentNow());
  if (value) values.set(name, value);
  else values.delete(name);
  setFragment([place, values.toString().replaceAll("%3A", ":").replaceAll("%7E", "~").replaceAll("%40", "@")].filter(Boolean).join("&"));
}

/**
 * Have a function called when the reader goes to another address of this page.
 * @param {() => void} action
 */
export const whenChosen = (action) => self.addEventListener("hashchange", action);
