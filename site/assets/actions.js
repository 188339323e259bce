// What a reader does with a page: copy its address, copy it as Markdown, print it.
"use strict";
(function () {
  const S = self.saereport;
  const { el } = S;
  const root = document.documentElement;
  S.onPaper = [];

  // ---- what was done, said where it is seen and heard
  const said = el("p", { class: "said", role: "status" });
  let quiet = 0;
  S.say = function (text) {
    self.clearTimeout(quiet);
    said.textContent = text;
    quiet = self.setTimeout(() => (said.textContent = ""), 5000);
  };

  // ---- the clipboard; where there is none, a field with the text selected
  function byHand(text, what) {
    const before = document.activeElement;
    const field = el("textarea", { readonly: "", rows: "3", "aria-label": what });
    field.value = text;
    const done = el("button", { type: "button" }, "Close");
    const note = el("p", {}, "This browser does not let a page copy. The text is selected: copy it yourself.");
    const box = el("div", { class: "by-hand", role: "group", "aria-label": what }, note, field, done);
    const close = () => {
      box.remove();
      if (before instanceof HTMLElement) before.focus();
    };
    done.addEventListener("click", close);
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
    });
    document.querySelectorAll(".by-hand").forEach((node) => node.remove());
    document.body.append(box);
    field.focus();
    field.select();
  }
  S.copy = async function (text, what) {
    try {
      await self.navigator.clipboard.writeText(text);
      S.say(what + " copied");
    } catch (error) {
      byHand(text, what);
    }
  };
  // The whole address: page, what it shows, and pinned latents.
  S.viewAddress = function () {
    S.setFragment(S.fragment());
    return self.location.href;
  };
  S.copyLink = () => S.copy(S.viewAddress(), "Link to this view");
  S.copyMarkdown = async () => S.copy(await S.markdown(), "Markdown");

  // A drawn graph is made smaller until the paper holds it; sizes in CSS pixels.
  const [WIDE, HIGH] = [680, 860];
  function fitGraph() {
    const canvas = document.querySelector(".g-canvas");
    if (canvas) canvas.style.setProperty("--fit", String(Math.min(1, WIDE / canvas.scrollWidth, HIGH / canvas.scrollHeight)));
  }

  // ---- print: light, the figures drawn as wide as the paper
  let before = null;
  const head = el("div", { class: "print-head" });
  function paper() {
    if (S.paper) return;
    S.paper = true;
    before = root.dataset.theme || "";
    root.dataset.theme = "light";
    head.replaceChildren(el("b", {}, document.title), el("span", {}, S.viewAddress()));
    document.querySelector("main").prepend(head);
    fitGraph();
    S.onPaper.forEach((changed) => changed());
    S.drawAll(document.querySelector("article.current") || document.querySelector("main"));
  }
  function screen() {
    if (!S.paper) return;
    S.paper = false;
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    head.remove();
    S.onPaper.forEach((changed) => changed());
    S.redraw();
  }
  S.print = async function () {
    paper();
    try {
      await S.drawAll(document.querySelector("article.current") || document.querySelector("main"));
      self.print();
    } finally {
      screen();
    }
  };

  // ---- the menu in the header
  function menu() {
    const tools = document.querySelector(".tools");
    if (!tools) return;
    const item = (label, key, action) => {
      const button = el("button", { type: "button", "aria-keyshortcuts": key }, label, key ? el("kbd", {}, key) : null);
      button.addEventListener("click", () => {
        open(false);
        action();
      });
      return button;
    };
    const inside = el(
      "div",
      { class: "share-menu", hidden: "" },
      item("Copy link to this view", "y", S.copyLink),
      item("Copy as Markdown", "m", S.copyMarkdown),
      item("Print or save as PDF", null, S.print),
    );
    const button = el("button", { class: "icon share", type: "button", "aria-expanded": "false", "aria-label": "Copy or print", title: "Copy or print" }, "⇪");
    const box = el("div", { class: "share-box" }, button, inside);
    const open = (now) => {
      inside.hidden = !now;
      button.setAttribute("aria-expanded", String(now));
      if (!now && box.contains(document.activeElement)) button.focus();
    };
    button.addEventListener("click", () => open(inside.hidden));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || inside.hidden) return;
      event.stopPropagation();
      open(false);
    });
    document.addEventListener("click", (event) => !inside.hidden && !box.contains(event.target) && open(false));
    box.addEventListener("focusout", (event) => event.relatedTarget && !box.contains(event.relatedTarget) && open(false));
    tools.insertBefore(box, document.getElementById("theme"));
  }

  S.actions = function () {
    document.body.append(said);
    menu();
    S.offerTables();
    self.addEventListener("beforeprint", paper);
    self.addEventListener("afterprint", screen);
    self.matchMedia("print").addEventListener("change", (event) => (event.matches ? paper() : screen()));
  };
})();
