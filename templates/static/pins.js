// Pinned latents: they go along in the address, wait in a tray, and are compared side by side.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const MOST = 12;
  const PIN = /^([a-z0-9][a-z0-9._-]{0,120})\.(\d{1,15})$/;
  const OUTSIDE = /^(?:[a-z][a-z0-9+.-]*:|\/)/i;

  S.pinned = [];
  // What else changes when a latent is pinned or let go.
  S.onPins = [];

  const name = ([slug, latent]) => slug + "." + latent;
  const called = ([slug, latent]) => {
    const sae = S.saes.get(slug);
    return (sae ? sae.label : slug) + " " + latent;
  };
  S.isPinned = (slug, latent) => S.pinned.some((pin) => name(pin) === slug + "." + latent);

  // The pins of an address: each once, and only those that this report can show.
  function parsed(text) {
    const pins = new Map();
    const unknown = [];
    let decoded = text;
    try {
      decoded = decodeURIComponent(text);
    } catch (error) {
      // Not written by this report; what fits the form is taken.
    }
    for (const part of decoded.split(",").slice(0, 100)) {
      const found = PIN.exec(part);
      const pin = found && [found[1], Number(found[2])];
      if (pin && (!S.saes.size || S.href(...pin))) pins.set(name(pin), pin);
      else if (part) unknown.push(part.slice(0, 40));
    }
    return { pins: Array.from(pins.values()), unknown };
  }

  // ---- links that the server made carry the pins too
  S.carry = function (href) {
    const within = href.startsWith("#") && (!S.single || document.getElementById(href.slice(1)));
    if (within || OUTSIDE.test(href)) return href;
    const lead = S.single && href.startsWith("#") ? "#" : "";
    const [path, ...rest] = href.slice(lead.length).split("#");
    const kept = rest.join("#").split("&").filter((part) => part && !part.startsWith("pins="));
    const fragment = S.withPins(kept.join("&"));
    return lead + path + (fragment ? "#" + fragment : "");
  };

  function dressLinks() {
    for (const link of document.querySelectorAll("a[href]:not([download])")) {
      const href = link.getAttribute("href");
      const carried = S.carry(href);
      if (carried !== href) link.setAttribute("href", carried);
    }
  }

  // ---- the tray
  const said = el("p", { class: "tray-said", role: "status" });
  const list = el("ul", { id: "pinned" });
  const toggle = el("button", { type: "button", "aria-controls": "pinned", "aria-expanded": "false" });
  const compare = el("a", { class: "compare" }, "Compare");
  const clear = el("button", { type: "button" }, "Clear");
  const bar = el("div", {}, toggle, compare, clear);
  const tray = el("aside", { class: "tray js-only", "aria-label": "Pinned latents", hidden: "" }, said, list, bar);

  function open(wanted) {
    toggle.setAttribute("aria-expanded", String(wanted));
    list.hidden = !wanted;
    if (wanted) describe();
  }

  function item(pin) {
    const href = S.href(...pin) || S.link("index.html");
    const off = el("button", { type: "button", class: "mini-button", "aria-label": "Unpin " + called(pin) }, "×");
    off.addEventListener("click", () => {
      const place = S.pinned.findIndex((other) => name(other) === name(pin));
      S.togglePin(...pin);
      const left = list.querySelectorAll("button");
      (left[Math.min(place, left.length - 1)] || document.getElementById("main")).focus();
    });
    const line = el("li", {}, el("a", { href }, called(pin)), el("span", { class: "gloss" }), off);
    line.dataset.pin = name(pin);
    return line;
  }

  // Label or tokens of what is pinned; the tables they are in are loaded when the tray is open.
  async function describe() {
    for (const pin of S.pinned) {
      const table = await S.table(pin[0]).catch(() => null);
      const row = table && table.byLatent.get(pin[1]);
      if (table && !row) drop([pin]);
      const line = list.querySelector("[data-pin='" + name(pin) + "']");
      if (!row || !line || (!row[5] && !row[9] && !S.tokens.size)) continue;
      line.querySelector(".gloss").replaceWith(S.gloss(row));
    }
  }

  function draw() {
    const n = S.pinned.length;
    tray.hidden = !n && !said.textContent;
    bar.hidden = !n;
    toggle.textContent = n + " pinned";
    compare.href = S.link("compare.html");
    if (S.page === "compare") compare.setAttribute("aria-current", "page");
    list.replaceChildren(...S.pinned.map(item));
    if (!n) open(false);
    else if (!list.hidden) describe();
    document.documentElement.classList.toggle("has-tray", !tray.hidden);
  }

  function say(text) {
    said.textContent = text;
    if (!text) return;
    const off = el("button", { type: "button", class: "mini-button", "aria-label": "Dismiss" }, "×");
    off.addEventListener("click", () => {
      say("");
      draw();
      document.getElementById("main").focus();
    });
    said.append(" ", off);
  }

  // ---- the pins of this tab: an older page's address does not know what came after it
  function tab(name, value) {
    const key = "saereport-" + name + "-" + S.report.fingerprint;
    try {
      if (value === undefined) return self.sessionStorage.getItem(key);
      if (value === null) self.sessionStorage.removeItem(key);
      else self.sessionStorage.setItem(key, value);
    } catch (error) {
      // No storage: the address alone has them.
    }
    return null;
  }

  function set(pins) {
    S.pinned = pins.slice(0, MOST);
    S.pins = S.pinned.map(name).join(",");
    tab("pins", S.pins);
    dressLinks();
    draw();
    for (const changed of S.onPins) changed();
  }

  function drop(pins) {
    const gone = new Set(pins.map(name));
    say("Not in this report, so not pinned: " + pins.map(called).join(", ") + ".");
    set(S.pinned.filter((pin) => !gone.has(name(pin))));
    S.setFragment(S.fragment());
  }
  S.dropPins = drop;

  S.togglePin = function (slug, latent) {
    const pin = [slug, latent];
    const without = S.pinned.filter((other) => name(other) !== name(pin));
    const off = without.length < S.pinned.length;
    say(off || without.length < MOST ? "" : "At most " + MOST + " latents can be pinned.");
    set(off ? without : [...without, pin]);
    S.setFragment(S.fragment());
  };

  function fromAddress(text = S.pinsInAddress()) {
    const { pins, unknown } = parsed(text);
    const extra = pins.length > MOST ? "Only the first " + MOST + " are pinned. " : "";
    const words = unknown.length ? "Not in this report, so not pinned: " + unknown.slice(0, 3).join(", ") + (unknown.length > 3 ? " …" : "") : "";
    say(extra + words);
    set(pins);
    if (S.pinsInAddress() !== S.pins) S.setFragment(S.fragment());
  }

  toggle.addEventListener("click", () => open(list.hidden));
  clear.addEventListener("click", () => {
    say("");
    set([]);
    S.setFragment(S.fragment());
    document.getElementById("main").focus();
  });
  tray.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || list.hidden) return;
    open(false);
    toggle.focus();
  });
  document.getElementById("main").tabIndex = -1;
  document.body.append(tray);
  open(false);
  // Whether the reader went back or forward to another address of this document.
  let returned = false;
  if (self.navigation)
    self.navigation.addEventListener("navigate", ({ navigationType }) => {
      if (navigationType === "traverse" || navigationType === "push") returned = navigationType === "traverse";
    });
  // An address without pins keeps those of the page, and so does one that the reader comes back to;
  // another that names others brings them.
  self.addEventListener("hashchange", () => {
    const asked = S.pinsInAddress();
    if (asked && asked !== S.pins && !returned) fromAddress();
    else if (asked !== S.pins) S.setFragment(S.fragment());
    returned = false;
    dressLinks();
  });
  // A single file is loaded again for every page, so there Back is a reload too.
  const [came] = self.performance.getEntriesByType("navigation");
  const type = came ? came.type : "";
  const reloaded = S.single && type === "reload" && (tab("returned") || !S.pinsInAddress());
  tab("returned", null);
  self.addEventListener("pagehide", () => S.single && returned && tab("returned", "yes"));
  const before = type === "back_forward" || reloaded ? tab("pins") : null;
  fromAddress(before === null ? S.pinsInAddress() : before);
  self.addEventListener("pageshow", (event) => {
    const now = event.persisted ? tab("pins") : null;
    if (now !== null && now !== S.pins) fromAddress(now);
  });
})();
