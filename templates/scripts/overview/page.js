// The front page: the cards of the SAEs in another order.
import { all, byId } from "../core/dom.js";
import { fragmentNow, setFragment } from "../core/address.js";

export function overviewPage() {
  if (!document.getElementById("order")) return;
  const select = byId("order", HTMLSelectElement);
  const list = byId("cards", HTMLElement);
  const cards = all(list, ":scope > *");
  /**
   * @param {HTMLElement} card
   * @param {string} name
   */
  const value = (card, name) => Number.parseFloat(card.dataset[name] || "");

  function apply() {
    const name = select.value.replace(/^-/, "");
    const sign = select.value.startsWith("-") ? -1 : 1;
    /**
     * Cards without the number come last; cards that are alike stay in the order of the model.
     * @param {HTMLElement} a
     * @param {HTMLElement} b
     */
    const compare = (a, b) => {
      const [x, y] = [value(a, name), value(b, name)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
      return sign * (x - y);
    };
    const sorted = name === "model" ? cards : cards.slice().sort((a, b) => compare(a, b) || cards.indexOf(a) - cards.indexOf(b));
    list.replaceChildren(...sorted);
  }
  function read() {
    const wanted = new URLSearchParams(fragmentNow()).get("sort") || "model";
    const known = Array.from(select.options).some((option) => option.value === wanted);
    select.value = known ? wanted : "model";
    apply();
  }
  select.addEventListener("change", () => {
    apply();
    setFragment(select.value === "model" ? "" : "sort=" + select.value);
  });
  self.addEventListener("hashchange", read);
  read();
}
