// A report in one file. In the source its pages lie one under the other, so that they can be read
// without JavaScript; this runs before every other script and leaves only the page that the address
// names, in the frame (header, footer) that the page has in a report's folder, with its plain ids.
// Going to another page is a new start: the address changes and the document is loaded again.
"use strict";
(function () {
  const root = document.documentElement;
  const REFERENCES = ["id", "for", "headers", "list", "aria-labelledby", "aria-describedby", "aria-controls"];
  const pages = new Map(Array.from(document.querySelectorAll("section[data-path]"), (page) => [page.dataset.path, page]));
  const home = pages.keys().next().value;

  // The page and the place on it that an address means.
  function wanted() {
    const [path, ...rest] = self.location.hash.slice(1).split("#");
    return { path: pages.has(path) ? path : home, place: rest.join("#").replace(/(^|&)pins=[^&#]*/, "") };
  }

  function plain(part, prefix) {
    const strip = (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name);
    for (const name of REFERENCES) {
      for (const node of part.querySelectorAll("[" + name + "]"))
        node.setAttribute(name, node.getAttribute(name).split(" ").map(strip).join(" "));
    }
  }

  function scrollTo(place) {
    const target = place && document.getElementById(place);
    if (target) target.scrollIntoView();
  }

  const { path } = wanted();
  const page = pages.get(path);
  const { kind, sae, title, needs, frame } = page.dataset;
  const around = document.getElementById(frame).content;
  plain(around, frame + "#");
  plain(page, path + "#");
  around.querySelector("main").replaceChildren(...page.childNodes);
  document.querySelectorAll("body > :not(script)").forEach((node) => node.remove());
  document.body.prepend(around);
  document.title = title;
  Object.assign(root.dataset, { path, page: kind, needs });
  if (sae) root.dataset.sae = sae;

  // ---- where the reader was on a page, for the way back to it
  // Every page is a reload, before which the browser may have put its place into a shorter page.
  function tab(name, value) {
    const key = "saereport-" + name + "-" + self.location.pathname;
    try {
      const had = self.sessionStorage.getItem(key);
      if (value === null) self.sessionStorage.removeItem(key);
      else if (value !== undefined) self.sessionStorage.setItem(key, value);
      return had;
    } catch (error) {
      return null;
    }
  }
  function stay(top) {
    let moved = false;
    for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"])
      self.addEventListener(kind, () => (moved = true), { once: true, passive: true });
    // Figures make the page longer as they are drawn, and the browser has its own say after loading.
    for (const wait of [0, 60, 250, 600]) self.setTimeout(() => moved || self.scrollTo(0, top), wait);
  }
  const top = tab("returned", null) && tab("top" + self.location.hash);
  document.addEventListener("DOMContentLoaded", () => (top ? stay(Number(top)) : scrollTo(wanted().place)));

  self.addEventListener("hashchange", (event) => {
    if (wanted().path === path) scrollTo(wanted().place);
    else {
      event.stopImmediatePropagation();
      if (self.saereport.leaving) {
        tab("top" + new URL(event.oldURL).hash, String(self.scrollY));
        self.scrollTo(0, 0);
      } else tab("returned", "yes");
      self.location.reload();
    }
  });

  function save(link) {
    const from = link.getAttribute("href").slice(1);
    const block = Array.from(document.querySelectorAll("script[data-path]")).find((node) => node.dataset.path === from);
    const href = URL.createObjectURL(new Blob([block.textContent], { type: "application/json" }));
    self.saereport.el("a", { href, download: from.split("/").pop() }).click();
    self.setTimeout(() => URL.revokeObjectURL(href), 1000);
  }

  // Links go through here: in a frame without an address of its own, such as a notebook's, they
  // would be taken for addresses of the page around it.
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("a[href^='#']");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const href = link.getAttribute("href");
    if (link.hasAttribute("download")) save(link);
    else if (document.getElementById(href.slice(1))) {
      const target = document.getElementById(href.slice(1));
      target.tabIndex = -1;
      target.focus();
    } else self.saereport.go(href);
  });
})();
