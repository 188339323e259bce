// A prompt's page: its tokens filter the tables, and its blocks are drawn.
import { drawBlocks } from "../blocks/page.js";
import { all, byId } from "../core/dom.js";
import { choose, chosen, whenChosen } from "../core/view.js";

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
      choose("token", wanted);
      apply();
    });
  }
  const read = () => {
    const named = chosen("token");
    const known = buttons.some((button) => button.dataset.token === named) ? named : "";
    if (known === wanted) return;
    wanted = known;
    apply();
  };
  whenChosen(read);
  read();
}

export function promptPage() {
  const page = drawBlocks();
  if (page) tokenFilter(page.text || []);
}
