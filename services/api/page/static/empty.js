/** What stands where results would: how to begin, and why there are none. */

import { button, el } from "./dom.js";

/** There are documents, and no question yet. */
export function welcome() {
  return empty(
    "Ask a question",
    "In a whole sentence or a few words. The first stage finds passages by meaning and by words; ",
    "the second reads the best of them closely and puts them in order. Beside the results you see ",
    "what each did.",
  );
}

/** There is nothing to search. @param {Function} add Leads to where documents are added. */
export function nothingYet(collection, add) {
  const node = empty(
    "No documents yet",
    "The collection ",
    el("strong", {}, collection),
    " is empty. Drop files anywhere on this page, or add some first; they can be searched as soon ",
    "as they are ready, usually within seconds.",
  );
  node.append(el("p", {}, button("Add documents", add, { class: "primary" })));
  return node;
}

/** A search that found nothing. @param {string} filter Empty where everything was searched. */
export function nothingFound(filter) {
  return empty(
    "Nothing found",
    filter
      ? "No passage passes the filter. Take a condition away, or look whether its key is spelt as in the documents."
      : "No passage of this collection has anything to do with it. Ask in other words, or look whether the documents are ready.",
  );
}

function empty(title, ...text) {
  return el("div", { class: "empty" }, el("h2", {}, title), el("p", {}, text));
}
