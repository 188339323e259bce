// Dragging over the histogram of activations chooses which examples to see.
import { el } from "../core/dom.js";
import { asText } from "../core/format.js";
import { showTip } from "../core/tip.js";
import { changeView, reading } from "./reading.js";

/** @import { Colours, Plot, View } from "../types" */

const QUARTERS = 4;

/**
 * Where an activation lies on the axis of a view, and back; octaves are cut into four equal bins.
 * @param {number} k
 */
const edge = (k) => 2 ** Math.floor(k / QUARTERS) * (1 + (((k % QUARTERS) + QUARTERS) % QUARTERS) / QUARTERS);
/**
 * @param {number} value
 * @param {Pick<View, "octaves">} view
 */
export function toAxis(value, view) {
  if (!view.octaves) return value;
  const power = Math.floor(Math.log2(Math.max(value, 2 ** -300)));
  return QUARTERS * power + QUARTERS * (value / 2 ** power - 1) - 0.5;
}
/**
 * @param {number} place
 * @param {Pick<View, "octaves">} view
 */
export function fromAxis(place, view) {
  if (!view.octaves) return place;
  const k = Math.floor(place + 0.5);
  return edge(k) + (place + 0.5 - k) * (edge(k + 1) - edge(k));
}

/**
 * The chosen range behind the bars, within the bins that there are.
 * @param {View} view
 * @param {Colours} colours
 */
export function brushedShapes(view, colours) {
  const { range } = reading;
  const { x0 = 0, dx = 1, y } = view.data[0];
  if (!range) return [];
  /** @param {number} value */
  const clamp = (value) => Math.max(x0 - dx / 2, Math.min(x0 + dx * (y.length - 0.5), toAxis(value, view)));
  const [low, high] = range.map(clamp);
  const line = { color: colours.ink, width: 1, dash: "dot" };
  return [{ type: "rect", layer: "below", yref: "paper", x0: low, x1: high, y0: 0, y1: 1, fillcolor: colours.act, opacity: 0.22, line }];
}

/**
 * @param {Plot} plot
 * @param {() => View} viewNow
 */
export function brushOver(plot, viewNow) {
  const box = el("div", { class: "brush", "aria-hidden": "true" });
  /** @type {number | null} */
  let from = null;
  // The library's own measures, which are there once it has drawn.
  const layout = () => {
    if (!plot._fullLayout) throw new Error("not drawn");
    return plot._fullLayout;
  };
  /** @param {PointerEvent} event */
  const place = (event) => {
    const { xaxis, _size: size } = layout();
    return Math.max(0, Math.min(xaxis._length, event.clientX - plot.getBoundingClientRect().left - size.l));
  };
  /** @param {number} x */
  const value = (x) => Math.max(0, fromAxis(layout().xaxis.p2d(x), viewNow()));
  plot.addEventListener("pointerdown", (event) => {
    if (event.button || !plot._fullLayout) return;
    const { _size: size } = layout();
    if (event.clientY - plot.getBoundingClientRect().top > size.t + size.h) return;
    from = place(event);
    plot.setPointerCapture(event.pointerId);
    plot.append(box);
  });
  plot.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const { _size: size } = layout();
    const to = place(event);
    box.style.setProperty("left", size.l + Math.min(from, to) + "px");
    box.style.setProperty("width", Math.abs(to - from) + "px");
    box.style.setProperty("top", size.t + "px");
    box.style.setProperty("height", size.h + "px");
    showTip(["activation", [from, to].map(value).sort((a, b) => a - b).map(asText.value).join(" to ")], event.clientX, event.clientY);
  });
  /** @param {PointerEvent} event */
  const end = (event) => {
    if (from === null) return;
    const to = place(event);
    const [low, high] = [from, to].map(value).map((number) => Number(number.toPrecision(3))).sort((a, b) => a - b);
    const moved = Math.abs(to - from) > 3;
    from = null;
    box.remove();
    showTip(null);
    if (moved && event.type === "pointerup") changeView({ range: [low, high] });
  };
  plot.addEventListener("pointerup", end);
  plot.addEventListener("pointercancel", end);
  plot.classList.add("brushes", "follows");
  let shown = "";
  plot.follow = () => {
    if (shown === String(reading.range) || !plot.redraw) return;
    shown = String(reading.range);
    plot.redraw();
  };
}
