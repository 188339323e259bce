// Columns of numbers by their decimal points, as saereport/site/aligning.py.

const NUMBER = /^[<>≥×]? ?[+−]?[\d,]+(\.\d+)?(?: %|(×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?$/;
const NOTHING = new Set(["", "–", "dead"]);
const MOST = 6;

/** @param {RegExpExecArray} match */
const decimals = (match) => (match[1] ? match[1].length - 1 : 0);

/**
 * What the numbers of a column lack, as a class of the style sheet; null if it is not one of numbers.
 * @param {unknown[]} column
 * @returns {string[] | null}
 */
export function aligned(column) {
  const found = column.map((text) => (typeof text === "string" ? NUMBER.exec(text) : null));
  const words = column.filter((_, i) => !found[i]);
  if (!found.some(Boolean) || words.some((text) => typeof text !== "string" || !NOTHING.has(text))) return null;
  const most = found.reduce((n, match) => (match ? Math.max(n, decimals(match)) : n), 0);
  return found.map((match) => {
    const missing = match ? Math.min(MOST, most - decimals(match)) : 0;
    return !match || !missing || match[2] ? "" : (match[1] ? "d" : "e") + missing;
  });
}

/**
 * The columns of a table; its first column names the rows.
 * @param {unknown[][]} rows
 */
export const linedUp = (rows) => (rows.length ? rows[0].map((_, i) => (i ? aligned(rows.map((row) => row[i])) : null)) : []);

/**
 * The class of a cell: its own, and what its number lacks.
 * @param {string} own
 * @param {string | null | undefined} lacks
 */
export const cellClass = (own, lacks) => [own, lacks].filter(Boolean).join(" ") || null;
