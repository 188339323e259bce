// An attribution graph as objects: nodes, links, names, and the graph as JSON.
"use strict";
(function () {
  const S = self.saereport;
  const FIELDS = ["id", "kind", "sae", "layer", "influence", "reach"];
  const KINDS = ["embedding", "latent", "error", "logit"];
  const TYPES = {
    latent: "cross layer transcoder",
    error: "mlp reconstruction error",
    embedding: "embedding",
    logit: "logit",
  };

  // From the record of the data script; see `script` in saereport/site/circuits/graphs.py.
  S.graphModel = function (record) {
    const nodes = record.nodes.map((row, place) => {
      const node = { place, inputs: [], outputs: [] };
      FIELDS.forEach((name, i) => (node[name] = row[i]));
      node.kind = KINDS[node.kind];
      node.card = null;
      [node.latent, node.position] = /(-?\d+)_(\d+)$/.exec(node.id).slice(1).map(Number);
      const more = row.slice(FIELDS.length);
      if (node.kind === "latent") {
        node.activation = more[0];
        node.card = record.cards[more[1]] || null;
      } else if (node.kind === "logit") [node.probability, node.words] = more;
      else if (node.kind === "embedding") node.words = more[0];
      return node;
    });
    const links = [];
    for (const [target, ...rest] of record.links) {
      let source = 0;
      for (let i = 0; i < rest.length; i += 2) {
        source += rest[i];
        links.push({ source: nodes[source], target: nodes[target], weight: rest[i + 1] });
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
    return { record, nodes, links, strongest, byId };
  };

  // ---- names
  const at = (model, node) => S.token(model.record.tokens[node.position]) + " (" + node.position + ")";
  const sae = (model, node) => (node.sae >= 0 ? model.record.saes[node.sae][1] : "");

  S.graphNames = {
    at,
    sae,
    // What a node is, without its place.
    short(model, node) {
      if (node.kind === "embedding") return S.token(node.latent);
      if (node.kind === "logit") return S.token(node.latent) + " " + S.format.percent(node.probability);
      if (node.kind === "error") return node.sae >= 0 ? "error of " + sae(model, node) : "layer " + node.layer + ", not covered";
      return sae(model, node) + " · " + node.latent;
    },
    // What a latent stands for, as far as is known.
    meaning(node) {
      if (!node.card || node.card.blind) return "";
      return node.card.label || S.unpack(node.card.on).slice(0, 3).map(S.token).join("  ");
    },
    full(model, node) {
      const { value, percent } = S.format;
      const parts = [];
      if (node.kind === "embedding") parts.push("Token " + at(model, node));
      else if (node.kind === "logit") parts.push("Output " + S.graphNames.short(model, node));
      else {
        parts.push((node.kind === "latent" ? "Latent " : "") + S.graphNames.short(model, node) + " at " + at(model, node));
        const meaning = S.graphNames.meaning(node);
        if (meaning) parts.push(meaning);
        if (node.kind === "latent") parts.push("activation " + value(node.activation));
      }
      if (node.kind !== "logit") parts.push("influence up to it " + percent(node.influence));
      parts.push(node.inputs.length + " inputs, " + node.outputs.length + " outputs");
      return parts.join("; ");
    },
  };

  // ---- the graph as JSON, as saereport/site/circuits/neuronpedia_graph.py writes it
  const cantor = (x, y) => ((x + y) * (x + y + 1)) / 2 + y;

  function exported(model, node) {
    const { kind, latent, position } = node;
    const named = /^(E|\d+)_/.exec(node.id);
    const layer = named ? named[1] : String(node.layer);
    const stem = kind === "logit" ? "L_" + latent : node.id.slice(0, node.id.lastIndexOf("_"));
    const features = { latent: cantor(Number(layer), latent), error: -1, embedding: position, logit: latent };
    const result = {
      node_id: node.id,
      feature: features[kind],
      layer,
      ctx_idx: position,
      feature_type: TYPES[node.kind],
      jsNodeId: stem + "-" + (kind === "latent" ? 0 : position),
      clerp: kind === "latent" ? (node.card ? node.card.clerp : "") : kind === "error" ? "Err: " + S.graphNames.short(model, node) : node.words,
    };
    if (node.probability) result.token_prob = node.probability;
    if (node.place === model.record.target) result.is_target_logit = true;
    if (node.kind !== "logit") result.influence = node.influence;
    if (node.kind === "latent") result.activation = node.activation;
    return result;
  }

  S.graphJson = function (model, state) {
    const id = (place) => model.nodes[place].id;
    const grouped = state.groups.flatMap((group) => group.members.map(id));
    const pinned = state.pinned === null ? [] : [id(state.pinned)];
    return {
      metadata: model.record.metadata,
      qParams: {
        pinnedIds: [...new Set([...pinned, ...grouped])],
        supernodes: state.groups.map((group) => [group.name, ...group.members.map(id)]),
        linkType: "both",
        clickedId: pinned[0] || "",
        sg_pos: "",
      },
      nodes: model.nodes.map((node) => exported(model, node)),
      links: model.links.map((link) => ({ source: link.source.id, target: link.target.id, weight: link.weight })),
    };
  };
})();
