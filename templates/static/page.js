// What every page does: theme, keyboard, help, going to a latent; then the page's own part.
"use strict";
(function () {
  const S = self.saereport;
  const root = document.documentElement;
  const THEMES = ["", "light", "dark"];
  const NAMES = { "": "follow the system", light: "light", dark: "dark" };

  const button = document.getElementById("theme");
  function label() {
    const text = "Colours: " + NAMES[root.dataset.theme || ""];
    button.setAttribute("aria-label", text);
    button.title = text;
  }
  function nextTheme() {
    const dark = self.matchMedia("(prefers-color-scheme: dark)").matches;
    const order = dark ? ["", "light", "dark"] : ["", "dark", "light"];
    const now = order.indexOf(root.dataset.theme || "");
    const theme = order[(now + 1) % THEMES.length];
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    S.remember("theme", theme || null);
    label();
    S.redraw();
  }
  button.addEventListener("click", nextTheme);
  label();
  self.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => S.redraw());

  const keys = document.getElementById("keys");
  const help = () => (keys.open ? keys.close() : keys.showModal());
  document.getElementById("help").addEventListener("click", help);
  document.getElementById("keys-close").addEventListener("click", () => keys.close());

  const jump = document.getElementById("jump");
  async function go() {
    const wanted = Number.parseInt(jump.value, 10);
    const table = await S.table(S.sae);
    const row = Number.isNaN(wanted) ? null : table && table.byLatent.get(wanted);
    jump.setCustomValidity(row ? "" : "This report does not show latent " + jump.value.trim() + ".");
    if (row) {
      S.go(S.href(S.sae, wanted));
      jump.value = "";
      jump.blur();
    } else jump.reportValidity();
  }
  if (jump) {
    jump.addEventListener("keydown", (event) => {
      if (event.key === "Enter") go();
      if (event.key === "Escape") jump.blur();
    });
    jump.addEventListener("input", () => jump.setCustomValidity(""));
  }

  S.actions();
  S.watchExamples();
  if (S.page === "latents") S.latentPage();
  if (S.page === "sae") S.saePage();
  if (S.page === "graph") S.graphPage();
  if (S.page === "prompt") S.promptPage();
  if (S.page === "compare") S.comparePage();
  if (S.page === "overview") S.overviewPage();
  S.notesSection();
  S.readyFigures();

  // Behind an anchor the address may name pins, which the browser takes for a part of it.
  const anchor = S.page === "text" && document.getElementById(S.fragment());
  if (anchor) anchor.scrollIntoView();

  // Going there by its address would take the place of what the address says the page shows.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    const main = document.getElementById("main");
    main.focus({ preventScroll: true });
    main.scrollIntoView();
  });

  // The latent that a key is about: the one that is shown, or the one in the row with the focus.
  function mark(what) {
    const article = document.querySelector("article.current[id^='latent-']");
    const row = document.activeElement && document.activeElement.closest("tr[data-latent]");
    if (article) S.mark(what, S.sae, Number(article.id.slice("latent-".length)));
    else if (row) S.mark(what, S.sae, Number(row.dataset.latent));
  }

  const filter = document.getElementById("filter");
  // A page has the keys that its help names, and no others.
  const listed = new Set(Array.from(keys.querySelectorAll("dt kbd"), (node) => node.textContent));
  const ARROWS = { ArrowRight: "→", ArrowLeft: "←" };
  const actions = {
    "?": help,
    t: nextTheme,
    "/": () => (filter || jump).focus(),
    j: () => S.move(1),
    "→": () => S.move(1),
    k: () => S.move(-1),
    "←": () => S.move(-1),
    u: () => S.up(),
    e: () => S.unfoldAll(),
    b: () => S.toggleBlind(),
    y: S.copyLink,
    m: S.copyMarkdown,
    r: S.recut,
    s: () => mark("star"),
    p: () => mark("pin"),
    n: () => S.writeNote(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    // What scrolls sideways has the arrow keys while the focus is in it.
    const scrolls = event.target instanceof Element && event.target.closest(".scroll[tabindex], .compared, .scroller");
    if (scrolls && ARROWS[event.key]) return;
    const key = ARROWS[event.key] || event.key;
    if (!listed.has(key) || (keys.open && key !== "?")) return;
    event.preventDefault();
    actions[key]();
  });
})();
