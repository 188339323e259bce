// How examples are read: how much text, which activations, one for each token; and who else reads it.
import { all, maybe } from "../core/dom.js";
import { say } from "../core/announce.js";
import { store } from "../core/data.js";
import { allNamed, named } from "../core/rows.js";
import { tokenText, unpack } from "../core/tokens.js";

/** @import { BlockNode, ExamplesBlock, Folded, Group, LatentKey, Reading } from "../types" */
/** @import { ExampleRow } from "../records" */

export const CUTS = ["snippet", "sentence", "full"];
const NUMBER = "(\\d{1,12}(?:\\.\\d{1,12})?(?:e[+-]?\\d{1,3})?)";
const RANGE = new RegExp("^" + NUMBER + "-" + NUMBER + "$");

// The same for every latent but the range, which belongs to one.
/** @type {Reading} */
export const reading = { cut: CUTS[0], range: null, unique: false };

/**
 * The parts of a fragment: `latent-47&cut=sentence&unique` has an anchor, then names with values.
 * @param {string} fragment
 */
export function fragmentParts(fragment) {
  const [anchor, ...rest] = fragment.split("&");
  /** @type {[string, string][]} */
  const pairs = rest.map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
  });
  return { anchor, values: new Map(pairs) };
}

/** @param {Map<string, string>} values */
export function readView(values) {
  const found = RANGE.exec(values.get("range") || "");
  /** @type {[number, number] | null} */
  const range = found ? [Number(found[1]), Number(found[2])] : null;
  reading.cut = CUTS.find((cut) => cut === values.get("cut")) || CUTS[0];
  reading.range = range && range[0] <= range[1] ? range : null;
  reading.unique = values.has("unique");
}

export function viewSuffix() {
  const { cut, range, unique } = reading;
  const parts = [];
  if (cut !== CUTS[0]) parts.push("cut=" + cut);
  if (range) parts.push("range=" + range.join("-"));
  if (unique) parts.push("unique");
  return parts.map((part) => "&" + part).join("");
}

/**
 * What shows examples has a method `follow`, called when the reader asks for something else.
 * @param {ParentNode} part
 */
export function followView(part) {
  for (const node of all(part, ".follows")) /** @type {BlockNode} */ (node).follow?.();
}

let onView = () => {};
/**
 * Have a function called each time the reader asks for something else.
 * @param {() => void} action
 */
export function whenViewChanges(action) {
  onView = action;
}
/** @param {Partial<Reading>} changes */
export function changeView(changes) {
  Object.assign(reading, changes);
  onView();
  followView(maybe(document, "article.current") || document);
}
export function recut() {
  const cut = CUTS[(CUTS.indexOf(reading.cut) + 1) % CUTS.length];
  changeView({ cut });
  say("Examples: " + cut);
}

// A full stop that does not end a sentence: after a title, an initial, "e.g.".
const SHORTENED = /(?:^|[^\p{L}])(?:Mrs?|Ms|Dr|Prof|St|Sr|Jr|Mt|vs|cf|viz|approx|[eE]\.g|[iI]\.e|\p{Lu})\.$/u;

/**
 * The sentence around a position: up to a full stop before a space, a line break, or a special token.
 * @param {number[]} ids
 * @param {number} at
 */
export function sentenceAround(ids, at) {
  const texts = ids.map(tokenText);
  /** @param {number} i */
  const ends = (i) => {
    if (store.special.has(ids[i]) || texts[i].includes("↵")) return true;
    const last = texts.slice(Math.max(0, i - 4), i + 1).join("");
    if (/[。！？]$/.test(last)) return true;
    const next = i + 1 < ids.length ? texts[i + 1] : "␣";
    if (SHORTENED.test(last) || (/\.$/.test(last) && /^␣\p{Ll}/u.test(next))) return false;
    return /[.!?…؟।]["'”’»)\]]*$/.test(last) && /^[␣↵⇥]/.test(next);
  };
  let low = at;
  let high = at + 1;
  while (low > 0 && !ends(low - 1)) low -= 1;
  while (high < ids.length && !ends(high - 1)) high += 1;
  return [low, high];
}

/**
 * The groups of examples of a block, with named fields.
 * @param {ExamplesBlock} block
 * @returns {Group[]}
 */
export const groupsOf = (block) =>
  block.groups.map(({ group, range, examples }) => ({
    group,
    range: range && named("range", range),
    examples: allNamed("example", examples),
  }));

/** @param {ExampleRow} example */
export const peakToken = (example) => unpack(example.window)[example.peak - example.start];

/**
 * Every stored example once, the strongest first.
 * @param {Group[]} groups
 * @returns {ExampleRow[]}
 */
export function distinct(groups) {
  const found = new Map();
  for (const group of groups)
    for (const example of group.examples) found.set(example.sequence + ":" + example.peak, example);
  /**
   * @param {ExampleRow} a
   * @param {ExampleRow} b
   */
  const order = (a, b) => b.activation - a.activation || a.sequence - b.sequence || a.peak - b.peak;
  return Array.from(found.values()).sort(order);
}

/**
 * Examples, each with the number of those folded into it: all, or the strongest of each peak token.
 * @param {ExampleRow[]} examples
 * @param {boolean} unique
 * @returns {Folded[]}
 */
export function foldTokens(examples, unique) {
  if (!unique) return examples.map((example) => ({ example, folded: 0 }));
  const kept = new Map();
  for (const example of examples) {
    const token = peakToken(example);
    const best = kept.get(token);
    const stronger = !best || example.activation > best.example.activation ? example : best.example;
    kept.set(token, { example: stronger, folded: best ? best.folded + 1 : 0 });
  }
  return Array.from(kept.values());
}

/**
 * The latents with a stored example in a sequence whose text is loaded.
 * @param {number} sequence
 * @returns {LatentKey[]}
 */
export function readersOf(sequence) {
  const numbers = unpack(store.readers.get(sequence) || "");
  // As `_steps` in saereport/site/sequences.py: the largest code goes on.
  const GOES_ON = 405855;
  const found = [];
  for (let at = 0; at < numbers.length; ) {
    const sae = store.report.saes[numbers[at]];
    let left = numbers[at + 1];
    at += 2;
    for (let latent = 0; left > 0; at += 1) {
      latent += numbers[at];
      if (numbers[at] === GOES_ON) continue;
      if (sae) found.push({ slug: sae.slug, latent });
      left -= 1;
    }
  }
  return found;
}
