// Doing something when an element comes near the window, or when there is time.
import { all } from "./dom.js";

/** @type {WeakMap<Element, () => unknown>} */
const seen = new WeakMap();
const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      observer.unobserve(entry.target);
      const action = seen.get(entry.target);
      seen.delete(entry.target);
      if (action) Promise.resolve(action()).catch(() => {});
    }
  },
  { rootMargin: "240px" },
);
/**
 * @param {Element} node
 * @param {() => unknown} action
 */
export function whenSeen(node, action) {
  seen.set(node, action);
  observer.observe(node);
}
/**
 * When the browser has nothing else to do.
 * @param {() => unknown} action
 */
export const whenIdle = (action) => (self.requestIdleCallback || self.setTimeout)(action);
/**
 * Do it now for all of a part of the page.
 * @param {Element} part
 */
export const seeAll = (part) =>
  all(part, "*")
    .filter((node) => seen.has(node))
    .map((node) => {
      const action = seen.get(node);
      seen.delete(node);
      observer.unobserve(node);
      return Promise.resolve(action && action()).catch(() => {});
    });
