// What drawings have in common: their frame, axes with names, text that is cut.
import { el, maybe, within } from "../core/dom.js";
import { filled, plotBox, plotText } from "./figures.js";

/** @import { Colours, DrawnBlock } from "../types" */

/**
 * @param {string[]} texts
 * @param {Colours} colours
 */
export function nameAxis(texts, colours) {
  return {
    type: "linear",
    tickmode: "array",
    tickvals: texts.map((_, i) => i),
    ticktext: texts.map(plotText),
    range: [-0.5, texts.length - 0.5],
    showgrid: false,
    zeroline: false,
    automargin: true,
    ticks: "",
    tickfont: { size: 10, color: colours["ink-2"] },
  };
}

/**
 * @param {string} title
 * @param {Colours} colours
 */
export const valueAxis = (title, colours) => ({
  gridcolor: colours.line,
  zerolinecolor: colours["line-2"],
  automargin: true,
  title: { text: title },
});

/** @param {Colours} colours */
export const frameLayout = (colours) => ({
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
  margin: { l: 8, r: 8, t: 8, b: 8 },
  showlegend: false,
  hovermode: "closest",
  dragmode: self.matchMedia("(pointer: coarse)").matches ? false : "zoom",
});

/**
 * Long text is cut in its middle: what tells labels apart is often at the end.
 * @param {string} text
 * @param {number} most
 */
export const shorten = (text, most) =>
  text.length > most ? text.slice(0, Math.ceil(most / 2) - 1) + "…" + text.slice(text.length - Math.floor(most / 2)) : text;

/**
 * A figure with its caption, its sentence and a place to draw; `given` is the one that is in the
 * page already.
 * @param {DrawnBlock} block
 * @param {HTMLElement | null} given
 */
export function frameOf(block, given) {
  const summary = filled(block.summary, block.v);
  const box = given || el("figure", { class: "block figure" });
  if (!given) box.append(el("figcaption", {}, block.title ? el("h3", {}, block.title) : null), el("p", { class: "summary" }, summary));
  const caption = within(box, "figcaption");
  const heading = maybe(box, "h3") || maybe(box.closest(".panel") || box, "h2");
  const name = (heading && heading.textContent) || "figure";
  // A drawing is called by its sentence, or without one by what is above it.
  const said = summary || name + ".";
  const plot = plotBox({ class: "plot", role: "img", "aria-label": said });
  (maybe(box, ".summary") || caption).after(plot);
  return { box, caption, plot, summary: said, name };
}
