// The page of an SAE: its table, its distributions, and the map of its latents.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const AT_ONCE = 5000;

  function scale(colours) {
    return [0, 2, 4, 6, 8, 9].map((step, i) => [i / 5, colours[step]]);
  }

  // The decades that the densities lie in.
  function range(live) {
    const logs = live.filter((row) => row[1] > 0).map((row) => Math.log10(row[1]));
    const low = Math.floor(logs.reduce((a, b) => Math.min(a, b), 0));
    return [low, Math.max(low + 1, Math.ceil(logs.reduce((a, b) => Math.max(a, b), -9)))];
  }

  // Plotly's own colour bar sets a style attribute, which the policy of the page forbids.
  function legend(live) {
    const [low, high] = range(live);
    const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
    [0, 2, 4, 6, 8, 9].forEach((step) => ramp.append(el("i", { class: "a" + step })));
    const { percent } = S.format;
    return el("div", { class: "legend" }, "density " + percent(10 ** low), ramp, percent(10 ** high));
  }

  function drawMap(box, table) {
    const rows = table.rows;
    const dead = rows.filter((row) => !S.alive(row));
    const live = rows.filter(S.alive);
    const plot = el("div", {
      class: "plot tall",
      role: "img",
      "aria-label": "Scatter plot of " + S.format.count(rows.length) + " latents by decoder direction.",
    });
    box.append(legend(live), plot);
    const size = rows.length > 3000 ? 4 : rows.length > 500 ? 6 : 9;
    const trace = (some, name, marker) => ({
      type: "scatter",
      mode: "markers",
      name,
      x: some.map((row) => row[7]),
      y: some.map((row) => row[8]),
      customdata: some.map((row) => row[0]),
      hoverinfo: "none",
      marker,
    });
    const make = (colours) => {
      const steps = Array.from({ length: 10 }, (_, i) => S.colour("a" + i));
      const [low, high] = range(live);
      const logs = live.map((row) => (row[1] > 0 ? Math.log10(row[1]) : low));
      const axis = {
        type: "linear",
        showgrid: false,
        zeroline: false,
        showticklabels: false,
        ticks: "",
        title: { text: "" },
      };
      return {
        data: [
          trace(dead, "dead", { size, color: "rgba(0,0,0,0)", line: { width: 1, color: colours.quiet } }),
          trace(live, "active", {
            size,
            opacity: 0.9,
            line: { width: 0.6, color: colours["ink-3"] },
            color: logs,
            cmin: low,
            cmax: high,
            colorscale: scale(steps),
            showscale: false,
          }),
        ],
        layout: {
          paper_bgcolor: "rgba(0,0,0,0)",
          plot_bgcolor: "rgba(0,0,0,0)",
          font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
          margin: { l: 8, r: 8, t: 8, b: 8 },
          showlegend: false,
          hovermode: "closest",
          dragmode: self.matchMedia("(pointer: coarse)").matches ? false : "pan",
          xaxis: axis,
          yaxis: { ...axis, scaleanchor: "x" },
        },
        config: { scrollZoom: true },
      };
    };
    S.plot(plot, make, {
      plotly_hover: (event) => {
        const row = table.byLatent.get(event.points[0].customdata);
        if (!row || !event.event) return;
        const lines = ["Latent " + row[0]];
        if (row[5]) lines.push(row[5]);
        if (row[9]) lines.push("blind");
        else lines.push("active on " + S.unpack(row[3]).map(S.token).join("  "));
        if (row[4]) lines.push("raises " + S.unpack(row[4]).map(S.token).join("  "));
        lines.push(S.alive(row) ? "density " + S.density(row) : "dead on this text");
        S.tip(lines, event.event.clientX, event.event.clientY);
      },
      plotly_unhover: () => S.tip(null),
      plotly_click: (event) => {
        const href = S.href(table.sae, event.points[0].customdata);
        if (href) S.go(href);
      },
    });
  }

  // Dragging over the densities chooses a range of them for the table; the range is drawn here.
  function brushed(block, box, view) {
    const [first] = block.views;
    const { decades } = first;
    const at = (density) => decades * Math.log10(density) - 0.5;
    const bars = first.data[0];
    const ends = [(bars.x0 || 0) - 0.5, (bars.x0 || 0) + bars.y.length - 0.5];
    const layout = { ...first.layout };
    if (!self.matchMedia("(pointer: coarse)").matches) Object.assign(layout, { dragmode: "select", selectdirection: "h" });
    view.onDensity(([low, high]) => {
      const range = [low ? at(low) : ends[0], high ? at(high) : ends[1]];
      const rectangle = { type: "rect", yref: "paper", x0: range[0], x1: range[1], y0: 0, y1: 1, line: { width: 0 }, fillcolor: "rgba(70,130,210,0.2)", layer: "below" };
      layout.shapes = low === null && high === null ? [] : [rectangle];
      const plot = box.querySelector(".plot");
      if (plot && plot.redraw) plot.redraw();
    });
    const select = (event) => {
      if (!event || !event.range) return;
      // Whole bars: a bar that is touched is taken.
      const [low, high] = event.range.x.slice().sort((a, b) => a - b);
      const edges = [Math.floor(low + 0.5), Math.floor(high + 0.5) + 1];
      view.density(edges[0] <= ends[0] + 0.5 ? null : 10 ** (edges[0] / decades), edges[1] >= ends[1] + 0.5 ? null : 10 ** (edges[1] / decades));
    };
    layout.selections = [];
    const hint = "Drag over the bars to show only latents of these densities in the table.";
    box.querySelector(".summary").after(el("p", { class: "kept" }, hint));
    return { ...block, views: [{ ...first, layout }], events: { plotly_selected: select } };
  }

  S.saePage = function () {
    const table = S.tables.get(S.sae);
    if (!table) return;
    const view = S.latentTable(table);
    for (const box of document.querySelectorAll("figure[data-figure]")) {
      const block = table.figures[box.dataset.figure];
      if (!block) continue;
      const whole = S.merged(block);
      S.figure(box.dataset.figure === "density" ? brushed(whole, box, view) : whole, box);
    }
    const map = document.getElementById("map");
    if (!map || !table.has_map) return;
    if (table.rows.length <= AT_ONCE) S.whenSeen(map, () => drawMap(map, table));
    else {
      const label = "Draw the map of " + S.format.count(table.rows.length) + " latents";
      const button = el("button", { type: "button" }, label);
      button.addEventListener("click", () => {
        button.remove();
        drawMap(map, table);
      });
      map.append(button);
    }
  };
})();
