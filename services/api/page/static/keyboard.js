/** The page by keyboard: `/` to the question, arrows through the results, Escape back. */

import { byId } from "./dom.js";
import { focusCard } from "./search.js";

/** @param {() => void} toSearch Shows the search view. */
export function prepareKeyboard(toSearch) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]"))
      return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      toSearch();
      byId("query").focus();
      byId("query").select();
    } else if (event.target === byId("query")) {
      if (event.key === "ArrowDown") step(event, 0);
    } else if (!typing) {
      const card = event.target.closest(".card");
      const at = cards().indexOf(card);
      if (event.key === "ArrowDown" && at >= 0) step(event, at + 1);
      else if (event.key === "ArrowUp" && at >= 0) step(event, at - 1);
      else if (event.key === "Escape" && at >= 0) byId("query").focus();
      else if (event.key === "Enter" && card && event.target === card) {
        // Else the key would go on to the button that has the focus in the dialog.
        event.preventDefault();
        card.querySelector(".open").click();
      }
    }
  });
}

function cards() {
  return [...document.querySelectorAll(".card")];
}

/** To a card by number; above the first is the question. */
function step(event, to) {
  const all = cards();
  if (!all.length) return;
  event.preventDefault();
  if (to < 0) byId("query").focus();
  else focusCard(all[Math.min(to, all.length - 1)]);
}
