/** The server view: whether it is well, what waits in its queues, and which collections there are. */

import { get } from "./api.js";
import { Collections, listed, working } from "./collections.js";
import { byId, el, fill, trouble } from "./dom.js";
import { counted } from "./text.js";

const LOOK_MS = 4000;
const WORKING_MS = 1000; // while a rebuild goes on
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

/** @param {{go: Function, refused: Function, changed: Function}} page */
export class ServerView {
  #open = false;
  #timer = null;

  constructor(page) {
    this.page = page;
    this.collections = new Collections(page, () => this.#look());
  }

  /** Show it, and keep it fresh as long as somebody looks. */
  async show() {
    this.#open = true;
    await this.#look();
  }

  leave() {
    this.#open = false;
    clearTimeout(this.#timer);
  }

  async #look() {
    clearTimeout(this.#timer);
    const pause = document.hidden ? LOOK_MS : await this.#draw();
    clearTimeout(this.#timer);
    if (this.#open) this.#timer = setTimeout(() => this.#look(), pause);
  }

  /** Returns the milliseconds after which another look is worth while. */
  async #draw() {
    try {
      const [ready, health, collections] = await Promise.all([
        get("readyz", {}, { also: [503] }),
        get("healthz"),
        listed(),
      ]);
      fill(byId("server-body"), wellness(ready, health), queue(ready));
      const embedders = [ready.embedder, ...(ready.other_embedders ?? [])].filter(Boolean);
      this.collections.draw(collections, embedders);
      return collections.some(working) ? WORKING_MS : LOOK_MS;
    } catch (error) {
      fill(byId("server-body"), trouble(error));
      this.page.refused(error);
      return LOOK_MS;
    }
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
