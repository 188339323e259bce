// A report in one file. In the source its pages lie one under the other, so that they can be read
// without JavaScript; this runs before every other script and leaves only the page that the address
// names, in the frame (header, footer) that the page has in a report's folder, with its plain ids.
// Going to another page is a new start: the address changes and the document is loaded again.
import { all, byId, within } from "../core/dom.js";

const root = document.documentElement;
const REFERENCES = ["id", "for", "headers", "list", "aria-labelledby", "aria-describedby", "aria-controls"];
const pages = new Map(all(document, "section[data-path]").map((page) => [page.dataset.path, page]));

// The page and the place on it that an address means.
export function wanted() {
  const [path, ...rest] = self.location.hash.slice(1).split("#");
  const [home] = pages.keys();
  return { path: pages.has(path) ? path : home, place: rest.join("#").replace(/(^|&)pins=[^&#]*/, "") };
}

/**
 * @param {ParentNode} part
 * @param {string} prefix
 */
function plain(part, prefix) {
  /** @param {string} name */
  const strip = (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name);
  for (const name of REFERENCES) {
    for (const node of all(part, "[" + name + "]"))
      node.setAttribute(name, (node.getAttribute(name) || "").split(" ").map(strip).join(" "));
  }
}

function open() {
  const { path } = wanted();
  const page = pages.get(path);
  if (!page) return;
  const { kind, sae, title = "", needs, frame } = page.dataset;
  const around = byId(String(frame), HTMLTemplateElement).content;
  plain(around, frame + "#");
  plain(page, path + "#");
  within(around, "main").replaceChildren(...page.childNodes);
  all(document, "body > :not(script)").forEach((node) => node.remove());
  document.body.prepend(around);
  document.title = title;
  Object.assign(root.dataset, { path, page: kind, needs });
  if (sae) root.dataset.sae = sae;
}

if (root.dataset.single !== undefined) open();
