// Dragging over the histogram of activations chooses which examples to see.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const QUARTERS = 4;

  // Where an activation lies on the axis of a view, and back; octaves are cut into four equal bins.
  const edge = (k) => 2 ** Math.floor(k / QUARTERS) * (1 + (((k % QUARTERS) + QUARTERS) % QUARTERS) / QUARTERS);
  S.toAxis = function (value, view) {
    if (!view.octaves) return value;
    const power = Math.floor(Math.log2(Math.max(value, 2 ** -300)));
    return QUARTERS * power + QUARTERS * (value / 2 ** power - 1) - 0.5;
  };
  S.fromAxis = function (place, view) {
    if (!view.octaves) return place;
    const k = Math.floor(place + 0.5);
    return edge(k) + (place + 0.5 - k) * (edge(k + 1) - edge(k));
  };

  // The chosen range behind the bars, within the bins that there are.
  S.brushed = function (view, colours) {
    const { range } = S.view;
    const { x0 = 0, dx = 1, y } = view.data[0];
    if (!range) return [];
    const clamp = (value) => Math.max(x0 - dx / 2, Math.min(x0 + dx * (y.length - 0.5), S.toAxis(value, view)));
    const [low, high] = range.map(clamp);
    const line = { color: colours.ink, width: 1, dash: "dot" };
    return [{ type: "rect", layer: "below", yref: "paper", x0: low, x1: high, y0: 0, y1: 1, fillcolor: colours.act, opacity: 0.22, line }];
  };

  S.brush = function (plot, viewNow) {
    const box = el("div", { class: "brush", "aria-hidden": "true" });
    let from = null;
    const place = (event) => {
      const { xaxis, _size: size } = plot._fullLayout;
      return Math.max(0, Math.min(xaxis._length, event.clientX - plot.getBoundingClientRect().left - size.l));
    };
    const value = (x) => Math.max(0, S.fromAxis(plot._fullLayout.xaxis.p2d(x), viewNow()));
    plot.addEventListener("pointerdown", (event) => {
      if (event.button || !plot._fullLayout) return;
      const { _size: size } = plot._fullLayout;
      if (event.clientY - plot.getBoundingClientRect().top > size.t + size.h) return;
      from = place(event);
      plot.setPointerCapture(event.pointerId);
      plot.append(box);
    });
    plot.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const { _size: size } = plot._fullLayout;
      const to = place(event);
      box.style.setProperty("left", size.l + Math.min(from, to) + "px");
      box.style.setProperty("width", Math.abs(to - from) + "px");
      box.style.setProperty("top", size.t + "px");
      box.style.setProperty("height", size.h + "px");
      S.tip(["activation", [from, to].map(value).sort((a, b) => a - b).map(S.format.value).join(" to ")], event.clientX, event.clientY);
    });
    const end = (event) => {
      if (from === null) return;
      const to = place(event);
      const ends = [from, to].map(value).map((number) => Number(number.toPrecision(3)));
      const moved = Math.abs(to - from) > 3;
      from = null;
      box.remove();
      S.tip(null);
      if (moved && event.type === "pointerup") S.changeView({ range: ends.sort((a, b) => a - b) });
    };
    plot.addEventListener("pointerup", end);
    plot.addEventListener("pointercancel", end);
    plot.classList.add("brushes", "follows");
    let shown = "";
    plot.follow = () => {
      if (shown === String(S.view.range) || !plot.redraw) return;
      shown = String(S.view.range);
      plot.redraw();
    };
  };
})();
