/** Dialogs: they close with Escape, their button, or a click beside them. */

import { keep, key } from "./api.js";
import { byId, fill } from "./dom.js";

/** Make every dialog of the page close as people expect. */
export function prepare() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      const closes = event.target === dialog || event.target.closest("[data-close]");
      if (closes) dialog.close();
    });
  }
}

/** Ask whether to do what cannot be undone. */
export function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  fill(byId("confirm-title"), title);
  fill(byId("confirm-text"), text);
  fill(byId("confirm-yes"), yes);
  dialog.showModal();
  return new Promise((resolve) => {
    byId("confirm-form").onsubmit = (event) => {
      event.preventDefault();
      resolve(true);
      dialog.close();
    };
    dialog.addEventListener("close", () => resolve(false), { once: true });
  });
}

/** Ask for a key. @param {string} reason Why: what the API said. */
export function askForKey(reason) {
  fill(byId("key-reason"), reason);
  byId("key-field").value = key();
  if (!byId("key").open) byId("key").showModal();
  byId("key-field").focus();
}

/** @param {() => void} onChange Called when there is another key. */
export function prepareKey(onChange) {
  const use = (given) => {
    keep(given);
    byId("key").close();
    onChange();
  };
  byId("key-open").addEventListener("click", () =>
    askForKey("Servers that several people use ask for one. Get yours from whoever runs this."),
  );
  byId("key-forget").addEventListener("click", () => use(""));
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    use(byId("key-field").value.trim());
  });
}
