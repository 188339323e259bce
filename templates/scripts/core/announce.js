// What was done, said where it is seen and heard.
import { el } from "./dom.js";

const said = el("p", { class: "said", role: "status" });
document.body.append(said);
let quiet = 0;

/** @param {string} text */
export function say(text) {
  self.clearTimeout(quiet);
  said.textContent = text;
  quiet = self.setTimeout(() => (said.textContent = ""), 5000);
}
