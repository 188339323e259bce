// What a reader does with a page: copy its address, copy it as Markdown, print it.
import { drawAll, redraw } from "../blocks/figures.js";
import { viewAddress } from "../core/address.js";
import { say } from "../core/announce.js";
import { all, el, maybe, within } from "../core/dom.js";
import { listeners, session } from "../core/state.js";
import { offerTables } from "./downloads.js";
import { markdownOf } from "./markdown.js";

const root = document.documentElement;
// ---- the clipboard; where there is none, a field with the text selected
/**
 * @param {string} text
 * @param {string} what
 */
function byHand(text, what) {
  const before = document.activeElement;
  const field = el("textarea", { readonly: "", rows: "3", "aria-label": what });
  field.value = text;
  const done = el("button", { type: "button" }, "Close");
  const note = el("p", {}, "This browser does not let a page copy. The text is selected: copy it yourself.");
  const box = el("div", { class: "by-hand", role: "group", "aria-label": what }, note, field, done);
  const close = () => {
    box.remove();
    if (before instanceof HTMLElement) before.focus();
  };
  done.addEventListener("click", close);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
  all(document, ".by-hand").forEach((node) => node.remove());
  document.body.append(box);
  field.focus();
  field.select();
}
/**
 * @param {string} text
 * @param {string} what
 */
export async function copyText(text, what) {
  try {
    await self.navigator.clipboard.writeText(text);
    say(what + " copied");
  } catch {
    byHand(text, what);
  }
}
export const copyLink = () => copyText(viewAddress(), "Link to this view");
export const copyMarkdown = async () => copyText(await markdownOf(), "Markdown");

// A drawn graph is made smaller until the paper holds it; sizes in CSS pixels.
const [WIDE, HIGH] = [680, 860];
function fitGraph() {
  const canvas = maybe(document, ".g-canvas");
  if (canvas) canvas.style.setProperty("--fit", String(Math.min(1, WIDE / canvas.scrollWidth, HIGH / canvas.scrollHeight)));
}

// ---- print: light, the figures drawn as wide as the paper
/** The theme before, while on paper. */
let before = "";
const head = el("div", { class: "print-head" });
function paper() {
  if (session.paper) return;
  session.paper = true;
  before = root.dataset.theme || "";
  root.dataset.theme = "light";
  head.replaceChildren(el("b", {}, document.title), el("span", {}, viewAddress()));
  within(document, "main").prepend(head);
  fitGraph();
  listeners.paper.forEach((changed) => changed());
  drawAll(maybe(document, "article.current") || within(document, "main"));
}
function screen() {
  if (!session.paper) return;
  session.paper = false;
  if (before) root.dataset.theme = before;
  else delete root.dataset.theme;
  head.remove();
  listeners.paper.forEach((changed) => changed());
  redraw();
}
export async function printPage() {
  paper();
  try {
    await drawAll(maybe(document, "article.current") || within(document, "main"));
    self.print();
  } finally {
    screen();
  }
}

// ---- the menu in the header
function menu() {
  const tools = maybe(document, ".tools");
  if (!tools) return;
  /**
   * @param {string} label
   * @param {string | null} key
   * @param {() => unknown} action
   */
  const item = (label, key, action) => {
    const button = el("button", { type: "button", "aria-keyshortcuts": key }, label, key ? el("kbd", {}, key) : null);
    button.addEventListener("click", () => {
      open(false);
      action();
    });
    return button;
  };
  const inside = el(
    "div",
    { class: "share-menu", hidden: "" },
    item("Copy link to this view", "y", copyLink),
    item("Copy as Markdown", "m", copyMarkdown),
    item("Print or save as PDF", null, printPage),
  );
  const button = el("button", { class: "icon share", type: "button", "aria-expanded": "false", "aria-label": "Copy or print", title: "Copy or print" }, "⇪");
  const box = el("div", { class: "share-box" }, button, inside);
  /** @param {boolean} now */
  const open = (now) => {
    inside.hidden = !now;
    button.setAttribute("aria-expanded", String(now));
    if (!now && box.contains(document.activeElement)) button.focus();
  };
  button.addEventListener("click", () => open(Boolean(inside.hidden)));
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || inside.hidden) return;
    event.stopPropagation();
    open(false);
  });
  const outside = (/** @type {EventTarget | null} */ target) => target instanceof Node && !box.contains(target);
  document.addEventListener("click", (event) => !inside.hidden && outside(event.target) && open(false));
  box.addEventListener("focusout", (event) => outside(event.relatedTarget) && open(false));
  tools.insertBefore(box, document.getElementById("theme"));
}

export function startActions() {
  menu();
  offerTables();
  self.addEventListener("beforeprint", paper);
  self.addEventListener("afterprint", screen);
  self.matchMedia("print").addEventListener("change", (event) => (event.matches ? paper() : screen()));
}
