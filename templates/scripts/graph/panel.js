// What is said about a node: the card beside it, and the panel with its inputs and outputs.
import { levelOf } from "../blocks/examples.js";
import { tokenCode } from "../blocks/lists.js";
import { addressOf } from "../core/address.js";
import { el, svgNode } from "../core/dom.js";
import { asText } from "../core/format.js";
import { proseText, running, unpack } from "../core/tokens.js";
import { nodeNames } from "./data.js";
import { shapeOf } from "./draw.js";

/** @import { Card, Edge, GraphItem, GraphLayout, GraphModel, GraphNode } from "../types" */
/** @import { CardExampleRow } from "../records" */

const LISTED = 12;
const PATHS = 8;

/**
 * @param {string} title
 * @param {string} packed
 */
function tokens(title, packed) {
  if (!packed) return null;
  const line = el("p", { class: "line" }, el("span", {}, title));
  unpack(packed).forEach((id) => line.append(tokenCode(id)));
  return line;
}

/**
 * Running text with the latent's activation behind each token, as on its own page.
 * @param {Card} card
 * @param {CardExampleRow} from
 */
function example(card, { activation, start, window: packed, places, values }) {
  const active = new Map(places.map((place, i) => [place, values[i]]));
  const words = el("q", { dir: "auto" });
  running(unpack(packed)).forEach(({ first, length, text: read }) => {
    const text = proseText(read);
    const here = Array.from({ length }, (_, i) => active.get(start + first + i)).filter((each) => each !== undefined);
    const value = here.length ? Math.max(...here) : undefined;
    if (value === undefined) words.append(text);
    else {
      const word = text.length > 1 && text.startsWith(" ") ? text.slice(1) : text;
      if (word !== text) words.append(" ");
      words.append(el("i", { class: "a" + levelOf(value, card.max) }, word));
    }
  });
  return el("li", {}, el("b", {}, asText.value(activation)), words);
}

/**
 * @param {GraphModel} model
 * @param {GraphNode} node
 */
function numbers(model, node) {
  const { value, percent } = asText;
  const rows = [];
  if (node.kind === "latent") rows.push(["activation", value(node.activation)]);
  if (node.kind === "logit") rows.push(["probability", percent(node.probability)]);
  else rows.push(["cumulative influence", percent(node.influence)]);
  const list = el("dl", { class: "g-facts" });
  rows.forEach(([name, text]) => list.append(el("div", {}, el("dt", {}, name), el("dd", {}, text))));
  return list;
}

/**
 * @param {GraphModel} model
 * @param {GraphNode} node
 * @param {number} examples
 */
function about(model, node, examples) {
  const { short, at } = nodeNames;
  const card = node.card;
  const sae = node.sae >= 0 ? model.saes[node.sae] : null;
  /** @type {string | Node} */
  let title = short(model, node);
  if (node.kind === "latent" && card && card.href) title = el("a", { href: addressOf(card.href) }, title);
  else if (node.kind === "latent" && sae && sae.neuronpedia)
    title = el("a", { href: sae.neuronpedia + "/" + node.latent, rel: "noreferrer", title: "on Neuronpedia" }, title + " ↗");
  const kinds = { embedding: "Token", logit: "Output", error: "Error", latent: "Latent" };
  const place = el("p", { class: "g-at" }, kinds[node.kind] + " at ", el("code", { class: "tok" }, at(model, node)));
  const box = el("div", { class: "g-about" }, el("h3", {}, title), place);
  if (card && card.label) box.append(el("p", { class: "g-label" }, card.label));
  if (card && card.blind) box.append(el("p", { class: "none" }, "A blind case study: what it stands for is not said here."));
  if (node.kind === "latent" && !(card && card.href)) box.append(el("p", { class: "none" }, "Not among the latents that this report shows."));
  if (node.kind === "error") box.append(el("p", { class: "none" }, "What no latent of the graph explains here."));
  box.append(numbers(model, node));
  if (card && !card.blind) {
    for (const line of [tokens("active on", card.on), tokens("raises", card.raises)]) if (line) box.append(line);
    const list = el("ul", { class: "snips" });
    card.examples.slice(0, examples).forEach((item) => list.append(example(card, item)));
    if (card.examples.length) box.append(list);
  }
  return box;
}

/**
 * @param {GraphModel} model
 * @param {GraphItem} item
 */
const itemName = (model, item) => {
  if (item.group) return item.group.name + " (" + item.members.length + ")";
  return nodeNames.short(model, item.members[0]);
};

/**
 * Edges as rows with signed bars; `pick` is called with the other end.
 * @param {GraphModel} model
 * @param {string} title
 * @param {Edge[]} edges
 * @param {"source" | "target"} end
 * @param {number} most
 * @param {((item: GraphItem) => void) | null} pick
 */
function edgeList(model, title, edges, end, most, pick) {
  const box = el("section", { class: "g-list" }, el("h4", {}, title + " ", el("small", {}, String(edges.length))));
  if (!edges.length) box.append(el("p", { class: "none" }, "none in the graph"));
  const list = el("ul", {});
  const largest = Math.max(...edges.map((edge) => edge.score), 1e-12);
  const rows = edges.map((edge) => {
    const other = edge[end];
    const bar = el("i", { class: edge.weight < 0 ? "neg" : "pos" });
    bar.style.setProperty("width", (100 * edge.score) / largest + "%");
    const weight = signed(edge.weight);
    const name = el("span", { class: "g-name" }, itemName(model, other));
    const known = other.node && nodeNames.meaning(other.node);
    if (known) name.append(el("small", {}, known));
    const place = el("code", { class: "g-place" }, other.node ? nodeNames.at(model, other.node) : "");
    const row = pick ? el("button", { type: "button" }) : el("div", {});
    row.append(el("b", {}, weight), el("span", { class: "g-bar" }, bar), name, place);
    if (pick) row.addEventListener("click", () => pick(other));
    return el("li", {}, row);
  });
  list.append(...rows.slice(0, most));
  if (rows.length > most) {
    if (pick) {
      const more = el("button", { type: "button", class: "linkish" }, "all " + rows.length);
      const holder = el("li", {}, more);
      more.addEventListener("click", () => holder.replaceWith(...rows.slice(most)));
      list.append(holder);
    }
  }
  box.append(list);
  return box;
}

/**
 * The strongest first, as the layout has them.
 * @param {GraphLayout} layout
 * @param {GraphItem} item
 */
const ends = (layout, item) => ({
  inputs: layout.edges.filter((edge) => edge.target === item),
  outputs: layout.edges.filter((edge) => edge.source === item),
});
export const endsOf = ends;

/**
 * For each of the strongest latents and tokens that feed an item: the edge from it, then at each
 * step the strongest edge from a latent or a token, as long as there is one. Where there is none,
 * the strongest error node ends the path.
 * @param {Edge[]} edges
 * @param {GraphItem} item
 * @returns {Edge[][]}
 */
export function pathsTo(edges, item) {
  /** @param {Edge} edge */
  const explained = (edge) => edge.source.kind !== "error";
  /** @param {GraphItem} target */
  const into = (target) => edges.filter((edge) => edge.target === target);
  return into(item).filter(explained).slice(0, PATHS).map((first) => {
    const path = [first];
    const seen = new Set([item, first.source]);
    for (;;) {
      const inputs = into(path[path.length - 1].source).filter((edge) => !seen.has(edge.source));
      const next = inputs.find(explained) || inputs[0];
      if (!next) return path;
      path.push(next);
      seen.add(next.source);
    }
  });
}

/** @param {number} weight */
const signed = (weight) => (weight > 0 ? "+" : "") + asText.value(weight);

/**
 * @param {GraphModel} model
 * @param {Edge[][]} paths
 * @param {(item: GraphItem) => void} pick
 */
export function pathList(model, paths, pick) {
  const list = el("ol", {});
  for (const path of paths) {
    const steps = el("li", {});
    path.forEach((edge, i) => {
      const { source } = edge;
      const name = el("button", { type: "button", class: "linkish" }, itemName(model, source));
      name.addEventListener("click", () => pick(source));
      const place = el("code", { class: "g-place" }, source.node ? nodeNames.at(model, source.node) : "");
      steps.append(el("span", { class: "g-step" }, i ? "← " : "", name, place, el("b", { class: edge.weight < 0 ? "neg" : "pos" }, signed(edge.weight))));
    });
    list.append(steps);
  }
  const says = "From each of the strongest latents and tokens, the strongest input step by step; beside each its effect on the step above. A path ends at a token, or at an error node where no latent explains more.";
  return el("section", { class: "g-paths" }, el("h4", {}, "Strongest paths back"), el("p", { class: "none" }, paths.length ? says : "No latent and no token feeds it."), list);
}

/**
 * @param {GraphModel} model
 * @param {GraphItem} item
 */
function members(model, item) {
  const list = el("ul", { class: "g-members" });
  item.members.forEach((node) => {
    const meaning = nodeNames.meaning(node);
    list.append(el("li", {}, nodeNames.short(model, node) + " at " + nodeNames.at(model, node) + (meaning ? ": " + meaning : "")));
  });
  return el("div", { class: "g-about" }, el("h3", {}, item.group ? item.group.name : ""), el("p", { class: "g-at" }, "Group of " + item.members.length + " nodes; its links are the sums of theirs"), list);
}

/**
 * The card: short, next to the node, gone when the pointer or the focus leaves both.
 * @param {GraphModel} model
 * @param {GraphLayout} layout
 * @param {GraphItem} item
 */
export function cardOf(model, layout, item) {
  const { inputs, outputs } = ends(layout, item);
  const box = item.node ? about(model, item.node, 1) : members(model, item);
  if (inputs.length) box.append(edgeList(model, "Inputs", inputs, "source", 3, null));
  if (outputs.length) box.append(edgeList(model, "Outputs", outputs, "target", 3, null));
  return box;
}

/**
 * @param {GraphModel} model
 * @param {GraphLayout} layout
 * @param {GraphItem} item
 * @param {(item: GraphItem) => void} pick
 */
export function panelOf(model, layout, item, pick) {
  const { inputs, outputs } = ends(layout, item);
  const box = item.node ? about(model, item.node, 2) : members(model, item);
  box.append(
    edgeList(model, "Inputs", inputs, "source", LISTED, pick),
    edgeList(model, "Outputs", outputs, "target", LISTED, pick),
  );
  return box;
}

/**
 * @param {GraphNode["kind"]} kind
 * @param {string} text
 */
function sample(kind, text) {
  const item = { kind, w: 18, h: 12, r: 6, k: 1, text: "" };
  const picture = svgNode("svg", { viewBox: "-11 -9 22 18", class: "g-key", "aria-hidden": "true" }, svgNode("g", { class: "node k-" + kind }, shapeOf(item)));
  return el("li", {}, picture, text);
}
/**
 * @param {string} name
 * @param {string} text
 */
function stroke(name, text) {
  const line = svgNode("path", { d: "M-9 5C-9-2 9 2 9-5", class: name, "stroke-width": "3" });
  return el("li", {}, svgNode("svg", { viewBox: "-11 -9 22 18", class: "g-key", "aria-hidden": "true" }, svgNode("g", { class: "edges" }, line)), text);
}

export const legendOf = () =>
  el(
    "ul",
    { class: "g-legend" },
    sample("latent", "latent, larger with more influence"),
    sample("error", "error: not explained"),
    sample("embedding", "token"),
    sample("logit", "output"),
    stroke("pos", "raises"),
    stroke("neg", "lowers (broken line)"),
    stroke("pos unexplained", "from an error node"),
    el("li", {}, "width: share of the target's input times the target's influence"),
  );
