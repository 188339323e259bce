// Token ids and their text.
import { store } from "./data.js";

/** @import { PieceRow } from "../records" */

const ALPHABET = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))
  .filter((c) => !"\"\\<>&'".includes(c))
  .join("");
const BASE = ALPHABET.length;
const SHORT = 36;
const DIGIT = new Uint8Array(128);
for (let i = 0; i < BASE; i += 1) DIGIT[ALPHABET.charCodeAt(i)] = i;

/**
 * Token ids of a packed sequence; see saereport/site/packing.py.
 * @param {string} text
 * @returns {number[]}
 */
export function unpack(text) {
  const ids = [];
  for (let at = 0; at < text.length; ) {
    const a = DIGIT[text.charCodeAt(at)];
    const b = DIGIT[text.charCodeAt(at + 1)];
    if (a < SHORT) {
      ids.push(a * BASE + b);
      at += 2;
    } else {
      ids.push(SHORT * BASE + ((a - SHORT) * BASE + b) * BASE + DIGIT[text.charCodeAt(at + 2)]);
      at += 3;
    }
  }
  return ids;
}

/** @param {number} id */
export const tokenText = (id) => store.tokens.get(id) || "<token " + id + ">";

/**
 * Tokens as text to be read: pieces of `length` tokens from `first` on, a character that is split over tokens whole.
 * A token may take part in two pieces; one that is no text even with its neighbours stays bytes.
 * @param {number[]} ids
 * @returns {PieceRow[]}
 */
export function running(ids) {
  const pieces = [];
  for (let at = 0; at < ids.length; ) {
    const start = at;
    const found = (store.joints.get(ids[at]) || []).find(({ run }) => run.every((id, i) => id === ids[start + i]));
    if (found) for (const piece of found.pieces) pieces.push({ ...piece, first: start + piece.first });
    else pieces.push({ first: start, length: 1, text: tokenText(ids[start]) });
    at += found ? found.run.length : 1;
  }
  return pieces;
}

/**
 * Inside running text a token's leading space is a space.
 * @param {string} shown
 */
export const proseText = (shown) => (shown.startsWith("␣") ? " " + shown.slice(1) : shown);
