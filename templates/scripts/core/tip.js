// The one tooltip.
import { el } from "./dom.js";

/** @type {HTMLElement | null} */
let tip = null;
/**
 * Lines of text near a point; without lines it goes away.
 * @param {string[] | null} lines
 * @param {number} [x]
 * @param {number} [y]
 */
export function showTip(lines, x = 0, y = 0) {
  if (!tip) {
    tip = el("div", { class: "tip", role: "tooltip", hidden: "" });
    document.body.append(tip);
  }
  if (!lines) {
    tip.hidden = true;
    return;
  }
  tip.replaceChildren(
    ...lines.map((line, i) => (i === 0 ? el("b", {}, line) : el("div", {}, line))),
  );
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = Math.max(4, Math.min(x + 12, self.innerWidth - box.width - 8));
  const top = y + 18 + box.height > self.innerHeight ? y - box.height - 10 : y + 18;
  tip.style.setProperty("left", left + "px");
  tip.style.setProperty("top", Math.max(4, top) + "px");
}
