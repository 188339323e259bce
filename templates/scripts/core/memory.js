// What the browser remembers between pages.

const PREFIX = "saereport-";

/**
 * Reads a value, or writes one; null forgets it.
 * @param {string} name
 * @param {string | null} [value]
 * @returns {string | null}
 */
export function remember(name, value) {
  try {
    if (value === undefined) return self.localStorage.getItem(PREFIX + name);
    if (value === null) self.localStorage.removeItem(PREFIX + name);
    else self.localStorage.setItem(PREFIX + name, value);
  } catch {
    // No storage: nothing is remembered.
  }
  return null;
}

/**
 * Everything that this browser remembers under names that begin so.
 * @param {string} start
 * @returns {[string, string][]}
 */
export function remembered(start) {
  const full = PREFIX + start;
  try {
    return Object.keys(self.localStorage)
      .filter((key) => key.startsWith(full))
      .map((key) => [key.slice(full.length), self.localStorage.getItem(key) || ""]);
  } catch {
    return [];
  }
}
