// What is said about a node: the card beside it, and the panel with its inputs and outputs.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const LISTED = 12;
  const PATHS = 8;

  function tokens(title, packed) {
    if (!packed) return null;
    const line = el("p", { class: "line" }, el("span", {}, title));
    S.unpack(packed).forEach((id) => line.append(S.code(id)));
    return line;
  }

  // Running text with the latent's activation behind each token, as on its own page.
  function example(card, [activation, low, packed, places, values]) {
    const active = new Map(places.map((place, i) => [place, values[i]]));
    const words = el("q", { dir: "auto" });
    S.running(S.unpack(packed)).forEach(([first, count, read]) => {
      const text = S.prose(read);
      const values = Array.from({ length: count }, (_, i) => active.get(low + first + i)).filter((each) => each !== undefined);
      const value = values.length ? Math.max(...values) : undefined;
      if (value === undefined) words.append(text);
      else {
        const word = text.length > 1 && text.startsWith(" ") ? text.slice(1) : text;
        if (word !== text) words.append(" ");
        words.append(el("i", { class: "a" + S.level(value, card.max) }, word));
      }
    });
    return el("li", {}, el("b", {}, S.format.value(activation)), words);
  }

  function numbers(model, node) {
    const { value, percent } = S.format;
    const rows = [];
    if (node.kind === "latent") rows.push(["activation", value(node.activation)]);
    if (node.kind === "logit") rows.push(["probability", percent(node.probability)]);
    else rows.push(["influence up to it", percent(node.influence)]);
    const list = el("dl", { class: "g-facts" });
    rows.forEach(([name, text]) => list.append(el("div", {}, el("dt", {}, name), el("dd", {}, text))));
    return list;
  }

  function about(model, node, examples) {
    const { short, at } = S.graphNames;
    const card = node.card;
    const sae = node.sae >= 0 ? model.record.saes[node.sae] : null;
    let title = short(model, node);
    if (node.kind === "latent" && card) title = el("a", { href: S.address(card.href) }, title);
    else if (node.kind === "latent" && sae && sae[3])
      title = el("a", { href: sae[3] + "/" + node.latent, rel: "noreferrer", title: "on Neuronpedia" }, title + " ↗");
    const kinds = { embedding: "Token", logit: "Output", error: "Error", latent: "Latent" };
    const place = el("p", { class: "g-at" }, kinds[node.kind] + " at ", el("code", { class: "tok" }, at(model, node)));
    const box = el("div", { class: "g-about" }, el("h3", {}, title), place);
    if (card && card.label) box.append(el("p", { class: "g-label" }, card.label));
    if (card && card.blind) box.append(el("p", { class: "none" }, "A blind case study: what it stands for is not said here."));
    if (node.kind === "latent" && !card) box.append(el("p", { class: "none" }, "Not among the latents that this report shows."));
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

  const itemName = (model, item) => {
    if (item.group) return item.group.name + " (" + item.members.length + ")";
    return S.graphNames.short(model, item.node);
  };

  // Edges as rows with signed bars; `pick` is called with the other end.
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
      const known = other.node && S.graphNames.meaning(other.node);
      if (known) name.append(el("small", {}, known));
      const place = el("code", { class: "g-place" }, other.node ? S.graphNames.at(model, other.node) : "");
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

  // The strongest first, as the layout has them.
  const ends = (layout, item) => ({
    inputs: layout.edges.filter((edge) => edge.target === item),
    outputs: layout.edges.filter((edge) => edge.source === item),
  });
  S.graphEnds = ends;

  // For each of the strongest latents and tokens that feed an item: the edge from it, then at each
  // step the strongest edge from a latent or a token, as long as there is one. Where there is none,
  // the strongest error node ends the path.
  S.graphPaths = function (edges, item) {
    const explained = (edge) => edge.source.kind !== "error";
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
  };

  const signed = (weight) => (weight > 0 ? "+" : "") + S.format.value(weight);

  S.graphPathList = function (model, paths, pick) {
    const list = el("ol", {});
    for (const path of paths) {
      const steps = el("li", {});
      path.forEach((edge, i) => {
        const { source } = edge;
        const name = el("button", { type: "button", class: "linkish" }, itemName(model, source));
        name.addEventListener("click", () => pick(source));
        const place = el("code", { class: "g-place" }, source.node ? S.graphNames.at(model, source.node) : "");
        steps.append(el("span", { class: "g-step" }, i ? "← " : "", name, place, el("b", { class: edge.weight < 0 ? "neg" : "pos" }, signed(edge.weight))));
      });
      list.append(steps);
    }
    const says = "From each of the strongest latents and tokens, the strongest input step by step; beside each its effect on the step above. A path ends at a token, or at an error node where no latent explains more.";
    return el("section", { class: "g-paths" }, el("h4", {}, "Strongest paths back"), el("p", { class: "none" }, paths.length ? says : "No latent and no token feeds it."), list);
  };

  function members(model, item) {
    const list = el("ul", { class: "g-members" });
    item.members.forEach((node) => {
      const meaning = S.graphNames.meaning(node);
      list.append(el("li", {}, S.graphNames.short(model, node) + " at " + S.graphNames.at(model, node) + (meaning ? ": " + meaning : "")));
    });
    return el("div", { class: "g-about" }, el("h3", {}, item.group.name), el("p", { class: "g-at" }, "Group of " + item.members.length + " nodes; its links are the sums of theirs"), list);
  }

  // The card: short, next to the node, gone when the pointer or the focus leaves both.
  S.graphCard = function (model, layout, item) {
    const { inputs, outputs } = ends(layout, item);
    const box = item.node ? about(model, item.node, 1) : members(model, item);
    if (inputs.length) box.append(edgeList(model, "Inputs", inputs, "source", 3, null));
    if (outputs.length) box.append(edgeList(model, "Outputs", outputs, "target", 3, null));
    return box;
  };

  S.graphPanel = function (model, layout, item, pick) {
    const { inputs, outputs } = ends(layout, item);
    const box = item.node ? about(model, item.node, 2) : members(model, item);
    box.append(
      edgeList(model, "Inputs", inputs, "source", LISTED, pick),
      edgeList(model, "Outputs", outputs, "target", LISTED, pick),
    );
    return box;
  };

  function sample(kind, text) {
    const svg = S.graphSvg;
    const item = { kind, w: 18, h: 12, r: 6, k: 1, text: "" };
    const picture = svg("svg", { viewBox: "-11 -9 22 18", class: "g-key", "aria-hidden": "true" }, svg("g", { class: "node k-" + kind }, S.graphShape(item)));
    return el("li", {}, picture, text);
  }
  function stroke(name, text) {
    const svg = S.graphSvg;
    const line = svg("path", { d: "M-9 5C-9-2 9 2 9-5", class: name, "stroke-width": "3" });
    return el("li", {}, svg("svg", { viewBox: "-11 -9 22 18", class: "g-key", "aria-hidden": "true" }, svg("g", { class: "edges" }, line)), text);
  }

  S.graphLegend = () =>
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
})();
