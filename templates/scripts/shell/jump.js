// The field that goes to a latent by its number: of this SAE, or of another one that shows it.
import { goTo } from "../core/address.js";
import { el } from "../core/dom.js";
import { latentHref } from "../core/latents.js";
import { loadTable } from "../core/load.js";
import { thisPage } from "../core/page.js";
import { elsewhere } from "../latents/elsewhere.js";

/** @param {HTMLInputElement} field */
function listen(field) {
  const box = el("div", { class: "jump-said", role: "status", hidden: "" });
  (field.closest("label") || field).after(box);
  const quiet = () => {
    field.setCustomValidity("");
    box.hidden = true;
    box.replaceChildren();
  };

  async function go() {
    const text = field.value.trim();
    const wanted = /^\d{1,15}$/.test(text) ? Number(text) : null;
    const table = wanted === null ? null : await loadTable(thisPage.sae);
    const href = wanted !== null && table && table.byLatent.has(wanted) ? latentHref(thisPage.sae, wanted) : null;
    if (href) {
      goTo(href);
      quiet();
      field.value = "";
      field.blur();
      return;
    }
    const why = wanted === null ? "A latent is asked for by its number." : "This report does not show latent " + wanted + " of this SAE.";
    const others = wanted === null ? null : await elsewhere(thisPage.sae, wanted);
    // What was asked for meanwhile is another question.
    if (field.value.trim() !== text) return;
    field.setCustomValidity(why);
    box.replaceChildren(el("p", {}, why), ...(others ? [others] : []));
    box.hidden = false;
  }

  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go();
    if (event.key === "Escape") {
      quiet();
      field.blur();
    }
  });
  field.addEventListener("input", quiet);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    quiet();
    field.focus();
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Node && event.target !== field && !box.contains(event.target)) quiet();
  });
  self.addEventListener("hashchange", quiet);
}

export function jumpField() {
  const field = document.getElementById("jump");
  if (!(field instanceof HTMLInputElement)) return null;
  listen(field);
  return field;
}
