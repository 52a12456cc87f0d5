/** The collections on the server view: make one, rebuild it and watch that, remove it. */

import { collectionPath, get, post, remove } from "./api.js";
import { confirmed } from "./dialogs.js";
import { button, byId, el, fill, say, show, trouble } from "./dom.js";
import { askForSettings } from "./settings.js";
import { counted } from "./text.js";

const WORKING = ["building", "comparing", "switching"];
const STATES = {
  building: "being rebuilt",
  comparing: "being compared",
  waiting: "rebuild waits",
  switching: "being switched",
  done: "rebuilt",
  failed: "rebuild failed",
};

/** The collections of the tenant, by name. */
export async function listed() {
  return (await get("collections")).collections;
}

/** Whether something happens to a collection by itself. */
export function working({ rebuild }) {
  return rebuild !== null && WORKING.includes(rebuild.state);
}

export class Collections {
  #shown = [];
  #embedders = [];
  #from = "";

  /**
   * @param {{go: Function, refused: Function, changed: Function}} page
   * @param {() => Promise<void>} look Reads again what is there, and draws it.
   */
  constructor(page, look) {
    this.page = page;
    this.look = look;
    byId("collection-new").addEventListener("click", () => this.#create());
    byId("settings").addEventListener("close", () => focusAgain(this.#from));
  }

  /** Draw them. Where nothing has changed nothing is touched. */
  draw(collections, embedders) {
    this.#embedders = embedders;
    show(byId("collections-none"), !collections.length);
    const before = this.#shown;
    if (JSON.stringify(before) === JSON.stringify(collections)) return;
    this.#shown = collections;
    const focused = document.activeElement?.dataset.action;
    fill(
      byId("collections-list"),
      collections.map((each) => this.#row(each)),
    );
    if (focused) focusAgain(focused);
    for (const each of collections) {
      const was = before.find(({ name }) => name === each.name);
      if (!was || !working(was) || working(each)) continue;
      say(`${each.name}: ${STATES[each.rebuild?.state] ?? "not rebuilt"}.`);
      this.page.changed();
    }
  }

  #row(collection) {
    const { name, rebuild } = collection;
    const act = (label, what, properties = {}) =>
      button(label, what, {
        "aria-label": `${label} ${name}`,
        "data-action": `${label}/${name}`,
        ...properties,
      });
    return el(
      "li",
      { class: "file", "data-name": name },
      el(
        "div",
        { class: "what" },
        button(name, () => this.page.go({ view: "documents", collection: name }), {
          class: "link open",
          "data-action": `open/${name}`,
        }),
        el("p", { class: "quiet" }, facts(collection).join(" · ")),
        rebuild && story(rebuild),
      ),
      el("span", { class: `state ${dot(rebuild)}` }, rebuild && STATES[rebuild.state]),
      working(collection) &&
        el("progress", {
          // Until they are counted, the bar only says that something goes on.
          value: rebuild.total ? rebuild.done : null,
          max: rebuild.total || null,
          "aria-label": `Rebuild of ${name}`,
        }),
      el(
        "div",
        { class: "actions" },
        rebuild?.state === "waiting" &&
          act("Switch", () => this.#switch(collection), { class: "primary" }),
        rebuild &&
          !["done", "switching"].includes(rebuild.state) &&
          act("Give up", () => this.#cancel(collection)),
        !working(collection) && act("Rebuild", () => this.#rebuild(collection)),
        act("Delete", () => this.#delete(collection)),
      ),
    );
  }

  #create() {
    const words = {
      kind: "create",
      title: "New collection",
      yes: "Create",
      left: "What is left empty is as the server is set to.",
    };
    this.#from = "";
    askForSettings(words, { embedders: this.#embedders }, async (body) => {
      await this.#ask(() => post("collections", body));
      say(`${body.name} is there.`);
      this.page.changed();
    });
  }

  #rebuild({ name, rebuild, ...now }) {
    const words = {
      kind: "rebuild",
      title: `Rebuild ${name}`,
      yes: "Rebuild",
      left: "What is left empty stays as it is; another model brings its own dimensions and size of passages.",
    };
    this.#from = `Rebuild/${name}`;
    // Asked for the same again, one that waits tries the documents again that have failed.
    const values = {};
    if (rebuild && rebuild.state !== "done")
      for (const field of ["embedder", "dimensions", "chunk_tokens", "language", "switch"])
        values[field] = rebuild[field];
    askForSettings(words, { values, now, embedders: this.#embedders }, async (body) => {
      await this.#ask(() => post(collectionPath(name, "/rebuild"), body));
      say(`${name} is being rebuilt.`);
    });
  }

  async #switch({ name, rebuild }) {
    const lost = `${counted(rebuild.failed, "document")} that searches find now ${rebuild.failed === 1 ? "is" : "are"} missing in the new passages.`;
    if (rebuild.failed && !(await confirmed(`Switch ${name} all the same?`, lost, "Switch")))
      return;
    await this.#act(() => post(collectionPath(name, "/rebuild/switch")), `${name} is switched.`);
    this.page.changed();
  }

  async #cancel({ name }) {
    const loss = "What it has made so far is removed. Searches go on as they are.";
    if (!(await confirmed(`Give up the rebuild of ${name}?`, loss, "Give it up"))) return;
    await this.#act(() => remove(collectionPath(name, "/rebuild")), "The rebuild is given up.");
  }

  async #delete({ name, documents }) {
    const held = sum(documents);
    const loss = held
      ? `Its ${counted(held, "document")} and all passages are removed. This cannot be undone.`
      : "It holds no documents.";
    if (!(await confirmed(`Delete the collection ${name}?`, loss, "Delete"))) return;
    await this.#act(() => remove(collectionPath(name)), `${name} is deleted.`);
    this.page.changed();
  }

  /** Do something that a button is for, and say how it went. */
  async #act(what, done) {
    try {
      await this.#ask(what);
      say(done);
    } catch (error) {
      fill(byId("collections-notice"), trouble(error));
    }
  }

  async #ask(what) {
    fill(byId("collections-notice"));
    try {
      await what();
    } catch (error) {
      this.page.refused(error);
      throw error;
    }
    await this.look();
  }
}

/** The focus to where it was before the rows were drawn, or as near as there is something. */
function focusAgain(action) {
  const name = action.slice(action.indexOf("/") + 1);
  const places = [...byId("collections-list").querySelectorAll("[data-action]")];
  const place = (wanted) => places.find((each) => each.dataset.action === wanted);
  const next = place(action) ?? place(`open/${name}`) ?? byId("collection-new");
  next.focus({ preventScroll: true });
}

function facts({ documents, passages, embedder, dimensions, chunk_tokens: tokens, language }) {
  return [
    counted(sum(documents), "document"),
    documents.failed && `${documents.failed.toLocaleString("en")} failed`,
    counted(passages, "passage"),
    ...made({ embedder, dimensions, chunk_tokens: tokens, language }),
  ].filter(Boolean);
}

function made({ embedder, dimensions, chunk_tokens: tokens, language }) {
  return [`${embedder} (${dimensions})`, `up to ${tokens} tokens`, language];
}

/** How far a rebuild is, and what came of it. */
function story(rebuild) {
  const { state, done, total, reason, failures = [], comparison } = rebuild;
  const there = total && `${done.toLocaleString("en")} of ${counted(total, "document")} done`;
  return [
    state !== "done" &&
      el(
        "p",
        { class: "quiet" },
        `New: ${[...made(rebuild), there].filter(Boolean).join(" · ")}`,
      ),
    comparison && el("p", { class: "quiet" }, compared(comparison)),
    reason && el("p", { class: state === "failed" || rebuild.failed ? "trouble" : "quiet" }, reason),
    failures.map(({ name, error }) =>
      el("p", { class: "trouble" }, error ? `${name}: ${error.message}` : name),
    ),
  ];
}

/** How the old and the new passages answered, in a sentence. */
export function compared({ queries, overlap_10: overlap, old, new: after }) {
  const same = `${counted(queries, "question")}: ${Math.round(overlap * 100)} % of the first ten documents are the same`;
  const gain =
    old && after && `nDCG@10 ${old.ndcg_10.toFixed(3)} before, ${after.ndcg_10.toFixed(3)} after`;
  return `${[same, gain].filter(Boolean).join("; ")}.`;
}

function dot(rebuild) {
  if (!rebuild) return "none";
  return { done: "ready", failed: "failed" }[rebuild.state] ?? "";
}

function sum(documents) {
  return Object.values(documents).reduce((all, each) => all + each, 0);
}
