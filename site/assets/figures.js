// Figures: Plotly, loaded when the first one comes into view, in the colours of the theme.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const PLOTLY = "assets/plotly-cartesian.min.js";
  // As wide as the text of a printed page, in CSS pixels.
  const PAPER = 640;
  const drawn = new Set();

  const CONFIG = { responsive: true, displayModeBar: false, displaylogo: false };

  const escaped = (text) =>
    text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  S.plotText = escaped;

  // The bins of a bar trace: from, to, count. Octaves and decades are bins of equal log width.
  function bins(trace, view) {
    const at = (i) => (trace.x0 || 0) + i * (trace.dx || 1);
    return trace.y.map((count, i) => {
      if (view.octaves) {
        const edge = (k) => 2 ** Math.floor(k / 4) * (1 + (((k % 4) + 4) % 4) / 4);
        return [edge(at(i)), edge(at(i) + 1), count];
      }
      if (view.decades) {
        return [10 ** (at(i) / view.decades), 10 ** ((at(i) + 1) / view.decades), count];
      }
      const half = (trace.dx || 1) / 2;
      return [at(i) - half, at(i) + half, count];
    });
  }

  function theme() {
    const names = ["ink", "ink-2", "ink-3", "line", "line-2", "act", "accent", "quiet", "up", "down", "raised"];
    names.push("k0", "k1", "k2", "k3", "k4", "k5");
    return Object.fromEntries(names.map((name) => [name, S.colour(name)]));
  }

  // A Plotly colour scale for signed values: `down`, the colour of the panel at zero, `up`.
  S.diverging = (colours) => [
    [0, colours.down],
    [0.5, colours.raised],
    [1, colours.up],
  ];

  // The scale beside a figure: Plotly's own sets style attributes, which the policy forbids.
  S.divergingLegend = function (most) {
    const ramp = el("span", { class: "ramp", "aria-hidden": "true" });
    for (const step of ["n5", "n3", "n1", "", "p1", "p3", "p5"]) ramp.append(el("i", { class: step }));
    return el("div", { class: "legend" }, S.format.value(-most), ramp, S.format.value(most));
  };

  function axis(colours, own, log) {
    return {
      type: log ? "log" : "linear",
      gridcolor: colours.line,
      zerolinecolor: colours["line-2"],
      linecolor: colours["line-2"],
      tickcolor: colours["line-2"],
      ticks: "outside",
      ticklen: 3,
      automargin: true,
      ...own,
      title: { standoff: 6, ...(own && own.title), font: { size: 11, color: colours["ink-3"] } },
    };
  }

  function layoutOf(view, colours, log, brushes) {
    const own = view.layout || {};
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: {
        family: getComputedStyle(document.body).fontFamily,
        size: 11,
        color: colours["ink-2"],
      },
      margin: { l: 44, r: 8, t: 8, b: 34 },
      showlegend: false,
      hovermode: "closest",
      dragmode: brushes || self.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      ...own,
      shapes: brushes ? S.brushed(view, colours) : own.shapes || [],
      xaxis: { ...axis(colours, own.xaxis, false), showgrid: false },
      yaxis: axis(colours, own.yaxis, log),
    };
  }

  const isHeatmap = (view) => view.data[0].type === "heatmap";

  // The cells of a heatmap: its whole numbers are multiples of the view's unit.
  function cells(view) {
    const { z } = view.data[0];
    return z.map((row) => row.map((n) => (n === null ? null : n * view.unit)));
  }
  const largest = (view) => Math.max(1e-12, ...cells(view).flat().map(Math.abs));

  // With gaps between its cells Plotly paints them one by one, and needs no style attribute.
  function heated(view, colours) {
    const most = largest(view);
    const scale = { colorscale: S.diverging(colours), zmin: -most, zmax: most, showscale: false };
    return { ...view.data[0], z: cells(view), xgap: 1, ygap: 1, ...scale };
  }

  function coloured(trace, colours, view) {
    if (trace.type === "heatmap") return heated(view, colours);
    if (trace.type === "scatter") return { ...trace, line: { ...trace.line, color: colours[trace.meta] || colours.accent } };
    if (trace.type !== "bar") return trace;
    let colour = colours[trace.meta] || colours.accent;
    if (trace.meta === "signed") {
      colour = trace.y.map((_, i) => ((trace.x0 || 0) + i * (trace.dx || 1) < 0 ? colours.down : colours.up));
    }
    return { ...trace, marker: { color: colour, line: { width: 0 } } };
  }

  // Draw (again) with a function that gives data, layout and config from the theme's colours.
  S.plot = async function (node, make, events) {
    await S.load(PLOTLY);
    if (!node.isConnected) return;
    const draw = () => {
      const { data, layout, config } = make(theme());
      const beside = node.closest(".cells");
      const width = beside ? PAPER / beside.children.length - 20 : PAPER;
      const sized = S.paper ? { ...layout, width, height: node.clientHeight, autosize: false } : layout;
      return self.Plotly.react(node, data, sized, { ...CONFIG, ...config });
    };
    node.redraw = draw;
    drawn.add(node);
    await draw();
    for (const [name, action] of Object.entries(events || {})) node.on(name, action);
  };

  // A browser's own print command waits for nothing: by then Plotly has to be there.
  S.readyFigures = () =>
    S.whenIdle(() => document.querySelector(".plot") && S.load(PLOTLY).catch(() => {}));

  // After a change of theme or width; what is hidden is drawn again when it is shown.
  S.redraw = function () {
    for (const node of drawn) {
      if (!node.isConnected) {
        self.Plotly.purge(node);
        drawn.delete(node);
      } else if (node.offsetParent) node.redraw();
      else node.stale = true;
    }
  };
  // Every figure of a part of the page, also those that were not in view yet.
  S.drawAll = async function (part) {
    await Promise.all(S.seeAll(part));
    S.redraw();
  };
  S.freshen = function () {
    for (const node of drawn) {
      if (!node.stale || !node.offsetParent) continue;
      node.stale = false;
      node.redraw();
    }
  };
  self.addEventListener("resize", () => {
    for (const node of drawn) if (!node.offsetParent) node.stale = true;
  });

  function shown(value) {
    if (typeof value !== "number") return value;
    return Number.isInteger(value) ? S.format.count(value) : S.format.value(value);
  }

  function filled(text, values) {
    return (text || "").replace(/\{(\w+)\}/g, (all, name) =>
      Object.hasOwn(values || {}, name) ? shown(values[name]) : all,
    );
  }

  function rowsOf(block, view) {
    const series = view.data.map((trace) => bins(trace, view));
    const single = (view.columns || []).length === 2;
    return series[0]
      .map((bin, i) => {
        const counts = series.map((bins_) => bins_[i][2]);
        const { value } = S.format;
        if (single) return [String(i), S.format.percent(counts[0])];
        return [value(bin[0]), value(bin[1]), ...counts.map(S.format.count)];
      })
      .filter((row, i) => single || series.some((bins_) => bins_[i][2]));
  }

  // The same with the numbers as they are stored.
  function dataOf(view) {
    if (isHeatmap(view)) return gridOf(view, (number) => number);
    const series = view.data.map((trace) => bins(trace, view));
    const columns = view.columns || [];
    if (columns.length === 2) return { columns, rows: series[0].map((bin, i) => [i, bin[2]]) };
    return { columns, rows: series[0].map((bin, i) => [bin[0], bin[1], ...series.map((bins_) => bins_[i][2])]) };
  }

  function gridOf(view, shown_) {
    const { y, x0, dx } = view.data[0];
    const name = (i) => view.prefix + String((x0 || 0) + i * (dx || 1));
    const values = cells(view);
    return {
      columns: ["row", ...values[0].map((_, i) => name(i))],
      rows: values.map((row, i) => [y[i], ...row.map(shown_)]),
    };
  }

  function tableOf(block, view) {
    if (isHeatmap(view)) return S.grid(gridOf(view, (value) => (value === null ? "" : S.format.value(value))));
    return S.grid({ columns: view.columns || [], rows: rowsOf(block, view) });
  }

  S.grid = function ({ columns, rows }) {
    const head = el("tr", {});
    columns.forEach((name) => head.append(el("th", { scope: "col" }, name)));
    const body = el("tbody", {});
    for (const [first, ...others] of rows) {
      const row = el("tr", {}, el("th", { scope: "row" }, first));
      others.forEach((cell) => row.append(el("td", {}, cell)));
      body.append(row);
    }
    return el("div", { class: "scroll" }, el("table", { class: "grid" }, el("thead", {}, head), body));
  };

  // A table that is made each time it is unfolded.
  S.unfolding = function (label, make) {
    const details = el("details", {}, el("summary", {}, label));
    details.addEventListener("toggle", () => {
      const table = details.querySelector(".scroll");
      if (table) table.remove();
      if (details.open) details.append(make());
    });
    return details;
  };

  S.segments = function (labels, current, pick, name) {
    const box = el("div", { class: "seg", role: "group", "aria-label": name });
    labels.forEach((label, i) => {
      const button = el("button", { type: "button", "aria-pressed": String(i === current) }, label);
      button.addEventListener("click", () => {
        for (const other of box.children) other.setAttribute("aria-pressed", String(other === button));
        pick(i);
      });
      box.append(button);
    });
    return box;
  };

  function hover(block, view) {
    return (event) => {
      const point = event.points[0];
      const place = point.pointIndex;
      const mouse = event.event;
      if (!mouse) return;
      if (isHeatmap(view)) {
        if (point.z === null || point.z === undefined) return;
        S.tip([view.prefix + point.x + " " + point.y, S.format.value(point.z)], mouse.clientX, mouse.clientY);
        return;
      }
      const columns = view.columns || [];
      const row = view.data.map((trace) => bins(trace, view)[place]);
      const { value, count, percent } = S.format;
      const lines =
        columns.length === 2
          ? [columns[0] + " " + place, percent(row[0][2])]
          : [
              value(row[0][0]) + " – " + value(row[0][1]),
              ...row.map((bin, i) => count(bin[2]) + " " + (columns[2 + i] || "")),
            ];
      S.tip(lines, mouse.clientX, mouse.clientY);
    };
  }

  // A figure block as an element; `within` reuses the figure that is in the page already.
  S.figure = function (block, within, blind) {
    const state = { view: 0, log: S.remember("log-" + block.base) === "yes" };
    if (state.view >= block.views.length) state.view = 0;
    const summary = filled(block.summary, block.v);
    const caption = el("figcaption", {});
    const plot = el("div", { class: "plot", role: "img", "aria-label": summary });
    const box = within || el("figure", { class: "block figure" });
    const brushes = S.page === "latents" && block.base === "activation.histogram" && !blind;
    if (!within) {
      caption.append(el("h3", {}, block.title || ""));
      const details = S.unfolding("Table", () => tableOf(block, block.views[state.view]));
      box.append(caption, el("p", { class: "summary" }, summary), plot, details);
    }
    const note = el("p", { class: "view-note" });
    if (block.views.some((view) => view.note)) plot.after(note);
    const legend = el("span", {});
    if (isHeatmap(block.views[0])) caption.append(legend);
    if (within) within.querySelector(".summary").after(plot);
    const draw = () => {
      const view = block.views[state.view];
      note.textContent = filled(view.note, view.v);
      if (isHeatmap(view)) legend.replaceChildren(S.divergingLegend(largest(view)));
      return S.plot(plot, (colours) => ({
        data: view.data.map((trace) => coloured(trace, colours, view)),
        layout: layoutOf(view, colours, state.log, brushes),
      }));
    };
    const start = async () => {
      await draw();
      if (!plot.on) return;
      plot.on("plotly_hover", (event) => hover(block, block.views[state.view])(event));
      plot.on("plotly_unhover", () => S.tip(null));
      for (const [name, action] of Object.entries(block.events || {})) plot.on(name, action);
    };
    const labels = block.views.map((view) => view.label);
    const controls = within ? within.querySelector("figcaption") : caption;
    if (labels.length > 1) {
      const pick = (i) => {
        state.view = i;
        const details = box.querySelector("details");
        if (details) details.open = false;
        draw();
      };
      controls.append(S.segments(labels, state.view, pick, block.choice || "bins"));
    }
    if (block.log) {
      const pick = (i) => {
        state.log = i === 1;
        S.remember("log-" + block.base, state.log ? "yes" : null);
        draw();
      };
      controls.append(S.segments(["counts", "log counts"], state.log ? 1 : 0, pick, "count axis"));
    }
    const title = block.title || (within && within.querySelector("h3").textContent) || "figure";
    controls.append(S.offer(title, () => dataOf(block.views[state.view])));
    if (brushes) S.brush(plot, () => block.views[state.view]);
    S.whenSeen(plot, start);
    return box;
  };
})();
