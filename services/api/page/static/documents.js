/** The documents view: add files and texts, watch their progress, look, retry, remove. */

import { documentPath, get, post, remove, upload } from "./api.js";
import { confirmed } from "./dialogs.js";
import { button, byId, el, fill, say, show, trouble } from "./dom.js";
import { bytes, counted } from "./text.js";

const FILES = 20;
const BYTES = 32e6;
const PAGE = 100;
const LOOK_MS = 700;
const HIDDEN_MS = 5000;
const FAILURES = 20;
const UNFINISHED = ["queued", "parsing", "embedding"];
const STATES = {
  queued: "waiting",
  parsing: "being read",
  embedding: "being embedded",
  ready: "ready",
  failed: "failed",
};

/** Files in uploads of a bearable size, so that each has its own progress and its own failure. */
export function batches(files, most = FILES, size = BYTES) {
  const made = [];
  let room = 0;
  for (const file of files) {
    const last = made.at(-1);
    if (last && last.length < most && file.size <= room) {
      last.push(file);
      room -= file.size;
    } else {
      made.push([file]);
      room = size - file.size;
    }
  }
  return made;
}

/** @param {{go: Function, refused: Function, changed: Function}} page */
export class DocumentsView {
  #collection = "default";
  #added = new Map();
  #watching = null;
  #cursor = null;
  #shown = "";

  constructor(page) {
    this.page = page;
    byId("choose").addEventListener("click", () => byId("files").click());
    byId("files").addEventListener("change", (event) => {
      this.add([...event.target.files]);
      event.target.value = "";
    });
    byId("paste-open").addEventListener("click", () => {
      const opened = byId("paste").hidden;
      show(byId("paste"), opened);
      byId("paste-open").setAttribute("aria-expanded", String(opened));
      if (opened) byId("paste-name").focus();
    });
    byId("paste").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#paste();
    });
    byId("kept-status").addEventListener("change", () => this.list());
    byId("kept-more").addEventListener("click", () => this.#page());
  }

  /** Show the documents of a collection. */
  async show({ collection }) {
    if (this.#collection !== collection) {
      this.#collection = collection;
      this.#added.clear();
      this.#drawAdded();
    }
    await this.list();
  }

  /** Upload files into the collection, some at a time. */
  async add(files) {
    const metadata = this.#metadata();
    if (metadata === null) return;
    const collection = this.#collection;
    const waiting = batches(files).map((batch) => ({
      batch,
      rows: batch.map((file) => this.#put({ key: `upload/${crypto.randomUUID?.() ?? Math.random()}`, name: file.name, size: file.size, sent: 0 })),
    }));
    this.#drawAdded();
    for (const { batch, rows } of waiting) {
      const fields = { collection, ...(metadata && { metadata: JSON.stringify(metadata) }) };
      await this.#send(rows, () => upload(batch, fields, (sent) => {
        for (const row of rows) row.sent = sent;
        this.#drawAdded();
      }));
    }
  }

  /** Read the list again from its beginning. */
  async list() {
    this.#cursor = null;
    fill(byId("kept-notice"));
    fill(byId("kept-list"));
    show(byId("kept-more"), false);
    await this.#page();
  }

  async #page() {
    const query = (this.#shown = JSON.stringify([this.#collection, byId("kept-status").value]));
    try {
      const status = byId("kept-status").value.split(",");
      const found = await get("documents", { collection: this.#collection, status, cursor: this.#cursor, limit: PAGE });
      if (query !== this.#shown) return;
      this.#cursor = found.cursor;
      byId("kept-list").append(...found.documents.map((each) => this.#row(each)));
      show(byId("kept-more"), found.cursor !== null);
      if (!byId("kept-list").children.length) this.#empty();
      this.#watch(found.documents.filter((each) => UNFINISHED.includes(each.status)).map((each) => each.id));
    } catch (error) {
      if (error.code === "collection_not_found") this.#empty();
      else fill(byId("kept-notice"), trouble(error));
      this.page.refused(error);
    }
  }

  #empty() {
    const all = !byId("kept-status").value;
    fill(
      byId("kept-notice"),
      el("p", { class: "quiet" }, all ? "Nothing here yet. What you drop above appears here, and can be searched as soon as it is ready." : "No document is in this state."),
    );
  }

  async #paste() {
    const metadata = this.#metadata();
    if (metadata === null) return;
    const name = byId("paste-name").value.trim();
    const text = byId("paste-text").value;
    const row = this.#put({ key: `upload/${name}`, name, size: new Blob([text]).size, sent: 1 });
    const documents = [{ name, text, ...(metadata && { metadata }) }];
    const sent = await this.#send([row], () => post("documents", { documents, collection: this.#collection }));
    if (sent) byId("paste").reset();
  }

  /** What is to be said of the documents; undefined: nothing; null: it is no JSON object. */
  #metadata() {
    const typed = byId("metadata").value.trim();
    if (!typed) return undefined;
    try {
      const metadata = JSON.parse(typed);
      if (metadata?.constructor === Object) return metadata;
    } catch {
      // Said below.
    }
    byId("metadata").closest("details").open = true;
    byId("metadata").focus();
    fill(byId("kept-notice"), trouble(new Error('The metadata is not a JSON object such as {"year": 2026}.')));
    return null;
  }

  async #send(rows, send) {
    try {
      const { documents, rejected } = await send();
      for (const row of rows) this.#added.delete(row.key);
      for (const each of documents) this.#put({ ...each, key: each.id });
      for (const { name, error } of rejected) this.#put({ key: `refused/${name}`, name, error, status: "failed", refused: true });
      this.#watch(documents.map((each) => each.id));
      return true;
    } catch (error) {
      for (const row of rows) Object.assign(row, { status: "failed", error, refused: true });
      this.page.refused(error);
      return false;
    } finally {
      this.#drawAdded();
    }
  }

  #put(row) {
    this.#added.set(row.key, row);
    return row;
  }

  /** Look at these until all are ready or failed. One request a look, however many there are. */
  async #watch(ids) {
    if (!ids.length) return;
    const collection = this.#collection;
    const others = this.#watching?.collection === collection ? this.#watching.open : [];
    const open = new Set([...ids, ...others]);
    const watching = (this.#watching = { open, collection });
    let failures = 0;
    while (open.size && this.#watching === watching && this.#collection === collection) {
      try {
        const { documents } = await get("documents", { collection, status: UNFINISHED, limit: 1000 });
        const working = new Map(documents.map((each) => [each.id, each]));
        for (const id of [...open]) {
          const row = working.get(id) ?? (await get(documentPath(id), { collection }));
          if (!UNFINISHED.includes(row.status)) open.delete(id);
          this.#update(row);
        }
      } catch (error) {
        this.page.refused(error);
        if (error.status === 404) return void this.list();
        failures += 1;
        if (error.status === 401 || error.status === 403 || failures > FAILURES) {
          fill(byId("kept-notice"), trouble(error));
          return;
        }
      }
      if (open.size) await new Promise((resolve) => setTimeout(resolve, document.hidden ? HIDDEN_MS : LOOK_MS));
    }
    if (this.#watching !== watching) return;
    this.#watching = null;
    say("All documents are ready or have failed.");
    this.page.changed();
    await this.list();
  }

  #update(row) {
    if (this.#added.has(row.id)) {
      this.#put({ ...row, key: row.id, verdict: this.#added.get(row.id).verdict });
      this.#drawAdded();
    }
    const shown = [...byId("kept-list").children].find((each) => each.dataset.id === row.id);
    shown?.replaceWith(this.#row(row));
  }

  #drawAdded() {
    const rows = [...this.#added.values()];
    show(byId("added"), rows.length > 0);
    fill(byId("added-list"), rows.map((row) => (row.status ? this.#row(row) : sending(row))));
  }

  #row(row) {
    const working = UNFINISHED.includes(row.status);
    const facts = [
      row.size !== undefined && bytes(row.size),
      row.live_version && counted(row.chunks, "passage"),
      row.version > 1 && `version ${row.version}`,
      row.verdict === "unchanged" && "was there already",
      row.updated_at && new Date(row.updated_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
    ];
    return el(
      "li",
      { "data-id": row.id, class: "file" },
      el("div", { class: "what" },
        row.live_version ? button(row.name, () => this.page.go({ document: row.id, start: "", end: "" }), { class: "link open" }) : el("span", { class: "name" }, row.name),
        el("p", { class: "quiet" }, facts.filter(Boolean).join(" · ")),
        row.error && el("p", { class: "trouble" }, row.error.message)),
      el("span", { class: `state ${row.status}` }, row.refused ? "refused" : STATES[row.status]),
      working && el("progress", { value: row.progress, max: 1, "aria-label": `Progress of ${row.name}` }),
      !row.refused && el("div", { class: "actions" },
        row.status === "failed" && button("Retry", () => this.#retry(row), { "aria-label": `Retry ${row.name}` }),
        button("Delete", () => this.#remove(row), { "aria-label": `Delete ${row.name}` })),
    );
  }

  async #retry(row) {
    try {
      this.#update(await post(documentPath(row.id, "/retry"), undefined, { parameters: { collection: row.collection } }));
      this.#watch([row.id]);
    } catch (error) {
      fill(byId("kept-notice"), trouble(error));
      this.page.refused(error);
    }
  }

  async #remove(row) {
    if (!(await confirmed("Delete this document?", `${row.name} and its passages are removed from the collection ${row.collection}. This cannot be undone.`, "Delete"))) return;
    try {
      await remove(documentPath(row.id), { collection: row.collection });
      this.#added.delete(row.id);
      this.#drawAdded();
      this.page.changed();
      await this.list();
      say(`${row.name} is deleted.`);
    } catch (error) {
      fill(byId("kept-notice"), trouble(error));
      this.page.refused(error);
    }
  }
}

function sending(row) {
  return el(
    "li",
    { class: "file" },
    el("div", { class: "what" }, el("span", { class: "name" }, row.name), el("p", { class: "quiet" }, bytes(row.size))),
    el("span", { class: "state" }, row.sent < 1 ? "being sent" : "being checked"),
    el("progress", { value: row.sent, max: 1, "aria-label": `Upload of ${row.name}` }),
  );
}
