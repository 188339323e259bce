// The colours that the reader chose, and the help on the keyboard.
import { byId } from "../core/dom.js";
import { remember } from "../core/memory.js";

const root = document.documentElement;
/** @type {Record<string, string>} */
const NAMES = { "": "follow the system", light: "light", dark: "dark" };
const button = byId("theme", HTMLButtonElement);

function label() {
  const text = "Colours: " + NAMES[root.dataset.theme || ""];
  button.setAttribute("aria-label", text);
  button.title = text;
}

/**
 * Makes the button work; `changed` is called after each change. Returns what goes on to the next.
 * @param {() => void} changed
 */
export function startTheme(changed) {
  function next() {
    const dark = self.matchMedia("(prefers-color-scheme: dark)").matches;
    const order = dark ? ["", "light", "dark"] : ["", "dark", "light"];
    const theme = order[(order.indexOf(root.dataset.theme || "") + 1) % order.length];
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    remember("theme", theme || null);
    label();
    changed();
  }
  button.addEventListener("click", next);
  label();
  return next;
}

// Makes the help open and close; returns the dialog, and what opens or closes it.
export function startHelp() {
  const keys = byId("keys", HTMLDialogElement);
  const toggle = () => (keys.open ? keys.close() : keys.showModal());
  byId("help", HTMLElement).addEventListener("click", toggle);
  byId("keys-close", HTMLElement).addEventListener("click", () => keys.close());
  return { keys, toggle };
}
