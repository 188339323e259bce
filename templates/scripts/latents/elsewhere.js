// A number that is no latent of one SAE may be one of another SAE of the report.
import { store } from "../core/data.js";
import { el } from "../core/dom.js";
import { latentHref } from "../core/latents.js";
import { loadTable } from "../core/load.js";
import { glossNode } from "../blocks/lists.js";

/**
 * Links to the latents with a number that other SAEs show, and to Neuronpedia; null without any.
 * @param {string} slug
 * @param {number} latent
 */
export async function elsewhere(slug, latent) {
  const maybe = store.report.saes.filter((sae) => sae.slug !== slug && latentHref(sae.slug, latent));
  const found = await Promise.all(
    maybe.map(async (sae) => {
      const table = await loadTable(sae.slug);
      const row = table && table.byLatent.get(latent);
      const link = el("a", { href: latentHref(sae.slug, latent) }, sae.label + " " + latent);
      return row ? el("li", {}, link, " ", glossNode(row)) : null;
    }),
  );
  const items = found.filter((item) => item !== null);
  const own = store.saes.get(slug);
  if (own && own.neuronpedia) {
    const link = el("a", { href: own.neuronpedia + "/" + latent, rel: "noreferrer" }, own.label + " " + latent + " ↗");
    items.push(el("li", {}, link, " on Neuronpedia"));
  }
  return items.length ? el("ul", { class: "elsewhere", "aria-label": "Latents " + latent + " elsewhere" }, ...items) : null;
}
