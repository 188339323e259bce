// The controls above a graph: which links and nodes are drawn, groups, and what leaves the page.
import { el } from "../core/dom.js";
import { asText } from "../core/format.js";
import { copyLink } from "../shell/actions.js";

/** @import { GraphPage } from "./page.js" */

/**
 * The row of controls of a page; `show` sets them to the page's state.
 * @param {GraphPage} page
 */
export function controlsOf(page) {
  const { model } = page;
  const box = el("div", { class: "g-tools" });
  /**
   * @param {string} label
   * @param {Record<string, number>} fields
   * @param {(value: number) => void} input
   */
  const slider = (label, fields, input) => {
    const out = el("output", {});
    const range = el("input", { type: "range", ...fields });
    range.addEventListener("input", () => input(Number(range.value)));
    box.append(el("label", { class: "field" }, el("span", {}, label + " ", out), range));
    return { range, out };
  };
  /**
   * @param {string} label
   * @param {"errors" | "paths" | "near"} name
   */
  const tick = (label, name) => {
    const check = el("input", { type: "checkbox" });
    check.addEventListener("change", () => page.change({ [name]: check.checked }, name === "errors"));
    box.append(el("label", { class: "g-tick" }, check, label));
    return check;
  };
  const total = model.links.length;
  const links = slider("Links", { min: 0, max: 100, step: 1 }, (v) =>
    page.change({ links: v === 0 ? 0 : Math.round(Math.exp((Math.log(total) * v) / 100)) }));
  const influence = slider("Nodes", { min: 0, max: 1, step: 0.01 }, (v) => page.change({ influence: v }));
  const errors = tick("error nodes", "errors");
  const paths = tick("follow whole paths", "paths");
  const near = tick("neighbours only", "near");
  const name = el("input", { type: "text", placeholder: "Name of a group", "aria-label": "Name of the new group", autocomplete: "off", maxlength: "40" });
  const group = el("button", { type: "button" }, "Group");
  group.addEventListener("click", () => page.group(name));
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") page.group(name);
  });
  /**
   * @param {string} text
   * @param {() => void} action
   */
  const button = (text, action) => {
    const made = el("button", { type: "button" }, text);
    made.addEventListener("click", action);
    return made;
  };
  const trace = button("Trace the answer", () => page.traceAnswer());
  const copy = button("Copy link", () => copyLink());
  const save = button("Export JSON", () => page.save());
  const clear = button("Clear", () => page.clear());
  const made = el("span", { class: "g-group" }, name, group);
  box.append(el("div", { class: "g-more" }, trace, made, el("span", { class: "g-actions" }, copy, save, clear)));
  const show = () => {
    const { state } = page;
    const { count, percent, value } = asText;
    if (document.activeElement !== links.range) links.range.value = String(state.links ? Math.round((100 * Math.log(state.links)) / Math.log(Math.max(2, total))) : 0);
    const { drawn } = page;
    links.out.textContent = drawn.links
      ? count(drawn.links) + " of " + count(drawn.of) + ", score from " + value(drawn.from)
      : "of the pinned node only";
    influence.range.value = String(state.influence);
    influence.out.textContent = state.influence < 1 ? "up to " + percent(state.influence) + " of influence" : "all";
    errors.checked = state.errors;
    paths.checked = state.paths;
    near.checked = state.near;
    trace.setAttribute("aria-pressed", String(state.trace && state.pinned === model.record.target));
    const n = page.selected.size;
    group.disabled = n < 2;
    group.textContent = n ? "Group " + n : "Group";
    group.title = n < 2 ? "Choose two or more nodes first: Shift+click, or g on the keyboard" : "";
  };
  return { box, name, show };
}
