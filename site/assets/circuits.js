// A prompt's page: its tokens filter the tables; maps and figures are drawn when first seen.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const N_LINES = 10;

  // As `expects` in saereport/site/circuits/prompts_data.py.
  S.expected = function (prompt, early, late) {
    const second = prompt.first + prompt.period;
    return prompt.period > 0 && second <= late && late < second + prompt.period && early === late - prompt.period + 1;
  };

  function tokenFilter(prompt) {
    const note = document.getElementById("filter-note");
    const said = note.textContent;
    const buttons = Array.from(document.querySelectorAll("[data-token]"));
    const rows = Array.from(document.querySelectorAll("tr[data-at]"));
    let wanted = "";
    const apply = () => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.token === wanted));
      for (const row of rows) row.hidden = wanted !== "" && !row.dataset.at.split(" ").includes(wanted);
      note.textContent = wanted === "" ? said : "Only rows about " + prompt.text[Number(wanted)] + " at position " + wanted + ". Choose it again to see all.";
    };
    for (const button of buttons) {
      button.addEventListener("click", () => {
        wanted = wanted === button.dataset.token ? "" : button.dataset.token;
        apply();
      });
    }
  }

  function mapFigures(prompt) {
    for (const box of document.querySelectorAll("[data-map]")) {
      const figure = box.querySelector("figure");
      if (!figure) continue;
      let begun = false;
      const open = async () => {
        if (!box.open || begun) {
          S.freshen();
          return;
        }
        begun = true;
        const place = Number(box.dataset.map);
        if (prompt.apart) await S.load("circuits/" + prompt.slug + "-map" + place + ".js");
        await S.heatmap(figure, prompt, prompt.maps[place]);
      };
      box.addEventListener("toggle", open);
      if (box.open) open();
    }
  }

  function styled(trace, colours) {
    const colour = colours[trace.meta] || colours.accent;
    if (trace.type === "heatmap") {
      const most = Math.max(...trace.z.flat().map((value) => Math.abs(value || 0)), 1e-12);
      return { ...trace, zmin: -most, zmax: most, colorscale: S.diverging(colours), showscale: false, hoverongaps: false, xgap: 1, ygap: 1 };
    }
    return { ...trace, line: { color: colour, width: 1, ...trace.line }, marker: { color: colour, size: 7, opacity: 0.8 } };
  }

  const plain = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

  function axis(own, colours, cut) {
    const base = { gridcolor: colours.line, zerolinecolor: colours["line-2"], automargin: true };
    const texts = own.ticktext && {
      ticktext: own.ticktext.map((text) => S.plotText(S.cut(plain(text), cut))),
      showgrid: false,
      zeroline: false,
    };
    return { ...base, ...own, ...texts };
  }

  // The cells of a heatmap that have a value, the largest first: [row, column, value].
  function cellsOf(view, trace) {
    const named = (own, i) => (own.ticktext ? plain(own.ticktext[i]) : String(i));
    const cells = trace.z.flatMap((row, y) => row.map((value, x) => [named(view.layout.yaxis, y), named(view.layout.xaxis, x), value]));
    return cells.filter((cell) => cell[2]).sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
  }

  // What a figure shows, as a table; and in words what stands out.
  function viewData(view) {
    const heat = view.data.find((trace) => trace.type === "heatmap");
    if (heat) return { columns: ["row", "column", "value"], rows: cellsOf(view, heat) };
    const points = view.data.filter((trace) => trace.mode === "markers").flatMap((trace) => trace.x.map((x, i) => [x, trace.y[i]]));
    return { columns: ["predicted", "measured"], rows: points };
  }
  function finding(view) {
    const heat = view.data.find((trace) => trace.type === "heatmap");
    const [best] = heat ? cellsOf(view, heat) : [];
    return best ? " Largest: " + S.format.value(best[2]) + ", " + best[0] + " by " + best[1] + "." : "";
  }

  function sources(prompt, view) {
    const strip = document.querySelector(".c-sources");
    const most = Math.max(...view.sources.map(Math.abs), 1e-12);
    strip.replaceChildren(
      ...view.sources.map((value, i) => {
        const share = Math.round((50 * Math.abs(value)) / most);
        const token = el("span", { title: S.format.value(value) }, S.prose(prompt.text[i]));
        const colour = "color-mix(in srgb, var(--" + (value < 0 ? "down" : "up") + ") " + share + "%, transparent)";
        token.style.setProperty("background", colour);
        return token;
      }),
    );
  }

  // The largest cells in words, behind the figure.
  const MOST_CELLS = 200;
  function cellTable(view) {
    const { columns, rows } = viewData(view);
    const shown = rows.slice(0, MOST_CELLS).map(([row, column, value]) => [row, column, S.format.value(value)]);
    return S.grid({ columns, rows: shown });
  }

  function viewsFigure(prompt, figure, name, views) {
    const summary = figure.querySelector(".summary");
    const tall = name !== "checks";
    const plot = el("div", { class: "plot c-plot", role: "img", "aria-label": summary.textContent });
    summary.after(plot);
    let current = 0;
    const make = (colours) => {
      const { data, layout } = views[current];
      const cut = plot.clientWidth < 560 ? 14 : 44;
      const rows = layout.yaxis.ticktext ? layout.yaxis.ticktext.length : 12;
      plot.style.setProperty("height", (tall ? Math.min(760, 150 + 15 * rows) : 340) + "px");
      return {
        data: data.map((trace) => styled(trace, colours)),
        layout: {
          ...S.frame(colours),
          xaxis: axis(layout.xaxis, colours, cut),
          yaxis: axis(layout.yaxis, colours, cut),
          shapes: (layout.shapes || []).map((shape) => ({ ...shape, line: { color: colours.act, width: 1.5 } })),
        },
      };
    };
    const legend = el("span", {});
    const pick = (i) => {
      current = i;
      if (views[i].sources) sources(prompt, views[i]);
      const heat = views[i].data.find((trace) => trace.type === "heatmap");
      if (heat) legend.replaceChildren(S.divergingLegend(Math.max(...heat.z.flat().map((value) => Math.abs(value || 0)), 1e-12)));
      plot.setAttribute("aria-label", summary.textContent + finding(views[i]));
      if (plot.redraw) plot.redraw();
      if (cells) cells.open = false;
    };
    const cells = tall ? S.unfolding("Largest cells", () => cellTable(views[current])) : null;
    if (cells) plot.after(cells);
    if (views.length > 1) {
      const select = el("select", { "aria-label": "What to show" });
      views.forEach((view, i) => select.append(el("option", { value: String(i) }, view.label)));
      select.addEventListener("change", () => pick(Number(select.value)));
      figure.querySelector("figcaption").append(select);
    }
    figure.querySelector("figcaption").append(legend, S.offer(name, () => viewData(views[current])));
    pick(0);
    S.whenSeen(plot, () =>
      S.plot(plot, make, {
        plotly_hover: (event) => {
          const point = event.points[0];
          if (!event.event) return;
          const { layout } = views[current];
          const named = (own, i) => (own.ticktext ? plain(own.ticktext[i]) : S.format.value(i));
          const lines =
            point.z === undefined
              ? ["predicted " + S.format.value(point.x), "measured " + S.format.value(point.y)]
              : [S.format.value(point.z), named(layout.yaxis, point.y), named(layout.xaxis, point.x)];
          S.tip(lines, event.event.clientX, event.event.clientY);
        },
        plotly_unhover: () => S.tip(null),
      }),
    );
  }

  function activationFigure(prompt) {
    const figure = document.getElementById("activations");
    if (!figure) return;
    const summary = figure.querySelector(".summary");
    const rows = prompt.activations.slice(0, N_LINES);
    const [first] = rows;
    const most = first ? Math.max(...first[3]) : 0;
    const peak = first ? " Strongest: " + first[2] + ", " + S.format.value(most) + " on " + prompt.text[first[3].indexOf(most)] + "." : "";
    const plot = el("div", { class: "plot c-lines", role: "img", "aria-label": "Line plot. " + summary.textContent + peak });
    summary.after(plot);
    const data = () => ({
      columns: ["SAE", "latent", ...prompt.text.map((text, i) => i + " " + text)],
      rows: prompt.activations.map(([slug, latent, , values]) => [slug, latent, ...values]),
    });
    figure.querySelector("figcaption").append(S.offer("activations", data));
    let other = null;
    const palette = (colours) => [colours.accent, colours.act, colours.down, colours["ink-2"], colours.quiet];
    const make = (colours) => {
      const lines = (from, dash) =>
        rows.flatMap(([slug, latent, name], i) => {
          const row = from.activations.find((item) => item[0] === slug && item[1] === latent);
          if (!row) return [];
          const colour = palette(colours)[i % 5];
          return [{ type: "scatter", mode: "lines+markers", name: S.plotText(S.cut(name, 24)), showlegend: !dash, legendgroup: slug + latent, x: row[3].map((_, x) => x), y: row[3], hoverinfo: "none", line: { color: colour, width: 1.6, dash: dash || (i >= 5 ? "dot" : "solid") }, marker: { color: colour, size: dash ? 3 : 5, symbol: i >= 5 ? "diamond" : "circle" } }];
        });
      const texts = prompt.text.map((text, i) => S.cut(text, 14) + " · " + i);
      const narrow = S.paper || plot.clientWidth < 560;
      return {
        data: [...lines(prompt, ""), ...(other ? lines(other, "dash") : [])],
        layout: {
          ...S.frame(colours),
          showlegend: true,
          legend: narrow ? { orientation: "h", y: -0.5 } : { font: { size: 11 } },
          xaxis: { ...S.names(texts, colours), range: [-0.3, Math.max(texts.length, other ? other.text.length : 0) - 0.7], tickangle: texts.length > 12 || narrow ? -90 : "auto" },
          yaxis: { ...axis({}, colours, 40), rangemode: "tozero", title: { text: "activation" } },
        },
      };
    };
    const overlay = document.getElementById("overlay");
    if (overlay)
      overlay.addEventListener("change", async () => {
        if (overlay.value) await S.load("circuits/" + overlay.value + ".js");
        other = S.prompts.get(overlay.value) || null;
        if (plot.redraw) plot.redraw();
      });
    S.whenSeen(plot, () =>
      S.plot(plot, make, {
        plotly_hover: (event) => {
          const { x, y, data } = event.points[0];
          if (!event.event) return;
          const row = rows.find(([slug, latent]) => data.legendgroup === slug + latent);
          S.tip([row ? row[2] : "", S.format.value(y) + " at position " + x], event.event.clientX, event.event.clientY);
        },
        plotly_unhover: () => S.tip(null),
      }),
    );
  }

  S.promptPage = function () {
    const prompt = S.prompts.get(document.getElementById("prompt").dataset.slug);
    if (!prompt) return;
    tokenFilter(prompt);
    mapFigures(prompt);
    activationFigure(prompt);
    const figures = new Map(prompt.figures);
    for (const figure of document.querySelectorAll("[data-views]")) {
      const views = figures.get(figure.dataset.views) || [];
      if (views.length) viewsFigure(prompt, figure, figure.dataset.views, views);
    }
  };
})();
