// Made from templates/scripts; see CONTRIBUTING.md.
"use strict";
"use strict";
(() => {
  // core/dom.js
  var all = (part, selector) => Array.from(part.querySelectorAll(selector)).filter((node) => node instanceof HTMLElement);
  function byId(id, kind) {
    const found = document.getElementById(id);
    if (!(found instanceof kind)) throw new Error("the page has no " + id);
    return found;
  }

  // difference.js
  var root = document.documentElement;
  byId("theme", HTMLElement).addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : self.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      self.localStorage.setItem("saereport-theme", root.dataset.theme);
    } catch {
    }
  });
  var filters = document.getElementById("filters");
  function startFilters(filters2) {
    const find = byId("find", HTMLInputElement);
    const metric = byId("metric", HTMLSelectElement);
    const found = byId("found", HTMLElement);
    const cards = all(document, ".d-card").map((node) => ({
      node,
      metrics: (node.dataset.metrics || "").split(" "),
      text: node.textContent.toLowerCase()
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
    filters2.addEventListener("submit", (event) => event.preventDefault());
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
})();
