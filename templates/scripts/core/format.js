// Numbers as saereport/site/numbers.py writes them; tests/site/number_cases.py holds both to one table.

const UP = "⁰¹²³⁴⁵⁶⁷⁸⁹";
/** @param {string} text */
const minus = (text) => text.replace(/-/g, "−");
/** @param {number} n */
const whole = (n) => (n <= -0.5 ? "−" : "") + Math.round(Math.abs(n)).toLocaleString("en-US");
/** @param {number} n */
const raised = (n) => (n < 0 ? "⁻" : "") + String(Math.abs(n)).replace(/\d/g, (d) => UP[Number(d)]);

/** @param {number} n */
function value(n) {
  if (!n) return "0";
  const power = Math.floor(Math.log10(Math.abs(n)));
  if (power < -4 || power > 8) {
    const [mantissa, exponent] = n.toExponential(2).split("e");
    return minus(mantissa) + "×10" + raised(Number(exponent));
  }
  if (power >= 3) return whole(n);
  const rounded = Number(n.toPrecision(3));
  return Math.abs(rounded) >= 1000 ? whole(rounded) : minus(String(rounded));
}

/** @param {number} share */
function percent(share) {
  if (share === 0) return "0 %";
  if (share < 1e-5) return "< 0.001 %";
  if (share > 0.9995) return share >= 1 ? "100 %" : "> 99.9 %";
  const hundred = share * 100;
  return String(Number(hundred >= 10 ? hundred.toFixed(1) : hundred.toPrecision(2))) + " %";
}

/**
 * A text as it is, a whole number as a count, another as a value.
 * @param {number | string} n
 */
const shown = (n) => (typeof n === "string" ? n : Number.isInteger(n) && Math.abs(n) < 1e15 ? whole(n) : value(n));

/** Numbers by how they are to be read. @type {Record<"value" | "percent" | "count" | "times", (n: number) => string> & Record<"shown" | "text", (n: number | string) => string>} */
export const asText = {
  shown,
  value,
  percent,
  count: whole,
  /** @param {number} n */
  times: (n) => "×" + value(n),
  /** @param {string | number} n */
  text: (n) => String(n),
};

/**
 * What writes a column, by the name that the block gives.
 * @param {string | undefined} name
 */
export const formatOf = (name) => (name === "percent" || name === "count" || name === "times" || name === "text" || name === "value" ? asText[name] : asText.shown);
