// Figures: Plotly, loaded when the first one comes into view, in the colours of the theme.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const PLOTLY = "assets/plotly-cartesian.min.js";
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
    const names = ["ink", "ink-2", "ink-3", "line", "line-2", "act", "accent", "quiet", "up", "down"];
    return Object.fromEntries(names.map((name) => [name, S.colour(name)]));
  }

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

  function layoutOf(view, colours, log) {
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
      dragmode: self.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      ...own,
      xaxis: { ...axis(colours, own.xaxis, false), showgrid: false },
      yaxis: axis(colours, own.yaxis, log),
    };
  }

  function coloured(trace, colours) {
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
      return self.Plotly.react(node, data, layout, { ...CONFIG, ...config });
    };
    node.redraw = draw;
    drawn.add(node);
    await draw();
    for (const [name, action] of Object.entries(events || {})) node.on(name, action);
  };

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
      .filter((row, i) => single || series[0][i][2]);
  }

  function tableOf(block, view) {
    const head = el("tr", {});
    (view.columns || []).forEach((name) => head.append(el("th", { scope: "col" }, name)));
    const body = el("tbody", {});
    for (const [first, ...others] of rowsOf(block, view)) {
      const row = el("tr", {}, el("th", { scope: "row" }, first));
      others.forEach((cell) => row.append(el("td", {}, cell)));
      body.append(row);
    }
    return el("div", { class: "scroll" }, el("table", { class: "grid" }, el("thead", {}, head), body));
  }

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
  S.figure = function (block, within) {
    const state = { view: 0, log: S.remember("log-" + block.base) === "yes" };
    if (state.view >= block.views.length) state.view = 0;
    const summary = filled(block.summary, block.v);
    const caption = el("figcaption", {});
    const plot = el("div", { class: "plot", role: "img", "aria-label": summary });
    const box = within || el("figure", { class: "block figure" });
    if (!within) {
      caption.append(el("h3", {}, block.title || ""));
      const details = el("details", {}, el("summary", {}, "Table"));
      details.addEventListener(
        "toggle",
        () => details.append(tableOf(block, block.views[state.view])),
        { once: true },
      );
      box.append(caption, el("p", { class: "summary" }, summary), plot, details);
    }
    if (within) within.querySelector(".summary").after(plot);
    const draw = () => {
      const view = block.views[state.view];
      return S.plot(plot, (colours) => ({
        data: view.data.map((trace) => coloured(trace, colours)),
        layout: layoutOf(view, colours, state.log),
      }));
    };
    const start = async () => {
      await draw();
      if (!plot.on) return;
      plot.on("plotly_hover", (event) => hover(block, block.views[state.view])(event));
      plot.on("plotly_unhover", () => S.tip(null));
    };
    const labels = block.views.map((view) => view.label);
    const controls = within ? within.querySelector("figcaption") : caption;
    if (labels.length > 1) {
      const pick = (i) => {
        state.view = i;
        draw();
      };
      controls.append(S.segments(labels, state.view, pick, "bins"));
    }
    if (block.log) {
      const pick = (i) => {
        state.log = i === 1;
        S.remember("log-" + block.base, state.log ? "yes" : null);
        draw();
      };
      controls.append(S.segments(["counts", "log counts"], state.log ? 1 : 0, pick, "count axis"));
    }
    S.whenSeen(plot, start);
    return box;
  };
})();
