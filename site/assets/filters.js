// Which rows of the table of latents fit and in which order; and both as text for the address.
"use strict";
(function () {
  const S = self.saereport;
  const RANGES = ["latent", "density", "max"];
  const TEXTS = ["q", "tokens", "raises", "label"];
  const ONLY = ["starred", "labelled", "pinned"];
  const SORTS = ["latent", "marked", "density", "max", "shape", "tokens", "raises", "label"];
  const LONGEST = 200;
  const NUMBER = /^[0-9]{1,15}(\.[0-9]{1,25})?(e-?[0-9]{1,2})?$/i;

  S.noFilters = () => ({
    ...Object.fromEntries(TEXTS.map((name) => [name, ""])),
    ...Object.fromEntries(RANGES.map((name) => [name, [null, null]])),
    only: new Set(),
    sort: [{ name: "latent", down: false }],
  });

  S.columnNames = SORTS;
  S.numberFrom = (text) => (NUMBER.test(text.trim()) ? Number(text) : null);

  // A state from the text of an address; what makes no sense is passed over.
  S.readFilters = function (text) {
    const parts = new URLSearchParams(text);
    const state = S.noFilters();
    for (const name of TEXTS) state[name] = (parts.get(name) || "").slice(0, LONGEST);
    for (const name of RANGES) {
      const ends = (parts.get(name) || "").split("..");
      if (ends.length === 2) state[name] = ends.map(S.numberFrom);
    }
    for (const name of (parts.get("only") || "").split(",")) if (ONLY.includes(name)) state.only.add(name);
    const sort = [];
    for (const part of (parts.get("sort") || "").split(",").slice(0, 9)) {
      const name = part.replace(/^-/, "");
      if (SORTS.includes(name) && !sort.some((key) => key.name === name)) sort.push({ name, down: part.startsWith("-") });
    }
    if (sort.length) state.sort = sort.slice(0, 3);
    return state;
  };

  S.writeFilters = function (state) {
    const parts = [];
    const say = (name, value) => parts.push(name + "=" + encodeURIComponent(value).replace(/%2C/g, ",").replace(/%20/g, "+"));
    const sort = state.sort.map(({ name, down }) => (down ? "-" : "") + name).join(",");
    if (sort !== "latent") say("sort", sort);
    for (const name of TEXTS) if (state[name]) say(name, state[name]);
    for (const name of RANGES) {
      if (state[name].some((end) => end !== null)) say(name, state[name].map((end) => (end === null ? "" : String(end))).join(".."));
    }
    if (state.only.size) say("only", ONLY.filter((name) => state.only.has(name)).join(","));
    return parts.join("&");
  };

  // How many filters are at work, without the search field and the order.
  S.countFilters = (state) =>
    state.only.size +
    TEXTS.filter((name) => name !== "q" && state[name]).length +
    RANGES.filter((name) => state[name].some((end) => end !== null)).length;

  // A function from a state to the rows that fit it, in its order.
  S.rowFinder = function (table) {
    const { rows, sae } = table;
    let words = null;
    const label = (row) => [S.notes.label(sae, row), row[5]].filter(Boolean).join(" · ");

    // Each token on a line of its own, as it is shown, in running text, and without its space.
    function lines(packed) {
      const forms = new Set();
      for (const id of S.unpack(packed)) {
        const text = S.token(id);
        forms.add(text).add(S.prose(text)).add(S.prose(text).trim());
      }
      return ("\n" + Array.from(forms).join("\n") + "\n").toLowerCase();
    }
    function read() {
      if (!words) words = rows.map((row) => [lines(row[3]), lines(row[4])]);
      return words;
    }

    // A word in quotes is a whole token.
    function needle(text) {
      const quoted = /^"(.+)"$/.exec(text.trim());
      return quoted ? "\n" + quoted[1].toLowerCase() + "\n" : text.trim().toLowerCase();
    }

    const marked = (row) => (S.notes.of(sae, row[0]).star ? 2 : 0) + (S.isPinned(sae, row[0]) ? 1 : 0);
    // Where the middle of the little histogram lies: whether strong activations are as common as weak ones.
    function middle(row) {
      let mass = 0;
      let moment = 0;
      for (let i = 0; i < row[6].length; i += 1) {
        const height = row[6].charCodeAt(i) - 65;
        mass += height;
        moment += i * height;
      }
      return mass ? moment / mass : "";
    }
    const first = (packed) => (packed ? S.prose(S.token(S.unpack(packed)[0])).trim().toLowerCase() : "");
    const keys = {
      latent: (row) => row[0],
      marked,
      density: (row) => row[1],
      max: (row) => row[2],
      shape: middle,
      tokens: (row) => first(row[3]),
      raises: (row) => first(row[4]),
      label: (row) => label(row).toLowerCase(),
    };

    function tests(state) {
      const found = [];
      const column = { latent: 0, density: 1, max: 2 };
      for (const name of RANGES) {
        const [low, high] = state[name];
        const at = column[name];
        if (low !== null) found.push((row) => row[at] >= low);
        if (high !== null) found.push((row) => row[at] <= high);
      }
      if (state.only.has("starred")) found.push((row) => S.notes.of(sae, row[0]).star);
      if (state.only.has("labelled")) found.push((row) => label(row) !== "");
      if (state.only.has("pinned")) found.push((row) => S.isPinned(sae, row[0]));
      const q = needle(state.q);
      if (/^\d+$/.test(q)) found.push((row) => String(row[0]).startsWith(q));
      else if (q) {
        const text = read();
        const blind = "blind".includes(q);
        found.push((row, i) => text[i][0].includes(q) || text[i][1].includes(q) || label(row).toLowerCase().includes(q) || (blind && row[9]));
      }
      for (const [name, place] of [["tokens", 0], ["raises", 1]]) {
        const wanted = needle(state[name]);
        if (wanted) found.push((row, i) => read()[i][place].includes(wanted));
      }
      const wanted = state.label.trim().toLowerCase();
      if (wanted) found.push((row) => label(row).toLowerCase().includes(wanted));
      return found;
    }

    return function (state) {
      const fits = tests(state);
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
  };

  // ---- the rows as a file
  const COLUMNS = ["sae", "latent", "density", "max", "active on", "raises", "explanation", "map x", "map y", "star", "pinned", "own label", "note"];
  S.rowsAsData = function (rows, sae) {
    const tokens = (packed) => S.unpack(packed).map(S.token).join(" ");
    return {
      columns: COLUMNS,
      rows: rows.map((row) => {
        const entry = S.notes.of(sae, row[0]);
        const own = row[9] && !S.revealed(sae, row[0]) ? ["", ""] : [entry.label.trim(), entry.note];
        const marks = [Number(entry.star), Number(S.isPinned(sae, row[0]))];
        return [sae, row[0], row[1], row[2], tokens(row[3]), tokens(row[4]), row[5], row[7], row[8], ...marks, ...own];
      }),
    };
  };
})();
