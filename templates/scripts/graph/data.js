// An attribution graph as objects: nodes, links, names, and the graph as JSON.
import { asText } from "../core/format.js";
import { allNamed, named } from "../core/rows.js";
import { tokenText, unpack } from "../core/tokens.js";

/** @import { Card, Fields, GraphLink, GraphModel, GraphNode, GraphState } from "../types" */
/** @import { GraphRecord, Row } from "../records" */

/** @type {GraphNode["kind"][]} */
const KINDS = ["embedding", "latent", "error", "logit"];
const TYPES = {
  latent: "cross layer transcoder",
  error: "mlp reconstruction error",
  embedding: "embedding",
  logit: "logit",
};

/**
 * What only nodes of a kind have.
 * @param {GraphNode["kind"]} kind
 * @param {Row<any>} row
 * @param {Card[]} cards
 */
function ownOf(kind, row, cards) {
  if (kind === "latent") {
    const { activation, card } = named("latent_node", row);
    return { activation, card: cards[card] || null };
  }
  if (kind === "logit") {
    const { probability, words } = named("logit_node", row);
    return { probability, words };
  }
  return kind === "embedding" ? { words: named("embedding_node", row).words } : {};
}

/**
 * @param {Row<any>} row
 * @param {number} place
 * @param {Card[]} cards
 * @returns {GraphNode}
 */
function nodeOf(row, place, cards) {
  const { id, kind: number, sae, layer, influence, reach, feature } = named("error_node", row);
  const kind = KINDS[number];
  // The id ends with the latent and the position.
  const [, latent, position] = (/(-?\d+)_(\d+)$/.exec(id) || []).map(Number);
  return { id, kind, sae, layer, influence, reach, feature, place, latent, position, card: null, activation: 0, probability: 0, words: "", inputs: [], outputs: [], ...ownOf(kind, row, cards) };
}

/**
 * From the record of the data script; see `script` in saereport/site/circuits/graphs.py.
 * @param {GraphRecord} record
 * @returns {GraphModel}
 */
export function graphModel(record) {
  const cards = record.cards.map((card) => ({ ...card, examples: allNamed("card_example", card.examples) }));
  const nodes = record.nodes.map((row, place) => nodeOf(row, place, cards));
  /** @type {GraphLink[]} */
  const links = [];
  for (const [target, ...rest] of record.links) {
    let source = 0;
    for (let i = 0; i < rest.length; i += 2) {
      source += rest[i];
      links.push({ source: nodes[source], target: nodes[target], weight: rest[i + 1], score: 0, rank: 0 });
    }
  }
  // Weights into different targets are on different scales; scores are comparable. As in
  // saereport/site/circuits/graph_strength.py.
  const sums = nodes.map(() => 0);
  for (const link of links) sums[link.target.place] += Math.abs(link.weight);
  for (const link of links) link.score = (link.target.reach * Math.abs(link.weight)) / (sums[link.target.place] || 1);
  const strongest = links.slice().sort((a, b) => b.score - a.score);
  strongest.forEach((link, rank) => (link.rank = rank));
  for (const link of strongest) {
    link.target.inputs.push(link);
    link.source.outputs.push(link);
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const saes = allNamed("graph_sae", record.saes);
  const checks = allNamed("graph_check", record.checks);
  return { record, saes, checks, nodes, links, strongest, byId };
}

// ---- names
/**
 * @param {GraphModel} model
 * @param {GraphNode} node
 */
const at = (model, node) => tokenText(model.record.tokens[node.position]) + " (" + node.position + ")";
/**
 * @param {GraphModel} model
 * @param {{ sae: number }} node
 */
const sae = (model, node) => (node.sae >= 0 ? model.saes[node.sae].label : "");

export const nodeNames = {
  at,
  sae,
  /**
   * What a node is, without its place.
   * @param {GraphModel} model
   * @param {GraphNode} node
   */
  short(model, node) {
    if (node.kind === "embedding") return tokenText(node.latent);
    if (node.kind === "logit") return tokenText(node.latent) + " " + asText.percent(node.probability);
    if (node.kind === "error") return node.sae >= 0 ? "error of " + sae(model, node) : "layer " + node.layer + ", not covered";
    return sae(model, node) + " · " + node.latent;
  },
  /**
   * What a latent stands for, as far as is known.
   * @param {GraphNode} node
   */
  meaning(node) {
    if (!node.card || node.card.blind) return "";
    return node.card.label || unpack(node.card.on).slice(0, 3).map(tokenText).join("  ");
  },
  /**
   * @param {GraphModel} model
   * @param {GraphNode} node
   */
  full(model, node) {
    const { value, percent } = asText;
    const parts = [];
    if (node.kind === "embedding") parts.push("Token " + at(model, node));
    else if (node.kind === "logit") parts.push("Output " + nodeNames.short(model, node));
    else {
      parts.push((node.kind === "latent" ? "Latent " : "") + nodeNames.short(model, node) + " at " + at(model, node));
      const meaning = nodeNames.meaning(node);
      if (meaning) parts.push(meaning);
      if (node.kind === "latent") parts.push("activation " + value(node.activation));
    }
    if (node.kind !== "logit") parts.push("cumulative influence " + percent(node.influence));
    parts.push(node.inputs.length + " inputs, " + node.outputs.length + " outputs");
    return parts.join("; ");
  },
};

// ---- the graph as JSON, as saereport/site/circuits/neuronpedia_graph.py writes it
/**
 * @param {GraphModel} model
 * @param {GraphNode} node
 */
function exported(model, node) {
  const { kind, latent, position } = node;
  const told = /^(E|\d+)_/.exec(node.id);
  const layer = told ? told[1] : String(node.layer);
  const stem = kind === "logit" ? "L_" + latent : node.id.slice(0, node.id.lastIndexOf("_"));
  /** @type {Fields} */
  const result = {
    node_id: node.id,
    feature: node.feature,
    layer,
    ctx_idx: position,
    feature_type: TYPES[node.kind],
    jsNodeId: stem + "-" + (kind === "latent" ? 0 : position),
    clerp: kind === "latent" ? (node.card ? node.card.clerp : "") : kind === "error" ? "Err: " + nodeNames.short(model, node) : node.words,
  };
  if (node.probability) result.token_prob = node.probability;
  if (node.place === model.record.target) result.is_target_logit = true;
  if (node.kind !== "logit") result.influence = node.influence;
  if (node.kind === "latent") result.activation = node.activation;
  return result;
}

/**
 * @param {GraphModel} model
 * @param {GraphState} state
 */
export function graphJson(model, state) {
  /** @param {number} place */
  const id = (place) => model.nodes[place].id;
  const grouped = state.groups.flatMap((group) => group.members.map(id));
  const pinned = state.pinned === null ? [] : [id(state.pinned)];
  // Viewers tell groups apart by their names alone, and take one that is called like a node for that.
  const taken = new Set(model.nodes.map((node) => node.id));
  /** @param {string} name */
  const unique = (name) => {
    let found = name;
    for (let again = 2; taken.has(found); again++) found = name + " (" + again + ")";
    taken.add(found);
    return found;
  };
  return {
    metadata: model.record.metadata,
    qParams: {
      pinnedIds: [...new Set([...pinned, ...grouped])],
      supernodes: state.groups.map((group) => [unique(group.name), ...group.members.map(id)]),
      linkType: "both",
      clickedId: pinned[0] || "",
      sg_pos: "",
    },
    nodes: model.nodes.map((node) => exported(model, node)),
    links: model.links.map((link) => ({ source: link.source.id, target: link.target.id, weight: link.weight })),
  };
}
