// What every page does: theme, keyboard, help, going to a latent; then the page's own part.
import { all, around, byId, focused, maybe, within } from "../core/dom.js";
import { watchExamples } from "../blocks/examples.js";
import { readyFigures, redraw } from "../blocks/figures.js";
import { drawBlocks } from "../blocks/page.js";
import { promptPage } from "../circuits/prompt.js";
import { comparePage } from "../compare/page.js";
import { fragmentNow } from "../core/address.js";
import { thisPage } from "../core/page.js";
import { graphPage } from "../graph/page.js";
import { latentPage } from "../latents/page.js";
import { recut } from "../latents/reading.js";
import { overviewPage } from "../overview/page.js";
import { toggleMark } from "../reader/marks.js";
import { notesSection, writeNote } from "../reader/notes.js";
import { saePage } from "../sae/page.js";
import { copyLink, copyMarkdown, startActions } from "./actions.js";
import { jumpField } from "./jump.js";
import { startHelp, startTheme } from "./theme.js";

/** @import { Mark } from "../types" */

const nextTheme = startTheme(redraw);
self.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());

const { keys, toggle: help } = startHelp();

const jump = jumpField();
startActions();
watchExamples();
const latents = thisPage.kind === "latents" ? latentPage() : null;
if (thisPage.kind === "sae") saePage();
if (thisPage.kind === "graph") graphPage();
if (thisPage.kind === "prompt") promptPage();
else drawBlocks();
if (thisPage.kind === "compare") comparePage();
if (thisPage.kind === "overview") overviewPage();
notesSection();
readyFigures();

// Behind an anchor the address may name pins, which the browser takes for a part of it.
const anchor = thisPage.kind === "text" && document.getElementById(fragmentNow());
if (anchor) anchor.scrollIntoView();

// Going there by its address would take the place of what the address says the page shows.
within(document, ".skip").addEventListener("click", (event) => {
  event.preventDefault();
  const main = byId("main", HTMLElement);
  main.focus({ preventScroll: true });
  main.scrollIntoView();
});

/**
 * The latent that a key is about: the one that is shown, or the one in the row with the focus.
 * @param {Mark} what
 */
function mark(what) {
  const article = maybe(document, "article.current[id^='latent-']");
  const row = focused()?.closest("tr[data-latent]");
  if (article) toggleMark(what, thisPage.sae, Number(article.id.slice("latent-".length)));
  else if (row instanceof HTMLElement) toggleMark(what, thisPage.sae, Number(row.dataset.latent));
}

const filter = document.getElementById("filter");
// A page has the keys that its help names, and no others.
const listed = new Set(all(keys, "dt kbd").map((node) => node.textContent));
/** @type {Record<string, string>} */
const ARROWS = { ArrowRight: "→", ArrowLeft: "←" };
/** @type {Record<string, () => unknown>} */
const actions = {
  "?": help,
  t: nextTheme,
  "/": () => (filter || jump)?.focus(),
  j: () => latents?.move(1),
  "→": () => latents?.move(1),
  k: () => latents?.move(-1),
  "←": () => latents?.move(-1),
  u: () => latents?.up(),
  e: () => latents?.unfoldAll(),
  b: () => latents?.toggleBlind(),
  y: copyLink,
  m: copyMarkdown,
  r: recut,
  s: () => mark("star"),
  p: () => mark("pin"),
  n: () => writeNote(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (around(event, "input, textarea, select")) {
    if (event.key === "Escape") focused()?.blur();
    return;
  }
  // What scrolls sideways has the arrow keys while the focus is in it.
  const scrolls = around(event, ".scroll[tabindex], .compared, .scroller");
  if (scrolls && ARROWS[event.key]) return;
  const key = ARROWS[event.key] || event.key;
  const action = actions[key];
  if (!action || !listed.has(key) || (keys.open && key !== "?")) return;
  event.preventDefault();
  action();
});
