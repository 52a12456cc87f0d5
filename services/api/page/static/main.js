/** The page: three views of one state, which is the address. */

import { OPENED, read, write } from "./address.js";
import { listed } from "./collections.js";
import { prepare, askForKey, prepareKey } from "./dialogs.js";
import { DocumentsView } from "./documents.js";
import { byId, el, fill, show } from "./dom.js";
import { prepareDrop } from "./drop.js";
import { prepareKeyboard } from "./keyboard.js";
import { open } from "./passage.js";
import { SearchView } from "./search.js";
import { ServerView } from "./server.js";
import { prepareTheme } from "./themes.js";

const TITLES = { search: "Search", documents: "Documents", server: "Server" };

let state = read(location.search);

const page = {
  /** Show another state. It gets its own place in the history. */
  go(changes) {
    const next = { ...state, ...changes };
    if (write(next) !== write(state)) history.pushState(null, "", write(next));
    render(next);
  },

  /** Where the API wants a key, or another one, ask for it. */
  refused(error) {
    if (error.status === 401) askForKey(error.message);
  },

  /** Documents have come or gone: the next search must ask again. */
  changed() {
    views.search.forget();
    offerCollections();
  },
};

const views = {
  search: new SearchView(page),
  documents: new DocumentsView(page),
  server: new ServerView(page),
};

function render(next) {
  const view = views[next.view] ? next.view : "search";
  const before = state;
  state = next;
  for (const name of Object.keys(views)) show(byId(name), name === view);
  for (const link of document.querySelectorAll("a[data-view]")) {
    link.href = write({ ...state, view: link.dataset.view, document: "", start: "", end: "" });
    if (link.parentElement.tagName === "NAV") {
      link.toggleAttribute("aria-current", link.dataset.view === view);
      if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    }
  }
  byId("collection").value = state.collection;
  document.title =
    state.q && view === "search" ? `${state.q} · Twofold` : `${TITLES[view]} · Twofold`;
  if (view !== "server") views.server.leave();
  const shown = onlyOpened(before, next) ? Promise.resolve() : views[view].show(state);
  opened(shown);
}

/** Whether nothing but the dialog with a document changed; what is below it stays as it is. */
function onlyOpened(before, next) {
  const without = (each) =>
    write({ ...each, ...Object.fromEntries(OPENED.map((name) => [name, ""])) });
  return before !== next && without(before) === without(next) && write(before) !== write(next);
}

async function opened(shown) {
  const dialog = byId("passage");
  if (!state.document) {
    if (dialog.open) dialog.close();
    return;
  }
  const { collection, document, start, end } = state;
  await shown; // so that an address that was shared finds the result it speaks of
  if (state.document !== document) return;
  const offset = (text) => (/^\d+$/.test(text) ? Number(text) : null);
  await open(
    { collection, document, start: offset(start), end: offset(end) },
    views.search.find(state),
  );
}

async function offerCollections() {
  try {
    const collections = await listed();
    fill(
      byId("collections"),
      collections.map(({ name }) => el("option", { value: name })),
    );
  } catch {
    // A key is missing or the server is away; the view says so, and names can be typed.
  }
}

function start() {
  prepare();
  prepareTheme();
  prepareKeyboard(() => state.view === "search" || page.go({ view: "search" }));
  prepareDrop(
    (files) => {
      page.go({ view: "documents", document: "", start: "", end: "" });
      views.documents.add(files);
    },
    () => state.collection,
  );
  prepareKey(() => {
    views.search.forget();
    offerCollections();
    render({ ...state });
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-view]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    page.go({
      view: link.dataset.view,
      document: "",
      start: "",
      end: "",
      ...(link.classList.contains("wordmark") && { q: "" }),
    });
  });
  byId("collection").addEventListener("change", (event) => {
    const name = event.target.value.trim() || "default";
    if (event.target.checkValidity()) page.go({ collection: name });
    else event.target.reportValidity();
  });
  byId("passage").addEventListener("close", () => {
    if (state.document) page.go({ document: "", start: "", end: "" });
  });
  addEventListener("popstate", () => render(read(location.search)));
  offerCollections();
  render(state);
  if (state.view === "search" && !state.q) byId("query").focus();
}

start();
