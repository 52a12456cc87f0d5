/** Dark, light, or as the system has it. */

import { byId, fill } from "./dom.js";

const KEPT = "twofold.theme";
const NEXT = { system: "light", light: "dark", dark: "system" };

/** Make the switch work; what was chosen is already there, see theme.js. */
export function prepareTheme() {
  const root = document.documentElement;
  const draw = () => {
    const now = root.dataset.theme ?? "system";
    fill(byId("theme"), `Theme: ${now}`);
    byId("theme").setAttribute("aria-label", `Theme: ${now}. Switch to ${NEXT[now]}.`);
  };
  byId("theme").addEventListener("click", () => {
    const next = NEXT[root.dataset.theme ?? "system"];
    if (next === "system") {
      delete root.dataset.theme;
      localStorage.removeItem(KEPT);
    } else {
      root.dataset.theme = next;
      localStorage.setItem(KEPT, next);
    }
    draw();
  });
  draw();
}
