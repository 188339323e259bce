// Scatter plots of one set of latents: what is pointed at or chosen in one is marked in all of them.
// They are drawn on canvases, since 25,000 latents in several plots are too many elements.
import { goTo } from "../core/address.js";
import { colourOf, el, maybe, within } from "../core/dom.js";
import { asText } from "../core/format.js";
import { latentHref } from "../core/latents.js";
import { whenSeen } from "../core/seen.js";
import { showTip } from "../core/tip.js";
import { unpack } from "../core/tokens.js";
import { offer } from "../shell/downloads.js";
import { onRedraw } from "./figures.js";
import { keyList } from "./keys.js";

/** @import { CloudAxis, CloudBlock, Plot } from "../types" */

// As in saereport/site/clouds.py: places on an axis lie from 1 to STEPS + 1; 0 is none.
const STEPS = 3166;
const MARGIN = { left: 52, right: 10, top: 8, bottom: 38 };
const REACH = 14;

/** @typedef {{ name: string, log: boolean, low: number, high: number, places: number[] }} Axis */
/** @typedef {{ x: Axis, y: Axis, base: HTMLCanvasElement, over: HTMLCanvasElement }} Drawing */

/** @param {CloudAxis} axis */
const axisOf = ({ name, log, low, high, values }) => ({ name, log, low, high, places: unpack(values) });

/**
 * The number of a latent on an axis; null without one.
 * @param {Axis} axis
 * @param {number} row
 */
function valueOf(axis, row) {
  const place = axis.places[row];
  if (!place) return null;
  const at = axis.low + ((place - 1) / STEPS) * (axis.high - axis.low);
  return axis.log ? 10 ** at : at;
}

/**
 * Round numbers along an axis, in its own terms, with their text.
 * @param {Axis} axis
 * @returns {[at: number, text: string][]}
 */
function ticks({ log, low, high }) {
  /** @type {[number, string][]} */
  const found = [];
  if (log) {
    const steps = high - low > 2.5 ? [1] : high - low > 1.2 ? [1, 3] : [1, 2, 5];
    for (let power = Math.floor(low); power <= high; power += 1)
      for (const step of steps) {
        const at = power + Math.log10(step);
        if (at >= low && at <= high) found.push([at, asText.value(10 ** at)]);
      }
    return found;
  }
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((times) => power * times >= rough) || 10);
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push([i * step, asText.value(i * step)]);
  return found;
}

/**
 * Pixels of a drawing's point; null where it is not drawn.
 * @param {Drawing} drawing
 * @param {number} row
 */
function pixel({ x, y, base }, row) {
  const [across, up] = [x.places[row], y.places[row]];
  if (!across || !up) return null;
  const width = base.clientWidth - MARGIN.left - MARGIN.right;
  const height = base.clientHeight - MARGIN.top - MARGIN.bottom;
  return [MARGIN.left + ((across - 1) / STEPS) * width, MARGIN.top + (1 - (up - 1) / STEPS) * height];
}

/**
 * A canvas's context, cleared and in CSS pixels.
 * @param {HTMLCanvasElement} canvas
 */
function cleared(canvas) {
  const scale = self.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  const pen = canvas.getContext("2d");
  if (pen) pen.setTransform(scale, 0, 0, scale, 0, 0);
  return pen;
}

/**
 * Axes with their ticks and names.
 * @param {CanvasRenderingContext2D} pen
 * @param {Drawing} drawing
 */
function drawAxes(pen, { x, y, base }) {
  const [right, bottom] = [base.clientWidth - MARGIN.right, base.clientHeight - MARGIN.bottom];
  const [width, height] = [right - MARGIN.left, bottom - MARGIN.top];
  pen.font = "11px " + getComputedStyle(document.body).fontFamily;
  pen.strokeStyle = colourOf("line");
  pen.fillStyle = colourOf("ink-2");
  pen.lineWidth = 1;
  /**
   * @param {Axis} axis
   * @param {number} at
   */
  const share = (axis, at) => (axis.high > axis.low ? (at - axis.low) / (axis.high - axis.low) : 0);
  pen.beginPath();
  pen.textAlign = "center";
  let end = -Infinity;
  for (const [at, text] of ticks(x)) {
    const left = MARGIN.left + share(x, at) * width;
    pen.moveTo(left, MARGIN.top);
    pen.lineTo(left, bottom);
    const half = pen.measureText(text).width / 2;
    if (left - half < end + 6 || left + half > base.clientWidth) continue;
    end = left + half;
    pen.fillText(text, left, bottom + 14);
  }
  pen.textAlign = "right";
  for (const [at, text] of ticks(y)) {
    const top = MARGIN.top + (1 - share(y, at)) * height;
    pen.moveTo(MARGIN.left, top);
    pen.lineTo(right, top);
    pen.fillText(text, MARGIN.left - 5, top + 4);
  }
  pen.stroke();
  pen.fillStyle = colourOf("ink-3");
  pen.textAlign = "center";
  pen.fillText(x.name, MARGIN.left + width / 2, bottom + 31);
  pen.save();
  pen.translate(11, MARGIN.top + height / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(y.name, 0, 0);
  pen.restore();
}

/**
 * @param {CloudBlock} block
 * @param {HTMLElement | null} [given]
 */
export function cloudBlock(block, given) {
  const axes = block.axes.map(axisOf);
  const latents = block.latents.length ? block.latents : Array.from({ length: block.n }, (_, i) => i);
  const rowOf = new Map(latents.map((latent, row) => [latent, row]));
  const groups = (block.groups || []).map(({ name, role, rows }) => ({ name, role, rows: unpack(rows) }));
  const kind = new Map(groups.flatMap(({ name, rows }) => rows.map((row) => [row, name])));
  const shown = new Map(block.shown);
  const box = given || el("figure", { class: "block figure" });
  if (!given) box.append(el("figcaption", {}), el("p", { class: "summary" }, block.summary));
  const caption = within(box, "figcaption");
  const plots = el("div", { class: "cloud" });
  (maybe(box, ".summary") || caption).after(plots);

  const drawings = block.plots.map(([across, up]) => {
    const [x, y] = [axes[across], axes[up]];
    const label = "Scatter plot: " + y.name + " over " + x.name + " of " + asText.count(block.n) + " latents.";
    const base = el("canvas", { role: "img", "aria-label": label });
    const over = el("canvas", { "aria-hidden": "true" });
    plots.append(el("div", { class: "cloud-plot" }, base, over));
    return { x, y, base, over };
  });
  const size = block.n > 8000 ? 1.2 : block.n > 1500 ? 2 : 2.6;
  const drawBase = () => {
    const colours = new Map(["ink-3", "ink", ...groups.map(({ role }) => role)].map((name) => [name, colourOf(name)]));
    const order = [...groups.map(({ rows, role }) => ({ rows, role, radius: size + 0.5 })), { rows: [...shown.keys()], role: "", radius: size + 1.4 }];
    for (const drawing of drawings) {
      const pen = cleared(drawing.base);
      if (!pen) continue;
      drawAxes(pen, drawing);
      pen.fillStyle = colours.get("ink-3") || "";
      pen.globalAlpha = block.n > 8000 ? 0.6 : 0.85;
      for (let row = 0; row < block.n; row += 1) {
        const at = pixel(drawing, row);
        if (at) pen.fillRect(at[0] - size / 2, at[1] - size / 2, size, size);
      }
      pen.globalAlpha = 1;
      for (const { rows, role, radius } of order)
        for (const row of rows) {
          const at = pixel(drawing, row);
          if (!at) continue;
          pen.beginPath();
          pen.arc(at[0], at[1], radius, 0, 2 * Math.PI);
          if (role) {
            pen.fillStyle = colours.get(role) || "";
            pen.fill();
          } else {
            // Latents that the report shows have a ring, whatever kind they are of.
            pen.strokeStyle = colours.get("ink") || "";
            pen.lineWidth = 1.1;
            pen.stroke();
          }
        }
    }
  };

  const said = el("p", { class: "cloud-said", role: "status" });
  /** @type {number | null} */
  let chosen = null;
  /** @param {number} row */
  const lines = (row) => {
    const values = axes.map((axis) => {
      const value = valueOf(axis, row);
      return axis.name + " " + (value === null ? "–" : asText.value(value));
    });
    const label = shown.get(row);
    return ["Latent " + latents[row] + (kind.has(row) ? ", " + kind.get(row) : ""), ...(label ? [label] : []), values.join(" · "), ...(block.notes[row] ? [block.notes[row]] : [])];
  };
  /** @param {number | null} row */
  const mark = (row) => {
    for (const drawing of drawings) {
      const pen = cleared(drawing.over);
      const at = pen && row !== null && pixel(drawing, row);
      if (!pen || !at) continue;
      pen.strokeStyle = colourOf("accent");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(at[0], at[1], 7, 0, 2 * Math.PI);
      pen.stroke();
      pen.beginPath();
      pen.globalAlpha = 0.45;
      pen.lineWidth = 1;
      pen.moveTo(MARGIN.left, at[1]);
      pen.lineTo(drawing.base.clientWidth - MARGIN.right, at[1]);
      pen.moveTo(at[0], MARGIN.top);
      pen.lineTo(at[0], drawing.base.clientHeight - MARGIN.bottom);
      pen.stroke();
    }
  };
  /** @param {number | null} row */
  const choose = (row) => {
    chosen = row;
    mark(row);
    said.replaceChildren();
    if (row === null) return;
    const [first, ...others] = lines(row);
    const href = shown.has(row) ? latentHref(block.sae, latents[row]) : null;
    said.append(href ? el("a", { href }, first) : el("b", {}, first), ...others.map((line) => el("span", {}, line)));
  };
  /**
   * The row of the point nearest to the mouse, if one is near.
   * @param {Drawing} drawing
   * @param {MouseEvent} event
   */
  const nearest = (drawing, event) => {
    const { left, top } = drawing.base.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    let [best, row] = [REACH * REACH, -1];
    for (let i = 0; i < block.n; i += 1) {
      const at = pixel(drawing, i);
      if (!at) continue;
      // Of points on one place the one that can be gone to is meant.
      const far = (at[0] - x) ** 2 + (at[1] - y) ** 2 - (shown.has(i) ? 4 : 0);
      if (far < best) [best, row] = [far, i];
    }
    return row < 0 ? null : row;
  };
  for (const drawing of drawings) {
    drawing.over.addEventListener("mousemove", (event) => {
      const row = nearest(drawing, event);
      mark(row ?? chosen);
      showTip(row === null ? null : lines(row), event.clientX, event.clientY);
    });
    drawing.over.addEventListener("mouseleave", () => {
      mark(chosen);
      showTip(null);
    });
    drawing.over.addEventListener("click", (event) => {
      const row = nearest(drawing, event);
      if (row !== null && row === chosen && shown.has(row)) {
        const href = latentHref(block.sae, latents[row]);
        if (href) goTo(href);
      } else choose(row);
      input.value = row === null ? "" : String(latents[row]);
    });
  }

  const input = el("input", { type: "text", inputmode: "numeric", autocomplete: "off", placeholder: "number" });
  const find = el("label", { class: "field cloud-find" }, el("span", {}, "Mark latent"), input);
  input.addEventListener("input", () => {
    const row = /^\d+$/.test(input.value.trim()) ? rowOf.get(Number(input.value)) : undefined;
    choose(row ?? null);
    if (row === undefined && input.value.trim()) said.append(el("span", {}, "This latent is not among those measured."));
  });
  const key = keyList([
    ...groups.filter(({ rows }) => rows.length).map(({ name, role }) => /** @type {[string, string]} */ (["dot d-" + role, name])),
    ["dot d-ink-3", groups.length ? "of no kind" : "latents"],
    ...(shown.size ? [/** @type {[string, string]} */ (["ring", "shown in this report"])] : []),
  ]);
  plots.after(...(key ? [key] : []), find, said);
  const name = (maybe(box.closest(".panel") || box, "h2") || { textContent: "latents" }).textContent || "latents";
  caption.append(offer(name, () => ({ columns: ["latent", ...axes.map((axis) => axis.name)], rows: latents.map((latent, row) => [latent, ...axes.map((axis) => valueOf(axis, row) ?? "")]) })));
  const draw = () => {
    drawBase();
    mark(chosen);
  };
  whenSeen(plots, () => onRedraw(/** @type {Plot} */ (plots), draw));
  return box;
}
