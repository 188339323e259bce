// How examples are read: how much text, which activations, one for each token; and who else reads it.
"use strict";
(function () {
  const S = self.saereport;
  const CUTS = ["snippet", "sentence", "full"];
  const NUMBER = "(\\d{1,12}(?:\\.\\d{1,12})?(?:e[+-]?\\d{1,3})?)";
  const RANGE = new RegExp("^" + NUMBER + "-" + NUMBER + "$");

  // The same for every latent but the range, which belongs to one.
  S.view = { cut: CUTS[0], range: null, unique: false };

  // The parts of a fragment: `latent-47&cut=sentence&unique` has an anchor, then names with values.
  S.parts = function (fragment) {
    const [anchor, ...rest] = fragment.split("&");
    const pairs = rest.map((part) => {
      const at = part.indexOf("=");
      return at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
    });
    return { anchor, values: new Map(pairs) };
  };

  S.readView = function (values) {
    const found = RANGE.exec(values.get("range") || "");
    const range = found ? [Number(found[1]), Number(found[2])] : null;
    S.view.cut = CUTS.includes(values.get("cut")) ? values.get("cut") : CUTS[0];
    S.view.range = range && range[0] <= range[1] ? range : null;
    S.view.unique = values.has("unique");
  };

  S.viewSuffix = function () {
    const { cut, range, unique } = S.view;
    const parts = [];
    if (cut !== CUTS[0]) parts.push("cut=" + cut);
    if (range) parts.push("range=" + range.join("-"));
    if (unique) parts.push("unique");
    return parts.map((part) => "&" + part).join("");
  };

  // What shows examples has a method `follow`, called when the reader asks for something else.
  S.followView = (root) => root.querySelectorAll(".follows").forEach((node) => node.follow());
  S.onView = () => {};
  S.changeView = function (changes) {
    Object.assign(S.view, changes);
    S.onView();
    S.followView(document.querySelector("article.current") || document);
  };
  S.recut = function () {
    const cut = CUTS[(CUTS.indexOf(S.view.cut) + 1) % CUTS.length];
    S.changeView({ cut });
    S.say("Examples: " + cut);
  };
  S.CUTS = CUTS;

  // A full stop that does not end a sentence: after a title, an initial, "e.g.".
  const SHORTENED = /(?:^|[^\p{L}])(?:Mrs?|Ms|Dr|Prof|St|Sr|Jr|Mt|vs|cf|viz|approx|[eE]\.g|[iI]\.e|\p{Lu})\.$/u;

  // The sentence around a position: up to a full stop before a space, a line break, or a special token.
  S.sentence = function (ids, at) {
    const texts = ids.map(S.token);
    const ends = (i) => {
      if (S.special.has(ids[i]) || texts[i].includes("↵")) return true;
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
  };

  const [SEQUENCE, PEAK, ACTIVATION, START, WINDOW] = [0, 1, 2, 3, 4];
  S.peakToken = (example) => S.unpack(example[WINDOW])[example[PEAK] - example[START]];

  // Every stored example once, the strongest first.
  S.distinct = function (groups) {
    const found = new Map();
    for (const group of groups)
      for (const example of group.examples) found.set(example[SEQUENCE] + ":" + example[PEAK], example);
    const order = (a, b) => b[ACTIVATION] - a[ACTIVATION] || a[SEQUENCE] - b[SEQUENCE] || a[PEAK] - b[PEAK];
    return Array.from(found.values()).sort(order);
  };

  // Examples with the number of those folded into each: all, or the strongest of each peak token.
  S.foldTokens = function (examples, unique) {
    if (!unique) return examples.map((example) => [example, 0]);
    const kept = new Map();
    for (const example of examples) {
      const token = S.peakToken(example);
      const best = kept.get(token);
      if (!best) kept.set(token, [example, 0]);
      else kept.set(token, [example[ACTIVATION] > best[0][ACTIVATION] ? example : best[0], best[1] + 1]);
    }
    return Array.from(kept.values());
  };

  // The latents with a stored example in a sequence whose text is loaded: [slug, latent].
  S.readersOf = function (sequence) {
    const numbers = S.unpack(S.readers.get(sequence) || "");
    // As `_steps` in saereport/site/sequences.py: the largest code goes on.
    const GOES_ON = 405855;
    const found = [];
    for (let at = 0; at < numbers.length; ) {
      const sae = S.report.saes[numbers[at]];
      let left = numbers[at + 1];
      at += 2;
      for (let latent = 0; left > 0; at += 1) {
        latent += numbers[at];
        if (numbers[at] === GOES_ON) continue;
        if (sae) found.push([sae.slug, latent]);
        left -= 1;
      }
    }
    return found;
  };

  // A latent's own record, from the data script of its page.
  S.latentRecord = async function (slug, latent) {
    const found = /\/l(\d+)\.html/.exec(S.href(slug, latent) || "");
    if (!found) return null;
    const shard = slug + "/" + Number(found[1]);
    if (!S.shards.has(shard)) await S.load(slug + "/d" + found[1] + ".js");
    const record = S.shards.get(shard);
    return (record && record.byLatent.get(latent)) || null;
  };
})();
