// What scrolls sideways or within itself can be reached and scrolled by the keyboard.
import { all, maybe } from "../core/dom.js";

const NAME = "Scrolls; use the arrow keys";
const BOXES = ".scroll, .scroll-x";

/** @param {HTMLElement} box */
function mark(box) {
  const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
  if (scrolls === box.hasAttribute("tabindex")) return;
  if (scrolls) {
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    const caption = box.closest("figure, details, section");
    const heading = caption && maybe(caption, "h2, h3, summary");
    box.setAttribute("aria-label", heading ? heading.textContent.trim() + ". " + NAME : NAME);
  } else for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
}

/** @param {Element} part */
function around(part) {
  const box = part.closest(BOXES);
  if (box instanceof HTMLElement) mark(box);
}

const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => around(target)));
const seen = new WeakSet();
/** @param {Node} node */
function find(node) {
  if (!(node instanceof HTMLElement)) return;
  const inside = all(node, BOXES);
  for (const box of node.matches(BOXES) ? [node, ...inside] : inside) {
    if (seen.has(box)) continue;
    seen.add(box);
    // What is inside grows without the box where the reader's font or text size changes.
    for (const part of [box, ...box.children]) sizes.observe(part);
    mark(box);
  }
}
const changes = new MutationObserver((records) => records.forEach((record) => record.addedNodes.forEach(find)));
changes.observe(document.body, { childList: true, subtree: true });
find(document.body);
