// The registry of data, and the few helpers that every other script uses.
// Data scripts push records to the global list `saereport`; here it becomes a receiver.
"use strict";
(function () {
  const ALPHABET = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))
    .filter((c) => !"\"\\<>&'".includes(c))
    .join("");
  const BASE = ALPHABET.length;
  const SHORT = 36;
  const DIGIT = new Uint8Array(128);
  for (let i = 0; i < BASE; i += 1) DIGIT[ALPHABET.charCodeAt(i)] = i;

  const early = Array.isArray(self.saereport) ? self.saereport : [];
  const root = document.documentElement;
  const S = {
    root: root.dataset.root || "",
    page: root.dataset.page || "",
    sae: root.dataset.sae || "",
    report: { saes: [], panels: [], bases: [] },
    bases: new Map(),
    saes: new Map(),
    tokens: new Map(),
    // By first token, runs of tokens that are text together only; see saereport/site/context.py.
    joints: new Map(),
    special: new Set(),
    tables: new Map(),
    shards: new Map(),
    sequences: new Map(),
    // Packed latents with a stored example in a sequence; see saereport/site/sequences.py.
    readers: new Map(),
    scripts: new Map(),
    prompts: new Map(),
    pins: "",
    leaving: false,
    // What other scripts do with a latent's article each time it is shown: (article, latent, hidden).
    onLatent: [],
  };

  const receivers = {
    report(record) {
      S.report = record;
      record.bases.forEach(([name, fields]) => S.bases.set(name, fields));
      record.saes.forEach((sae) => S.saes.set(sae.slug, sae));
    },
    vocabulary(record) {
      for (const [id, text, special] of record.tokens) {
        S.tokens.set(id, text);
        if (special) S.special.add(id);
      }
      for (const joint of record.joints) {
        const [first] = joint[0];
        S.joints.set(first, [...(S.joints.get(first) || []), joint]);
      }
    },
    latents(record) {
      record.byLatent = new Map(record.rows.map((row) => [row[0], row]));
      S.tables.set(record.sae, record);
    },
    shard(record) {
      record.byLatent = new Map(record.latents.map((item) => [item.latent, item]));
      S.shards.set(record.sae + "/" + record.shard, record);
    },
  };

  receivers.graph = function (record) {
    S.graph = record;
  };

  receivers.prompt = function (record) {
    S.prompts.set(record.slug, record);
  };

  receivers.map = function (record) {
    S.prompts.get(record.slug).maps[record.place] = record.map[0];
  };

  receivers.text = function (record) {
    record.sequences.forEach(([sequence, text, readers]) => {
      S.sequences.set(sequence, text);
      if (readers) S.readers.set(sequence, readers);
    });
  };

  S.push = function (record) {
    const receive = Object.hasOwn(receivers, record.kind) ? receivers[record.kind] : null;
    if (receive) receive(record);
  };

  // Token ids of a packed sequence; see saereport/site/packing.py.
  S.unpack = function (text) {
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
  };

  // Whether the histogram in a row of the table counts anything; "A" is an empty bar.
  const counted = (row) => /[^A]/.test(row[6]);
  // Whether the latent of a row is active: other tools round small densities to 0.
  S.alive = (row) => row[1] > 0 || row[2] > 0 || counted(row);
  // Without a histogram, a density of 0 is one that the imported files do not give.
  S.density = function (row) {
    if (row[1] > 0) return S.format.percent(row[1]);
    if (!S.alive(row)) return "dead";
    return counted(row) ? S.format.percent(Number.MIN_VALUE) : "–";
  };

  S.token = (id) => S.tokens.get(id) || "<token " + id + ">";
  // Tokens as text to be read: [first, count, text], a character that is split over tokens whole.
  // A token may take part in two pieces; one that is no text even with its neighbours stays bytes.
  S.running = function (ids) {
    const pieces = [];
    for (let at = 0; at < ids.length; ) {
      const found = (S.joints.get(ids[at]) || []).find(([run]) => run.every((id, i) => id === ids[at + i]));
      if (found) found[1].forEach(([first, count, text]) => pieces.push([at + first, count, text]));
      else pieces.push([at, 1, S.token(ids[at])]);
      at += found ? found[0].length : 1;
    }
    return pieces;
  };
  // Inside running text a token's leading space is a space.
  S.prose = (shown) => (shown.startsWith("␣") ? " " + shown.slice(1) : shown);

  // An element with a class, properties and children; text always becomes a text node.
  S.el = function (tag, fields, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(fields || {})) {
      if (name === "class") node.className = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== null) node.setAttribute(name, value);
    }
    for (const child of children) if (child !== null && child !== undefined) node.append(child);
    return node;
  };

  S.svg = function (path, width, height, label) {
    const space = "http://www.w3.org/2000/svg";
    const node = document.createElementNS(space, "svg");
    node.setAttribute("viewBox", "0 0 " + width + " " + height);
    node.setAttribute("preserveAspectRatio", "none");
    if (label) {
      node.setAttribute("role", "img");
      node.setAttribute("aria-label", label);
    } else node.setAttribute("aria-hidden", "true");
    const line = document.createElementNS(space, "path");
    line.setAttribute("d", path);
    node.append(line);
    return node;
  };

  // ---- addresses
  // In a report's folder a page's fragment lies behind the `#`. In a single file the page's own path
  // comes first: `#resid-l10/l0000.html#latent-47`. Pinned latents go along to every page, as `pins`.
  S.single = root.dataset.single !== undefined;
  const PINS = /(?:^|&)pins=([^&#]*)/;

  // What the page shows, where the address cannot be written: in a frame without one of its own.
  let unwritten = null;
  self.addEventListener("hashchange", () => (unwritten = null));

  function behind() {
    if (unwritten !== null) return unwritten;
    const hash = self.location.hash.slice(1);
    const at = S.single ? hash.indexOf("#") : -1;
    return S.single && at < 0 ? "" : hash.slice(at + 1);
  }

  // What an address says about this page, without the pins.
  S.fragment = () => behind().replace(PINS, "");
  // The pins as the address has them.
  S.pinsInAddress = function () {
    const found = PINS.exec(behind());
    return found ? found[1] : "";
  };
  S.withPins = (fragment) => [fragment, S.pins ? "pins=" + S.pins : ""].filter(Boolean).join("&");

  // Say in the address what the page shows, without a new entry in the history.
  S.setFragment = function (fragment) {
    const rest = S.withPins(fragment);
    const text = S.single ? root.dataset.path + (rest ? "#" + rest : "") : rest;
    const { pathname, search } = self.location;
    try {
      self.history.replaceState(null, "", text ? "#" + text : pathname + search);
      unwritten = null;
    } catch (error) {
      unwritten = rest;
    }
  };

  // The address of a page of this report, from its path and what it should show.
  S.link = function (path, fragment) {
    const rest = S.withPins(fragment || "");
    return (S.single ? "#" : S.root) + path + (rest ? "#" + rest : "");
  };

  // The same for an address relative to the report's root, `resid-l10/l0000.html#latent-47`.
  S.address = function (href) {
    const [path, fragment] = href.split("#");
    return S.link(path, fragment);
  };

  // Go to an address that one of these made; `replace` leaves no entry in the history.
  S.go = function (href, replace) {
    const hash = href.slice(href.indexOf("#"));
    // In a single file the document is loaded again: only what is gone to begins at the top, not
    // what one comes back to.
    S.leaving = true;
    if (!S.single || !hash.startsWith("#")) {
      if (replace) self.location.replace(href);
      else self.location.href = href;
    } else if (self.location.hash === hash) {
      self.dispatchEvent(new HashChangeEvent("hashchange"));
    } else if (replace) self.location.replace(self.location.href.split("#")[0] + hash);
    else self.location.hash = hash;
  };

  // In a single file the scripts of this report are blocks that do not run: data is read, and the
  // one library is run by a script element with its text, whose hash the policy names.
  const blocks = new Map();
  for (const block of document.querySelectorAll("script[data-path]")) blocks.set(block.dataset.path, block);

  function open(path) {
    const block = blocks.get(path);
    if (!block) throw new Error("cannot load " + path);
    if (block.type === "application/json") JSON.parse(block.textContent).forEach(S.push);
    else document.head.append(S.el("script", {}, block.textContent));
  }

  function fetched(path) {
    return new Promise((done, fail) => {
      const script = S.el("script", { src: S.root + path });
      script.onload = () => done();
      script.onerror = () => fail(new Error("cannot load " + path));
      document.head.append(script);
    });
  }

  // A script of this report, once.
  S.load = function (path) {
    if (!S.scripts.has(path)) {
      const loading = S.single ? new Promise((done) => done(open(path))) : fetched(path);
      loading.catch(() => S.scripts.delete(path));
      S.scripts.set(path, loading);
    }
    return S.scripts.get(path);
  };

  // The rows of an SAE's table, loaded when first needed.
  S.table = async function (slug) {
    if (!S.tables.has(slug)) await S.load(slug + "/latents.js");
    return S.tables.get(slug);
  };

  // The place of the last number that is not above `value` in a sorted list.
  function before(firsts, value) {
    let low = 0;
    let high = firsts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (firsts[middle] <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  const numbered = (letter, n) => letter + String(n).padStart(4, "0");

  // The token ids of a whole sequence, loaded when first needed.
  S.sequence = async function (sequence) {
    if (!S.sequences.has(sequence))
      await S.load("text/" + numbered("t", before(S.report.texts, sequence)) + ".js");
    return S.unpack(S.sequences.get(sequence) || "");
  };

  // Where a latent's page is, or null if the report does not show it for certain.
  S.href = function (slug, latent) {
    const sae = S.saes.get(slug);
    if (!sae || !sae.count || latent < sae.firsts[0] || latent > sae.last) return null;
    const page = numbered("l", before(sae.firsts, latent));
    return S.link(slug + "/" + page + ".html", "latent-" + latent);
  };

  S.colour = function (name) {
    const probe = S.el("span", {});
    probe.style.setProperty("color", "var(--" + name + ")");
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };

  S.remember = function (name, value) {
    try {
      if (value === undefined) return self.localStorage.getItem("saereport-" + name);
      if (value === null) self.localStorage.removeItem("saereport-" + name);
      else self.localStorage.setItem("saereport-" + name, value);
    } catch (error) {
      // No storage: nothing is remembered.
    }
    return null;
  };

  S.pins = S.pinsInAddress();
  self.saereport = S;
  early.forEach(S.push);
  if (S.single && root.dataset.needs) root.dataset.needs.split(" ").forEach(S.load);
})();
