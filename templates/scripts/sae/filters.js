// Which rows of the table of latents fit and in which order; and both as text for the address.
import { proseText, tokenText, unpack } from "../core/tokens.js";
import { revealed } from "../reader/blind.js";
import { noteBook } from "../reader/notebook.js";
import { isPinned } from "../reader/pins.js";

/** @import { DataTable, Filters, SortKey, SortName, Table } from "../types" */
/** @import { LatentRow } from "../records" */

/** @type {("latent" | "density" | "max" | "score")[]} */
const RANGES = ["latent", "density", "max", "score"];
/** @type {("tokens" | "raises")[]} */
const LISTS = ["tokens", "raises"];
/** @type {("q" | "tokens" | "raises" | "label")[]} */
export const TEXTS = ["q", "tokens", "raises", "label"];
const ONLY = ["starred", "labelled", "pinned"];
/** @type {SortName[]} */
const SORTS = ["latent", "marked", "density", "max", "score", "shape", "tokens", "raises", "label"];
const LONGEST = 200;
const NUMBER = /^-?[0-9]{1,15}(\.[0-9]{1,25})?(e-?[0-9]{1,2})?$/i;

/** @returns {Filters} */
export const noFilters = () => ({
  q: "",
  tokens: "",
  raises: "",
  label: "",
  latent: [null, null],
  density: [null, null],
  max: [null, null],
  score: [null, null],
  only: new Set(),
  sort: [{ name: "latent", down: false }],
});

export const columnNames = SORTS;
/** @param {string} text */
export const numberFrom = (text) => (NUMBER.test(text.trim()) ? Number(text) : null);

/**
 * A state from the text of an address; what makes no sense is passed over.
 * @param {string} text
 */
export function readFilters(text) {
  const parts = new URLSearchParams(text);
  const state = noFilters();
  for (const name of TEXTS) state[name] = (parts.get(name) || "").slice(0, LONGEST);
  for (const name of RANGES) {
    const ends = (parts.get(name) || "").split("..");
    if (ends.length === 2) state[name] = [numberFrom(ends[0]), numberFrom(ends[1])];
  }
  for (const name of (parts.get("only") || "").split(",")) if (ONLY.includes(name)) state.only.add(name);
  /** @type {SortKey[]} */
  const sort = [];
  for (const part of (parts.get("sort") || "").split(",").slice(0, 9)) {
    const name = SORTS.find((one) => one === part.replace(/^-/, ""));
    if (name && !sort.some((key) => key.name === name)) sort.push({ name, down: part.startsWith("-") });
  }
  if (sort.length) state.sort = sort.slice(0, 3);
  return state;
}

/** @param {Filters} state */
export function writeFilters(state) {
  /** @type {string[]} */
  const parts = [];
  /**
   * @param {string} name
   * @param {string} value
   */
  const say = (name, value) => parts.push(name + "=" + encodeURIComponent(value).replace(/%2C/g, ",").replace(/%20/g, "+"));
  const sort = state.sort.map(({ name, down }) => (down ? "-" : "") + name).join(",");
  if (sort !== "latent") say("sort", sort);
  for (const name of TEXTS) if (state[name]) say(name, state[name]);
  for (const name of RANGES) {
    if (state[name].some((end) => end !== null)) say(name, state[name].map((end) => (end === null ? "" : String(end))).join(".."));
  }
  if (state.only.size) say("only", ONLY.filter((name) => state.only.has(name)).join(","));
  return parts.join("&");
}

/**
 * How many filters are at work, without the search field and the order.
 * @param {Filters} state
 */
export const countFilters = (state) =>
  state.only.size +
  TEXTS.filter((name) => name !== "q" && state[name]).length +
  RANGES.filter((name) => state[name].some((end) => end !== null)).length;

/**
 * A function from a state to the rows that fit it, in its order.
 * @param {Table} table
 */
export function rowFinder(table) {
  const { rows, sae } = table;
  /** @type {{ tokens: string, raises: string }[] | null} */
  let words = null;
  /** @param {LatentRow} row */
  const label = (row) => [noteBook.label(sae, row), row.label].filter(Boolean).join(" · ");

  /** @type {Map<number, string>} */
  const forms = new Map();
  /**
   * A token as it is shown, in running text, and without its space, on a line each.
   * @param {number} id
   */
  function formsOf(id) {
    let found = forms.get(id);
    if (found === undefined) {
      const text = tokenText(id);
      found = Array.from(new Set([text, proseText(text), proseText(text).trim()])).join("\n").toLowerCase();
      forms.set(id, found);
    }
    return found;
  }
  /**
   * Each token on lines of its own. A wide SAE has a million of them, of few tokens.
   * @param {string} packed
   */
  const lines = (packed) => "\n" + unpack(packed).map(formsOf).join("\n") + "\n";
  function read() {
    if (!words) words = rows.map((row) => ({ tokens: lines(row.tokens), raises: lines(row.raises) }));
    return words;
  }

  /**
   * A word in quotes is a whole token.
   * @param {string} text
   */
  function needle(text) {
    const quoted = /^"(.+)"$/.exec(text.trim());
    return quoted ? "\n" + quoted[1].toLowerCase() + "\n" : text.trim().toLowerCase();
  }

  /** @param {LatentRow} row */
  const marked = (row) => (noteBook.of(sae, row.latent).star ? 2 : 0) + (isPinned(sae, row.latent) ? 1 : 0);
  /**
   * Where the middle of the little histogram lies: whether strong activations are as common as weak ones.
   * @param {LatentRow} row
   */
  function middle(row) {
    let mass = 0;
    let moment = 0;
    for (let i = 0; i < row.spark.length; i += 1) {
      const height = row.spark.charCodeAt(i) - 65;
      mass += height;
      moment += i * height;
    }
    return mass ? moment / mass : "";
  }
  /** @param {string} packed */
  const first = (packed) => (packed ? proseText(tokenText(unpack(packed)[0])).trim().toLowerCase() : "");
  /** @type {Record<SortName, (row: LatentRow) => string | number>} */
  const keys = {
    latent: (row) => row.latent,
    marked,
    density: (row) => row.density,
    max: (row) => row.max,
    score: (row) => row.score ?? "",
    shape: middle,
    tokens: (row) => first(row.tokens),
    raises: (row) => first(row.raises),
    /** @param {LatentRow} row */
    label: (row) => label(row).toLowerCase(),
  };

  /** @param {Filters} state */
  function tests(state) {
    /** @type {((row: LatentRow, place: number) => unknown)[]} */
    const found = [];
    for (const name of RANGES) {
      const [low, high] = state[name];
      // What has no value is in no range.
      if (low !== null) found.push((row) => (row[name] ?? NaN) >= low);
      if (high !== null) found.push((row) => (row[name] ?? NaN) <= high);
    }
    if (state.only.has("starred")) found.push((row) => noteBook.of(sae, row.latent).star);
    if (state.only.has("labelled")) found.push((row) => label(row) !== "");
    if (state.only.has("pinned")) found.push((row) => isPinned(sae, row.latent));
    const q = needle(state.q);
    if (/^\d+$/.test(q)) found.push((row) => String(row.latent).startsWith(q));
    else if (q) {
      const text = read();
      const blind = "blind".includes(q);
      found.push((row, i) => text[i].tokens.includes(q) || text[i].raises.includes(q) || label(row).toLowerCase().includes(q) || (blind && row.blind));
    }
    for (const name of LISTS) {
      const wanted = needle(state[name]);
      if (wanted) found.push((row, i) => read()[i][name].includes(wanted));
    }
    const wanted = state.label.trim().toLowerCase();
    if (wanted) found.push((row) => label(row).toLowerCase().includes(wanted));
    return found;
  }

  return function (/** @type {Filters} */ state) {
    const fits = tests(state);
    /** @type {number[]} */
    const order = [];
    rows.forEach((row, i) => {
      if (fits.every((fit) => fit(row, i))) order.push(i);
    });
    const by = state.sort.map(({ name, down }) => ({ values: rows.map(keys[name]), sign: down ? -1 : 1 }));
    // What has no value comes last, whichever the direction.
    order.sort((a, b) => {
      for (const { values, sign } of by) {
        const x = values[a];
        const y = values[b];
        if (x === y) continue;
        if (x === "" || y === "") return x === "" ? 1 : -1;
        return x < y ? -sign : sign;
      }
      return a - b;
    });
    return order.map((i) => rows[i]);
  };
}

// ---- the rows as a file
const COLUMNS = ["sae", "latent", "density", "max", "active on", "raises", "explanation", "map x", "map y", "star", "pinned", "own label", "note"];
/**
 * @param {LatentRow[]} rows
 * @param {string} sae
 * @returns {DataTable}
 */
export function rowsAsData(rows, sae) {
  const tokens = (/** @type {string} */ packed) => unpack(packed).map(tokenText).join(" ");
  const scored = rows.some((row) => typeof row.score === "number");
  return {
    columns: scored ? [...COLUMNS, "output score"] : COLUMNS,
    rows: rows.map((row) => {
      const entry = noteBook.of(sae, row.latent);
      const own = row.blind && !revealed(sae, row.latent) ? ["", ""] : [entry.label.trim(), entry.note];
      const marks = [Number(entry.star), Number(isPinned(sae, row.latent))];
      return [sae, row.latent, row.density, row.max, tokens(row.tokens), tokens(row.raises), row.label, row.x, row.y, ...marks, ...own, ...(scored ? [row.score ?? ""] : [])];
    }),
  };
}
