// The page of an attribution graph: ties the drawing, the panel, the controls and the address.
import { fragmentNow, setFragment } from "../core/address.js";
import { store } from "../core/data.js";
import { around, el } from "../core/dom.js";
import { saveFile } from "../shell/downloads.js";
import { drawChecks } from "./checks.js";
import { controlsOf } from "./controls.js";
import { graphJson, graphModel, nodeNames } from "./data.js";
import { GraphStage, NOTHING } from "./draw.js";
import { layoutOf } from "./layout.js";
import { cardOf, endsOf, legendOf, panelOf, pathList, pathsTo } from "./panel.js";
import { groupName, readState, usualState, writeState } from "./state.js";

/** @import { Edge, GraphItem, GraphLayout, GraphModel, GraphState, NodeBox } from "../types" */

const NARROW = "(max-width: 47.5em)";
const MIN_WIDTH = 520;
/** @type {["source" | "target", "source" | "target"][]} */
const WAYS = [["source", "target"], ["target", "source"]];

export class GraphPage {
  /**
   * @param {GraphModel} model
   * @param {HTMLElement} place
   */
  constructor(model, place) {
    this.model = model;
    this.place = place;
    this.stage = new GraphStage(model);
    this.selected = new Set();
    /** @type {GraphItem | null} */
    this.hovered = null;
    /** What the panel is about; undefined when it has to be made anew. @type {GraphItem | null | undefined} */
    this.panelled = undefined;
    /** The paths that are shown. @type {Edge[][]} */
    this.tracing = [];
    /** @type {GraphLayout} */
    this.layout = NOTHING;
    this.drawn = { links: 0, of: 0, from: 0 };
    this.leaving = 0;
    this.card = el("div", { class: "g-card", hidden: "" });
    this.panel = el("aside", { class: "g-panel", "aria-label": "The pinned node" });
    this.status = el("p", { class: "sr", role: "status" });
    // On a phone the graph is wider than the window and is scrolled, so that it can be read.
    this.least = self.matchMedia(NARROW).matches ? 0.75 : 0.5;
    this.state = readState(model, fragmentNow());
    this.controls = controlsOf(this);
    const body = el("div", { class: "g-body" }, this.stage.scroll, el("div", { class: "g-side" }, this.panel));
    place.append(this.controls.box, body, legendOf(), this.hint(), this.card, this.status);
    this.listen();
    this.rebuild();
    this.stage.fit(this.least);
    this.stage.toEnd();
    this.bring();
  }

  hint() {
    const hint = el("p", { class: "note g-hint" }, "On the keyboard: ");
    const keys = [["← → ↑ ↓", "walk along a layer and along the strongest links"], ["Enter", "pins"], ["Esc", "unpins"], ["g", "chooses for a group"], ["n", "names it"], ["+ − 0", "zoom"]];
    keys.forEach(([key, what], i) => hint.append(i ? ", " : "", el("kbd", {}, key), " " + what));
    hint.append("; Ctrl and the wheel zoom too.");
    return hint;
  }

  // ---- state
  /**
   * @param {Partial<GraphState>} patch
   * @param {boolean} [structure]
   */
  change(patch, structure) {
    Object.assign(this.state, patch);
    setFragment(writeState(this.model, this.state));
    if (structure) this.rebuild();
    else this.refresh();
  }

  rebuild() {
    const { stage } = this;
    const { item: had = null } = /** @type {Partial<NodeBox>} */ (document.activeElement || {});
    const space = { w: Math.max(MIN_WIDTH, stage.scroll.clientWidth - stage.layers.offsetWidth - 2), h: stage.room() - 60, least: this.least };
    this.layout = layoutOf(this.model, this.state, space);
    stage.show(this.layout);
    if (stage.fitted !== null) stage.fit(stage.fitted);
    this.refresh();
    if (had) this.focus(this.layout.of.get(had.members[0].place));
  }

  /**
   * @param {number | null} place
   * @returns {GraphItem | null}
   */
  item(place) {
    return place === null ? null : this.layout.of.get(place) || null;
  }

  /** @param {GraphItem} item */
  visible(item) {
    if (!item.node || item.kind === "logit" || item.kind === "embedding") return true;
    return item.node.influence <= this.state.influence || item === this.item(this.state.pinned);
  }

  /**
   * Items that the pinned one reaches, or that reach it, by what is drawn.
   * @param {GraphItem} item
   * @param {Edge[]} edges
   */
  trace(item, edges) {
    const found = new Set([item]);
    for (const [from, to] of WAYS) {
      let front = [item];
      while (front.length) {
        const next = new Set();
        for (const edge of edges) if (front.includes(edge[from]) && !found.has(edge[to])) next.add(edge[to]);
        next.forEach((other) => found.add(other));
        front = this.state.paths ? Array.from(next) : [];
      }
    }
    return found;
  }

  // What is drawn and what is dimmed.
  refresh() {
    const { state, layout, stage } = this;
    const pinned = this.item(state.pinned);
    const centre = this.hovered || pinned;
    const shown = layout.edges.filter((edge) => this.visible(edge.source) && this.visible(edge.target));
    const strong = shown.slice(0, state.links);
    const last = strong[strong.length - 1];
    this.drawn = { links: strong.length, of: shown.length, from: last ? last.score : 0 };
    const own = centre ? shown.filter((edge) => edge.source === centre || edge.target === centre) : [];
    this.tracing = state.trace && pinned ? pathsTo(shown, pinned) : [];
    const onPaths = state.trace && pinned && centre === pinned ? [...new Set(this.tracing.flat())] : null;
    const wider = onPaths || (state.paths ? [...new Set([...strong, ...own])] : own);
    /** @param {Edge[]} edges */
    const along = (edges) => new Set([pinned, ...edges.flatMap((edge) => [edge.source, edge.target])]);
    const traced = onPaths ? along(onPaths) : centre ? this.trace(centre, wider) : null;
    const keep = state.near && pinned ? onPaths ? traced : this.trace(pinned, state.paths ? strong : shown.filter((e) => e.source === pinned || e.target === pinned)) : null;
    for (const item of layout.items) {
      const there = this.visible(item) && (!keep || keep.has(item) || item.group !== null);
      item.there = there;
      const { classList } = item.box;
      classList.toggle("gone", !there);
      classList.toggle("dim", traced !== null && !traced.has(item));
      classList.toggle("pinned", item === pinned);
      classList.toggle("chosen", item.members.every((node) => this.selected.has(node.place)));
      item.box.setAttribute("aria-pressed", String(item === pinned));
    }
    /** @param {Edge} edge */
    const there = (edge) => edge.source.there && edge.target.there;
    const hot = wider.filter((edge) => there(edge) && traced && traced.has(edge.source) && traced.has(edge.target));
    stage.edges(strong.filter(there), hot.sort((a, b) => a.rank - b.rank));
    this.tabStop();
    this.controls.show();
    if (this.panelled !== pinned || pinned === null) this.showPanel(pinned);
  }

  /** @param {GraphItem | null} pinned */
  showPanel(pinned) {
    this.panelled = pinned;
    const { panel, model, layout } = this;
    panel.replaceChildren();
    if (pinned) {
      const unpin = el("button", { type: "button", class: "linkish" }, "unpin");
      unpin.addEventListener("click", () => this.pin(null));
      panel.append(el("p", { class: "g-pinned" }, this.state.trace ? "Traced" : "Pinned", unpin));
      /** @param {GraphItem} item */
      const pick = (item) => this.pin(item, true);
      if (this.state.trace) panel.append(pathList(model, this.tracing, pick));
      panel.append(panelOf(model, layout, pinned, pick));
    } else {
      panel.append(
        el("p", { class: "g-pinned" }, "Nothing pinned"),
        el("p", { class: "none" }, "Click a node, or press Enter on it, to see what feeds it and what it feeds. Shift+click or g chooses nodes for a group."),
      );
    }
    if (!this.state.groups.length) return;
    const list = el("ul", {});
    this.state.groups.forEach((group, i) => {
      const show = el("button", { type: "button", class: "linkish" }, group.name);
      show.addEventListener("click", () => this.pin(this.item(group.members[0]), true));
      const undo = el("button", { type: "button", class: "linkish", "aria-label": "Undo the group " + group.name }, "undo");
      undo.addEventListener("click", () => this.change({ groups: this.state.groups.filter((_, k) => k !== i) }, true));
      list.append(el("li", {}, show, el("small", {}, group.members.length + " nodes"), undo));
    });
    panel.append(el("section", { class: "g-groups" }, el("h4", {}, "Groups"), list));
  }

  /**
   * @param {GraphItem | null} item
   * @param {boolean} [focus]
   */
  pin(item, focus) {
    this.hide();
    const place = item ? item.members[0].place : null;
    this.panelled = undefined;
    this.change({ pinned: place, trace: false });
    const name = item ? item.box.getAttribute("aria-label") : "";
    this.status.textContent = item ? "Pinned: " + name : "Nothing is pinned";
    if (focus && item) this.focus(item);
  }

  traceAnswer() {
    const { target } = this.model.record;
    const item = this.item(target);
    if (!item) return;
    const on = this.state.trace && this.state.pinned === target;
    this.hide();
    this.panelled = undefined;
    this.change(on ? { pinned: null, trace: false } : { pinned: target, trace: true });
    this.status.textContent = on ? "Nothing is pinned" : "The strongest paths to " + nodeNames.short(this.model, this.model.nodes[target]) + " are shown";
  }

  /** @param {GraphItem} item */
  choose(item) {
    const all = item.members.every((node) => this.selected.has(node.place));
    for (const node of item.members) {
      if (all) this.selected.delete(node.place);
      else this.selected.add(node.place);
    }
    this.status.textContent = this.selected.size + " nodes chosen";
    this.refresh();
  }

  /**
   * The chosen nodes become a group; what they were members of gives them up.
   * @param {HTMLInputElement} input
   */
  group(input) {
    if (this.selected.size < 2) return;
    const members = Array.from(this.selected).sort((a, b) => a - b);
    const others = this.state.groups
      .map((group) => ({ ...group, members: group.members.filter((place) => !this.selected.has(place)) }))
      .filter((group) => group.members.length > 1);
    const name = groupName(input.value) || "group " + (others.length + 1);
    this.selected.clear();
    input.value = "";
    this.panelled = undefined;
    this.change({ groups: [...others, { name, members }] }, true);
    this.status.textContent = "Group " + name + " of " + members.length + " nodes";
  }

  clear() {
    this.selected.clear();
    this.panelled = undefined;
    this.hide();
    this.change(usualState(this.model), true);
    this.status.textContent = "Cleared";
  }

  save() {
    const text = JSON.stringify(graphJson(this.model, this.state), null, 1);
    saveFile(this.model.record.slug + "-graph.json", "application/json", text);
  }

  // ---- focus, card
  tabStop() {
    const items = this.layout.items.filter((item) => item.there);
    const now = items.find((item) => item.box === document.activeElement);
    const target = this.item(this.model.record.target);
    const stop = now || this.item(this.state.pinned) || (target && target.there ? target : items[0]);
    for (const item of this.layout.items) item.box.setAttribute("tabindex", item === stop ? "0" : "-1");
  }

  /** @param {GraphItem | null | undefined} item */
  focus(item) {
    if (!item) return;
    item.box.setAttribute("tabindex", "0");
    item.box.focus();
  }

  bring() {
    const item = this.item(this.state.pinned) || this.item(this.model.record.target);
    if (item) this.stage.centre(item);
  }

  /** @param {GraphItem} item */
  show(item) {
    self.clearTimeout(this.leaving);
    if (this.hovered === item) return;
    this.hovered = item;
    this.refresh();
    const { card } = this;
    card.replaceChildren(cardOf(this.model, this.layout, item));
    card.hidden = false;
    const node = item.box.getBoundingClientRect();
    const own = card.getBoundingClientRect();
    // Beside the node; in a narrow window at its other end, so that the node is never covered.
    const { innerWidth, innerHeight } = self;
    const right = node.right + 10 + own.width < innerWidth - 8;
    const beside = right || node.left - own.width - 10 > 8;
    const left = right ? node.right + 10 : beside ? node.left - own.width - 10 : (innerWidth - own.width) / 2;
    const level = Math.max(8, Math.min(node.top - 20, innerHeight - own.height - 8));
    const over = node.top > innerHeight / 2;
    const away = over ? Math.min(8, node.top - 10 - own.height) : Math.max(innerHeight - own.height - 8, node.bottom + 10);
    const top = beside ? level : away;
    card.style.setProperty("left", left + "px");
    card.style.setProperty("top", top + "px");
  }

  hide() {
    self.clearTimeout(this.leaving);
    this.card.hidden = true;
    if (!this.hovered) return;
    this.hovered = null;
    this.refresh();
  }

  later() {
    self.clearTimeout(this.leaving);
    this.leaving = self.setTimeout(() => this.hide(), 180);
  }

  /**
   * The next node for an arrow key: along the row, or along the strongest link that is drawn.
   * @param {GraphItem} item
   * @param {string} key
   * @returns {GraphItem | undefined}
   */
  next(item, key) {
    if (key === "ArrowUp" || key === "ArrowDown") {
      const up = key === "ArrowUp";
      const edges = endsOf(this.layout, item)[up ? "outputs" : "inputs"];
      const edge = edges.find((one) => one[up ? "target" : "source"].there);
      return edge && edge[up ? "target" : "source"];
    }
    const row = this.layout.items.filter((other) => other.there && other.row === item.row);
    row.sort((a, b) => a.x - b.x || a.y - b.y);
    if (key === "Home") return row[0];
    if (key === "End") return row[row.length - 1];
    return row[row.indexOf(item) + (key === "ArrowRight" ? 1 : -1)];
  }

  /**
   * @param {KeyboardEvent} event
   * @param {GraphItem} item
   */
  key(event, item) {
    const { key } = event;
    const done = () => {
      event.preventDefault();
      event.stopPropagation();
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key.startsWith("Arrow") || key === "Home" || key === "End") {
      done();
      this.focus(this.next(item, key));
    } else if ((key === "Enter" && event.shiftKey) || key === "g") {
      done();
      this.choose(item);
    } else if (key === "Enter" || key === " ") {
      done();
      this.pin(item === this.item(this.state.pinned) ? null : item);
    } else if (key === "Escape") {
      done();
      if (this.card.hidden) this.pin(null);
      else if (this.state.pinned !== null) this.pin(null);
      else this.hide();
    } else if (key === "n") {
      done();
      this.controls.name.focus();
    } else if (key === "+" || key === "=") {
      done();
      this.stage.zoomBy(1.25);
    } else if (key === "-") {
      done();
      this.stage.zoomBy(0.8);
    } else if (key === "0") {
      done();
      this.stage.fit(0);
    }
  }

  listen() {
    const { svg, scroll } = this.stage;
    /**
     * @param {Event} event
     * @returns {GraphItem | null}
     */
    const under = (event) => {
      const box = event.target instanceof Element ? event.target.closest(".node") : null;
      return (box && /** @type {NodeBox} */ (box).item) || null;
    };
    let moved = false;
    svg.addEventListener("click", (event) => {
      const item = under(event);
      if (moved) return;
      if (!item) this.pin(null);
      else if (event.shiftKey) this.choose(item);
      else this.pin(item === this.item(this.state.pinned) ? null : item);
    });
    svg.addEventListener("pointerover", (event) => {
      const item = under(event);
      if (item && event.pointerType === "mouse" && !event.buttons) this.show(item);
    });
    svg.addEventListener("pointerout", (event) => {
      if (under(event)) this.later();
    });
    this.card.addEventListener("pointerenter", () => self.clearTimeout(this.leaving));
    this.card.addEventListener("pointerleave", () => this.later());
    svg.addEventListener("focusin", (event) => {
      const item = under(event);
      this.tabStop();
      if (item && item.box.matches(":focus-visible")) this.show(item);
    });
    svg.addEventListener("focusout", () => this.later());
    svg.addEventListener("keydown", (event) => {
      const item = under(event);
      if (item) this.key(event, item);
    });
    scroll.addEventListener("scroll", () => {
      if (!this.card.hidden && !(this.hovered && this.hovered.box === document.activeElement)) this.hide();
    }, { passive: true });
    scroll.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.stage.zoomBy(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 160), event.clientX, event.clientY);
    }, { passive: false });
    // Dragging with a mouse scrolls; fingers scroll by themselves.
    /** @type {{ x: number, y: number, left: number, top: number } | null} */
    let from = null;
    svg.addEventListener("pointerdown", (event) => {
      moved = false;
      if (event.pointerType === "mouse" && event.button === 0)
        from = { x: event.clientX, y: event.clientY, left: scroll.scrollLeft, top: scroll.scrollTop };
    });
    self.addEventListener("pointermove", (event) => {
      if (!from) return;
      const x = event.clientX - from.x;
      const y = event.clientY - from.y;
      if (Math.hypot(x, y) > 4) moved = true;
      scroll.scrollLeft = from.left - x;
      scroll.scrollTop = from.top - y;
    });
    self.addEventListener("pointerup", () => (from = null));
    // In a table of the page: the node is pinned as by the address, gone to, and has the focus.
    document.addEventListener("click", (event) => {
      const link = around(event, ".g-table a.show");
      if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const node = this.model.byId.get(new URLSearchParams(link.hash.slice(link.hash.lastIndexOf("#") + 1)).get("pin") || "");
      if (!node) return;
      event.preventDefault();
      if (!this.state.errors && node.kind === "error") this.change({ errors: true }, true);
      const item = this.item(node.place);
      this.pin(item, true);
      if (item) this.stage.centre(item);
      this.place.scrollIntoView();
    });
    self.addEventListener("hashchange", () => {
      this.state = readState(this.model, fragmentNow());
      this.panelled = undefined;
      this.rebuild();
    });
  }
}

// The page that is open, for tests.
/** @type {GraphPage | null} */
export let graphView = null;

export function graphPage() {
  const place = document.getElementById("graph");
  if (!store.graph || !place) return;
  const model = graphModel(store.graph);
  graphView = new GraphPage(model, place);
  const figure = document.getElementById("check-plot");
  if (figure && model.checks.length) drawChecks(model, figure);
}
