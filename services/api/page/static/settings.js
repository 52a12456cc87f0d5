/** The dialog for what a collection is made with: of a new one, or of a rebuild. */

import { byId, el, fill, show, trouble } from "./dom.js";

/**
 * Ask for settings. The dialog stays until they are accepted, or nobody wants them any more.
 * @param {{kind: "create"|"rebuild", title: string, yes: string, left: string}} words
 *   `left` says what becomes of a field that is left empty.
 * @param {{values?: object, now?: object, embedders: string[]}} settings By the names of fields:
 *   what they begin with, and what holds while they are empty.
 * @param {(body: object) => Promise<void>} send What it throws is shown.
 */
export function askForSettings(words, { values = {}, now = {}, embedders }, send) {
  const [dialog, form, yes] = [byId("settings"), byId("settings-form"), byId("settings-yes")];
  fill(byId("settings-title"), words.title);
  fill(byId("settings-left"), words.left);
  fill(byId("settings-notice"));
  fill(yes, words.yes);
  form.reset();
  for (const part of form.querySelectorAll("[data-for]")) {
    const used = part.dataset.for === words.kind;
    show(part, used);
    part.querySelector("input, select, textarea").disabled = !used;
  }
  fill(
    form.elements.embedder,
    el("option", { value: "" }, now.embedder ?? "the server's"),
    embedders.filter((name) => name !== now.embedder).map((name) => el("option", {}, name)),
  );
  for (const name of ["dimensions", "chunk_tokens", "language"])
    form.elements[name].placeholder = now[name] ?? "";
  for (const [name, value] of Object.entries(values))
    if (value !== now[name]) form.elements[name].value = value;
  form.onsubmit = async (event) => {
    event.preventDefault();
    yes.disabled = true;
    try {
      await send(bodyOf(form));
      dialog.close();
    } catch (error) {
      fill(byId("settings-notice"), trouble(error));
    } finally {
      yes.disabled = false;
    }
  };
  dialog.showModal();
}

/** What was filled in, as the API takes it. */
function bodyOf(form) {
  const body = Object.fromEntries(
    [...new FormData(form)].map(([name, text]) => [name, text.trim()]).filter(([, text]) => text),
  );
  for (const name of ["dimensions", "chunk_tokens"]) if (body[name]) body[name] = Number(body[name]);
  if (body.queries)
    body.queries = body.queries
      .split("\n")
      .map((line) => ({ query: line.trim() }))
      .filter(({ query }) => query);
  return body;
}
