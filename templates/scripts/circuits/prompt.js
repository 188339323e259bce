// A prompt's page: its tokens filter the tables, and its blocks are drawn.
import { drawBlocks } from "../blocks/page.js";
import { all, byId } from "../core/dom.js";

/** @param {string[]} words */
function tokenFilter(words) {
  const note = byId("filter-note", HTMLElement);
  const said = note.textContent;
  const buttons = all(document, "[data-token]");
  const rows = all(document, "tr[data-at]");
  let wanted = "";
  const apply = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.token === wanted));
    for (const row of rows) row.hidden = wanted !== "" && !(row.dataset.at || "").split(" ").includes(wanted);
    note.textContent = wanted === "" ? said : "Only rows about " + words[Number(wanted)] + " at position " + wanted + ". Choose it again to see all.";
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      wanted = wanted === button.dataset.token ? "" : button.dataset.token || "";
      apply();
    });
  }
}

export function promptPage() {
  const page = drawBlocks();
  if (page) tokenFilter(page.text || []);
}
