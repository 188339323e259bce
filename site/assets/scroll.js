// What scrolls sideways or within itself can be reached and scrolled by the keyboard.
"use strict";
(function () {
  const NAME = "Scrolls; use the arrow keys";

  function mark(box) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (scrolls === box.hasAttribute("tabindex")) return;
    if (scrolls) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      const caption = box.closest("figure, details, section");
      const heading = caption && caption.querySelector("h2, h3, summary");
      box.setAttribute("aria-label", heading ? heading.textContent.trim() + ". " + NAME : NAME);
    } else for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
  }

  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
  const seen = new WeakSet();
  function find(node) {
    if (!(node instanceof Element)) return;
    const inside = Array.from(node.querySelectorAll(".scroll"));
    for (const box of node.matches(".scroll") ? [node, ...inside] : inside) {
      if (seen.has(box)) continue;
      seen.add(box);
      sizes.observe(box);
      mark(box);
    }
  }
  const changes = new MutationObserver((records) => records.forEach((record) => record.addedNodes.forEach(find)));
  changes.observe(document.body, { childList: true, subtree: true });
  find(document.body);
})();
