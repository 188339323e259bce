// What a row of the table of latents says of its latent, and where its page is.
import { linkTo } from "./address.js";
import { store } from "./data.js";
import { asText } from "./format.js";

/** @import { LatentRow } from "../records" */

/**
 * Whether the histogram in a row counts anything; "A" is an empty bar.
 * @param {LatentRow} row
 */
const counted = (row) => /[^A]/.test(row.spark);

/**
 * Whether the latent of a row is active: other tools round small densities to 0.
 * @param {LatentRow} row
 */
export const alive = (row) => row.density > 0 || row.max > 0 || counted(row);

/**
 * Without a histogram, a density of 0 is one that the imported files do not give.
 * @param {LatentRow} row
 */
export function densityText(row) {
  if (row.density > 0) return asText.percent(row.density);
  if (!alive(row)) return "dead";
  return counted(row) ? asText.percent(Number.MIN_VALUE) : "–";
}

/**
 * The place of the last number that is not above `value` in a sorted list.
 * @param {number[]} firsts
 * @param {number} value
 */
export function before(firsts, value) {
  let low = 0;
  let high = firsts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (firsts[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * @param {string} letter
 * @param {number} n
 */
export const numbered = (letter, n) => letter + String(n).padStart(4, "0");

/**
 * Where a latent's page is, or null if the report does not show it for certain.
 * @param {string} slug
 * @param {number} latent
 * @returns {string | null}
 */
export function latentHref(slug, latent) {
  const sae = store.saes.get(slug);
  if (!sae || !sae.count || latent < sae.firsts[0] || latent > sae.last) return null;
  const page = numbered("l", before(sae.firsts, latent));
  return linkTo(slug + "/" + page + ".html", "latent-" + latent);
}
