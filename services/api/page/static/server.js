/** The server view: whether it is well, what waits in its queues, and which collections there are. */

import { get } from "./api.js";
import { byId, el, fill, trouble } from "./dom.js";
import { counted } from "./text.js";

const LOOK_MS = 4000;
const STATES = ["queued", "parsing", "embedding", "ready", "failed"];
const PARTS = {
  store: "Store",
  ingestion: "Ingestion",
  embedder: "Embedder",
  reranker: "Reranker",
};

/** What somebody wants to know of a queue, in a sentence. */
export function backlog(documents) {
  const [queued = 0, parsing = 0, embedding = 0] = STATES.map((state) => documents[state]);
  const working = parsing + embedding;
  if (!queued && !working) return "Nothing waits.";
  return `${counted(queued, "document")} wait${queued === 1 ? "s" : ""}, ${working} ${working === 1 ? "is" : "are"} being worked on.`;
}

/** @param {{go: Function, refused: Function}} page */
export class ServerView {
  #timer = null;

  constructor(page) {
    this.page = page;
  }

  /** Show it, and keep it fresh as long as somebody looks. */
  async show() {
    this.leave();
    await this.#look();
    this.#timer = setInterval(() => document.hidden || this.#look(), LOOK_MS);
  }

  leave() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  async #look() {
    try {
      const [ready, health, collections] = await Promise.all([
        get("readyz", {}, { also: [503] }),
        get("healthz"),
        listed(),
      ]);
      fill(
        byId("server-body"),
        wellness(ready, health),
        queue(ready),
        collections && table(collections, this.page),
      );
    } catch (error) {
      fill(byId("server-body"), trouble(error));
      this.page.refused(error);
    }
  }
}

/** The collections of the tenant; null where the server cannot list them. */
export async function listed() {
  try {
    return (await get("collections")).collections;
  } catch (error) {
    if (error.status === 404 || error.status === 405) return null;
    throw error;
  }
}

function wellness(ready, health) {
  return el(
    "section",
    {},
    el(
      "h2",
      { class: `status ${ready.ready ? "applied" : "error"}` },
      ready.ready ? "Ready" : "Not ready",
    ),
    el(
      "dl",
      { class: "facts" },
      Object.entries(ready.parts).map(([name, said]) => [
        el("dt", {}, PARTS[name] ?? name),
        el(
          "dd",
          { class: said === "ok" ? "well" : "ill" },
          said === "ok" ? "well" : said,
          workers(ready, name),
        ),
      ]),
      el("dt", {}, "First-stage model"),
      el("dd", {}, ready.embedder ?? "no worker has said which yet"),
      el("dt", {}, "Second-stage model"),
      el("dd", {}, ready.reranker ?? "none"),
      el("dt", {}, "Version"),
      el("dd", {}, health.version),
    ),
  );
}

function workers(ready, name) {
  const count = ready.workers?.[name];
  return count === undefined ? null : `, ${counted(count, "worker")}`;
}

function queue({ documents }) {
  return el(
    "section",
    {},
    el("h2", {}, "Your documents"),
    el("p", {}, backlog(documents)),
    el(
      "ul",
      { class: "tally" },
      STATES.map((state) =>
        el(
          "li",
          { class: state },
          el("strong", {}, (documents[state] ?? 0).toLocaleString("en")),
          ` ${state}`,
        ),
      ),
    ),
  );
}

function table(collections, page) {
  if (!collections.length) return null;
  return el(
    "section",
    {},
    el("h2", {}, "Collections"),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Collections" },
      el(
        "table",
        { class: "collections" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["Name", "Documents", "Passages", "Embedder", "Rebuild"].map((name) =>
              el("th", { scope: "col" }, name),
            ),
          ),
        ),
        el(
          "tbody",
          {},
          collections.map((each) =>
            el(
              "tr",
              {},
              el(
                "th",
                { scope: "row" },
                el(
                  "button",
                  {
                    type: "button",
                    class: "link",
                    on: { click: () => page.go({ view: "documents", collection: each.name }) },
                  },
                  each.name,
                ),
              ),
              el("td", {}, total(each.documents)),
              el("td", {}, each.passages.toLocaleString("en")),
              el("td", {}, each.embedder),
              el("td", {}, rebuilding(each.rebuild)),
            ),
          ),
        ),
      ),
    ),
  );
}

/** All of them, and how many have failed. */
function total(documents) {
  const all = Object.values(documents)
    .reduce((sum, each) => sum + each, 0)
    .toLocaleString("en");
  return documents.failed ? `${all}, ${documents.failed.toLocaleString("en")} failed` : all;
}

/** How far a collection is on its way to another model; nothing where it is on none. */
function rebuilding(rebuild) {
  if (!rebuild) return "";
  const { state, done, total: all, embedder, reason } = rebuild;
  return `${state}: ${done} of ${all} with ${embedder}${reason ? `; ${reason}` : ""}`;
}
