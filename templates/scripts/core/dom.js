// Elements; text always becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with a class, attributes and children; what is null or undefined is left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | null | undefined>} fields
 * @param {(Node | string | null | undefined)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, fields, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (name === "class") node.className = String(value);
    else if (value !== undefined && value !== null) node.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

/**
 * An SVG element with attributes and children.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} fields
 * @param {(Node | string)[]} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svgNode(tag, fields, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(fields)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * The first element that fits a selector; an error where the page has none.
 * @param {ParentNode} part
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function within(part, selector) {
  const found = part.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error("the page has no " + selector);
  return found;
}

/**
 * The first element that fits a selector, or null.
 * @param {ParentNode} part
 * @param {string} selector
 */
export function maybe(part, selector) {
  const found = part.querySelector(selector);
  return found instanceof HTMLElement ? found : null;
}

/** The element with the focus, or null. */
export const focused = () => (document.activeElement instanceof HTMLElement ? document.activeElement : null);

/**
 * All elements that fit a selector.
 * @param {ParentNode} part
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
export const all = (part, selector) => Array.from(part.querySelectorAll(selector)).filter((node) => node instanceof HTMLElement);

/**
 * The element with an id; an error where the page has none of this kind.
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error("the page has no " + id);
  return found;
}

/**
 * The element that an event is about, or the nearest around it that fits a selector.
 * @param {Event} event
 * @param {string} selector
 */
export const around = (event, selector) => (event.target instanceof Element ? event.target.closest(selector) : null);

/**
 * A picture of one path, stretched to its box; with a label it is an image, without one decoration.
 * @param {string} path
 * @param {number} width
 * @param {number} height
 * @param {string} [label]
 */
export function svg(path, width, height, label) {
  const node = svgNode("svg", { viewBox: "0 0 " + width + " " + height, preserveAspectRatio: "none" }, svgNode("path", { d: path }));
  if (label) {
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", label);
  } else node.setAttribute("aria-hidden", "true");
  return node;
}

/**
 * A colour of the theme by its name, as the browser computes it.
 * @param {string} name
 */
export function colourOf(name) {
  const probe = el("span", {});
  probe.style.setProperty("color", "var(--" + name + ")");
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
