// Files of explanations, in the form that `saereport --explanations` reads: JSON lines.
import { saveFile } from "../shell/downloads.js";

/** @import { Explanation } from "../types" */

/** @param {Explanation[]} rows */
export const explanationLines = (rows) =>
  rows.slice().sort((a, b) => a.index - b.index).map((row) => JSON.stringify(row) + "\n").join("");

/**
 * @param {string} name
 * @param {string} text
 */
export const saveLines = (name, text) => saveFile(name, "application/x-ndjson", text);
