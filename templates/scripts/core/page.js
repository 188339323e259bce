// Which page this is, as its root element says.

const root = document.documentElement;

export const thisPage = {
  /** The way to the report's root, `../` or empty. */
  root: root.dataset.root || "",
  /** The kind of page: `latents`, `sae`, `graph`, … */
  kind: root.dataset.page || "",
  /** The SAE's slug, or empty. */
  sae: root.dataset.sae || "",
  /** Whether the report is one file. */
  single: root.dataset.single !== undefined,
};
