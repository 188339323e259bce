// A block with its base and its own fields put together.
import { store } from "../core/data.js";

/** @param {unknown} value */
const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
/** @param {unknown} value */
const areRecords = (value) => Array.isArray(value) && value.length > 0 && value.every(isRecord);

/**
 * As `merge` in saereport/site/blocks.py.
 * @param {any} under
 * @param {any} over
 * @returns {any}
 */
function merge(under, over) {
  if (isRecord(under) && isRecord(over)) {
    const result = { ...under };
    for (const [key, value] of Object.entries(over)) {
      result[key] = Object.hasOwn(under, key) ? merge(under[key], value) : value;
    }
    return result;
  }
  if (areRecords(under) && areRecords(over)) {
    const longest = Math.max(under.length, over.length);
    return Array.from({ length: longest }, (_, i) => {
      if (i >= under.length) return over[i];
      return i < over.length ? merge(under[i], over[i]) : under[i];
    });
  }
  return over;
}

/** @param {any} block */
export function merged(block) {
  const whole = block.base ? merge(store.bases.get(block.base) || {}, block) : block;
  if (!whole.alike) return whole;
  const [first, ...others] = whole.views;
  return { ...whole, views: [first, ...others.map((/** @type {any} */ view) => merge(first, view))] };
}
