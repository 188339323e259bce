// The blocks that are in a page's HTML already, with what they say: here they are drawn.
import { store } from "../core/data.js";
import { all, maybe } from "../core/dom.js";
import { load } from "../core/load.js";
import { whenSeen } from "../core/seen.js";
import { chosen } from "../core/view.js";
import { offerOnce } from "../shell/downloads.js";
import { cloudBlock } from "./cloud.js";
import { figureBlock, freshen } from "./figures.js";
import { heatmapBlock } from "./heatmap.js";
import { linesBlock } from "./lines.js";
import { merged } from "./merge.js";
import { scatterBlock } from "./scatter.js";

/** @import { PageData } from "../types" */

/** @type {Record<string, (block: any, given: HTMLElement) => unknown>} */
const DRAWN = { bars: figureBlock, cloud: cloudBlock, heatmap: heatmapBlock, lines: linesBlock, scatter: scatterBlock };

/**
 * @param {PageData} page
 * @param {HTMLElement} figure
 */
function drawBlock(page, figure) {
  const key = figure.dataset.block || "";
  const draw = () => {
    // A block that cannot be drawn, such as another package's, stays as it is told; the page goes on.
    try {
      const block = merged(page.blocks.get(key));
      if (Object.hasOwn(DRAWN, block.b)) DRAWN[block.b](block, figure);
      offerOnce(figure);
    } catch (error) {
      self.reportError(error);
    }
  };
  const { load: path } = page.blocks.get(key) || {};
  const begin = () => {
    if (!path) draw();
    else
      whenSeen(figure, async () => {
        await load(path);
        draw();
      });
  };
  // What is folded away is drawn when it is unfolded.
  const fold = figure.closest("details.unfold:not([open])");
  if (fold) fold.addEventListener("toggle", begin, { once: true });
  else begin();
}

/**
 * Where the address names a cell of a drawing, that is unfolded and gone to, which draws it.
 */
function goToCell() {
  const [key] = chosen("cell").split("~");
  const figure = key ? all(document, "[data-block]").find((node) => node.dataset.block === key) : null;
  const fold = figure && figure.closest("details.unfold");
  if (fold instanceof HTMLDetailsElement) fold.open = true;
  if (figure) figure.scrollIntoView();
}

/** The data of this page's blocks, once all of them are drawn or wait to be seen; null without. */
export function drawBlocks() {
  const panels = maybe(document, "[data-of]");
  const page = panels && store.pages.get(panels.dataset.of || "");
  if (!page) return null;
  for (const figure of all(document, "[data-block]")) if (page.blocks.has(figure.dataset.block || "")) drawBlock(page, figure);
  for (const fold of all(document, "details.unfold")) fold.addEventListener("toggle", freshen);
  goToCell();
  return page;
}
