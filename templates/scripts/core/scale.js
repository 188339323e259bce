// How large a number is drawn among others.

/**
 * The largest of some numbers by size: what a scale about zero goes to. 0 where there is none, or all are 0.
 * @param {number[]} numbers
 */
export const largestOf = (numbers) => numbers.reduce((most, n) => Math.max(most, Math.abs(n)), 0);

/**
 * The size of a number as a share of the largest; none of what is all 0.
 * @param {number} value
 * @param {number} most
 */
export const shareOf = (value, most) => (most > 0 ? Math.abs(value) / most : 0);
