// Links checked by intervention: predicted against measured change.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;

  // Predicted and measured change of the links that were checked.
  S.graphChecks = function (model, figure) {
    const { checks } = model.record;
    const { short } = S.graphNames;
    const x = checks.map((row) => row[3]);
    const y = checks.map((row) => row[4]);
    const low = Math.min(0, ...x, ...y);
    const high = Math.max(0, ...x, ...y);
    const opposite = checks.filter((row) => row[3] * row[4] < 0).length;
    const label = "Scatter plot of predicted and measured change for " + checks.length + " links, " + opposite + " of opposite sign; the numbers are in the table below.";
    const plot = el("div", { class: "plot g-plot", role: "img", "aria-label": label });
    figure.append(plot);
    const make = (colours) => {
      const axis = (title) => ({
        type: "linear",
        title: { text: title, standoff: 6, font: { size: 11, color: colours["ink-3"] } },
        gridcolor: colours.line,
        zerolinecolor: colours["line-2"],
        linecolor: colours["line-2"],
        automargin: true,
      });
      const line = { type: "scatter", mode: "lines", x: [low, high], y: [low, high], hoverinfo: "skip", line: { color: colours["ink-3"], width: 1, dash: "dot" } };
      const far = ([, , , p, m]) => p * m < 0 || Math.abs(m) > 2 * Math.abs(p) || Math.abs(m) < Math.abs(p) / 2;
      const marker = {
        size: 10,
        color: checks.map((row) => (far(row) ? colours.down : colours.up)),
        symbol: checks.map((row) => (far(row) ? "x" : "circle")),
        line: { width: 1, color: colours.ink },
        opacity: 0.85,
      };
      return {
        data: [line, { type: "scatter", mode: "markers", x, y, marker, hoverinfo: "none" }],
        layout: {
          paper_bgcolor: "rgba(0,0,0,0)",
          plot_bgcolor: "rgba(0,0,0,0)",
          font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colours["ink-2"] },
          margin: { l: 48, r: 8, t: 8, b: 40 },
          showlegend: false,
          hovermode: "closest",
          dragmode: false,
          xaxis: axis("predicted change"),
          yaxis: axis("measured change"),
        },
      };
    };
    S.whenSeen(plot, () =>
      S.plot(plot, make, {
        plotly_hover: (event) => {
          const point = event.points[0];
          const row = point.curveNumber === 1 ? checks[point.pointIndex] : null;
          if (!row || !event.event) return;
          const [source, target] = [model.nodes[row[0]], model.nodes[row[1]]];
          const { value } = S.format;
          S.tip(
            [short(model, source) + " → " + short(model, target), "predicted " + value(row[3]), "measured " + value(row[4])],
            event.event.clientX,
            event.event.clientY,
          );
        },
        plotly_unhover: () => S.tip(null),
      }),
    );
  };
})();
