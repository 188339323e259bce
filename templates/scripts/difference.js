// The page of a comparison: find a latent, show only what changed in one metric, choose the colours.
import { all, byId } from "./core/dom.js";

const root = document.documentElement;
byId("theme", HTMLElement).addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : self.matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    self.localStorage.setItem("saereport-theme", root.dataset.theme);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
});

const filters = document.getElementById("filters");

/** @param {HTMLElement} filters */
function startFilters(filters) {
  const find = byId("find", HTMLInputElement);
  const metric = byId("metric", HTMLSelectElement);
  const found = byId("found", HTMLElement);
  const cards = all(document, ".d-card").map((node) => ({
    node,
    metrics: (node.dataset.metrics || "").split(" "),
    text: node.textContent.toLowerCase(),
  }));
  function apply() {
    const words = find.value.trim().toLowerCase();
    let shown = 0;
    for (const { node, metrics, text } of cards) {
      const fits = (!metric.value || metrics.includes(metric.value)) && text.includes(words);
      node.hidden = !fits;
      if (fits) shown += 1;
    }
    found.textContent = shown === cards.length ? cards.length + " latents side by side" : shown + " of " + cards.length + " latents";
  }
  filters.addEventListener("submit", (event) => event.preventDefault());
  find.addEventListener("input", apply);
  metric.addEventListener("change", apply);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    find.focus();
  });
  apply();
}

if (filters) startFilters(filters);
