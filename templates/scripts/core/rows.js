// Rows of the data scripts as objects: the values of their fields come as a list, and the report
// says once how the fields of each kind are called; see saereport/site/records.py.

/** @import { Row, Rows } from "../records" */

/** @type {Record<string, string[]>} */
let names = {};

/**
 * How the fields of each kind of row are called, from now on.
 * @param {Record<string, string[]>} header
 */
export function nameRows(header) {
  names = header;
}

/**
 * One row with named fields.
 * @template {keyof Rows} Kind
 * @param {Kind} kind
 * @param {Row<Kind>} row
 * @returns {Rows[Kind]}
 */
export function named(kind, row) {
  const fields = names[kind];
  /** @type {any} */
  const result = {};
  row.forEach((value, i) => (result[fields[i]] = value));
  return result;
}

/**
 * All rows of a list.
 * @template {keyof Rows} Kind
 * @param {Kind} kind
 * @param {Row<Kind>[]} rows
 * @returns {Rows[Kind][]}
 */
export const allNamed = (kind, rows) => rows.map((row) => named(kind, row));
