// The front page: the cards of the SAEs in another order.
"use strict";
(function () {
  const S = self.saereport;

  S.overviewPage = function () {
    const select = document.getElementById("order");
    const list = document.getElementById("cards");
    if (!select || !list) return;
    const cards = Array.from(list.children);
    const value = (card, name) => Number.parseFloat(card.dataset[name]);

    function apply() {
      const name = select.value.replace(/^-/, "");
      const sign = select.value.startsWith("-") ? -1 : 1;
      // Cards without the number come last; cards that are alike stay in the order of the model.
      const compare = (a, b) => {
        const [x, y] = [value(a, name), value(b, name)];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
        return sign * (x - y);
      };
      const sorted = name === "model" ? cards : cards.slice().sort((a, b) => compare(a, b) || cards.indexOf(a) - cards.indexOf(b));
      list.replaceChildren(...sorted);
    }
    function read() {
      const wanted = new URLSearchParams(S.fragment()).get("sort") || "model";
      const known = Array.from(select.options).some((option) => option.value === wanted);
      select.value = known ? wanted : "model";
      apply();
    }
    select.addEventListener("change", () => {
      apply();
      S.setFragment(select.value === "model" ? "" : "sort=" + select.value);
    });
    self.addEventListener("hashchange", read);
    read();
  };
})();
