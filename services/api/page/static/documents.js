/** The documents view: add files and texts, watch their progress, look, retry, remove. */

import { documentPath, get, post, remove, upload } from "./api.js";
import { confirmed } from "./dialogs.js";
import { byId, el, fill, say, show, trouble } from "./dom.js";
import { UNFINISHED, batches, file, sending } from "./files.js";

const PAGE = 100;
const LOOK_MS = 700;
const HIDDEN_MS = 5000;
const FAILURES = 20;

/** @param {{go: Function, refused: Function, changed: Function}} page */
export class DocumentsView {
  #collection = "default";
  #added = new Map();
  #watching = null;
  #cursor = null;
  #listing = null;

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
      rows: batch.map((file) =>
        this.#put({
          key: `upload/${crypto.randomUUID?.() ?? Math.random()}`,
          name: file.name,
          size: file.size,
          sent: 0,
        }),
      ),
    }));
    this.#drawAdded();
    for (const { batch, rows } of waiting) {
      const fields = { collection, ...(metadata && { metadata: JSON.stringify(metadata) }) };
      await this.#send(rows, () =>
        upload(batch, fields, (sent) => {
          for (const row of rows) row.sent = sent;
          this.#drawAdded();
        }),
      );
    }
  }

  /** Read the list again from its beginning. */
  async list() {
    this.#listing = {}; // what an earlier one is still waiting for comes too late
    this.#cursor = null;
    fill(byId("kept-notice"));
    show(byId("kept-more"), false);
    await this.#page();
  }

  async #page() {
    const listing = this.#listing;
    const first = this.#cursor === null;
    try {
      const status = byId("kept-status").value.split(",");
      const found = await get("documents", {
        collection: this.#collection,
        status,
        cursor: this.#cursor,
        limit: PAGE,
      });
      if (listing !== this.#listing) return;
      this.#cursor = found.cursor;
      if (first) fill(byId("kept-list"));
      byId("kept-list").append(...found.documents.map((each) => this.#row(each)));
      show(byId("kept-more"), found.cursor !== null);
      if (!byId("kept-list").children.length) this.#empty();
      this.#watch(
        found.documents.filter((each) => UNFINISHED.includes(each.status)).map((each) => each.id),
      );
    } catch (error) {
      if (listing !== this.#listing) return;
      if (first) fill(byId("kept-list"));
      if (error.code === "collection_not_found") this.#empty();
      else this.#failed(error);
    }
  }

  #empty() {
    const all = !byId("kept-status").value;
    fill(
      byId("kept-notice"),
      el(
        "p",
        { class: "quiet" },
        all
          ? "Nothing here yet. What you drop above appears here, and can be searched as soon as it is ready."
          : "No document is in this state.",
      ),
    );
  }

  async #paste() {
    const metadata = this.#metadata();
    if (metadata === null) return;
    const name = byId("paste-name").value.trim();
    const text = byId("paste-text").value;
    const row = this.#put({ key: `upload/${name}`, name, size: new Blob([text]).size, sent: 1 });
    const documents = [{ name, text, ...(metadata && { metadata }) }];
    const sent = await this.#send([row], () =>
      post("documents", { documents, collection: this.#collection }),
    );
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
    fill(
      byId("kept-notice"),
      trouble(new Error('The metadata is not a JSON object such as {"year": 2026}.')),
    );
    return null;
  }

  async #send(rows, send) {
    try {
      const { documents, rejected } = await send();
      for (const row of rows) this.#added.delete(row.key);
      for (const each of documents) this.#put({ ...each, key: each.id });
      for (const { name, error } of rejected)
        this.#put({ key: `refused/${name}`, name, error, status: "failed", refused: true });
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
        const { documents } = await get("documents", {
          collection,
          status: UNFINISHED,
          limit: 1000,
        });
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
      if (open.size)
        await new Promise((resolve) => setTimeout(resolve, document.hidden ? HIDDEN_MS : LOOK_MS));
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
    fill(
      byId("added-list"),
      rows.map((row) => (row.status ? this.#row(row) : sending(row))),
    );
  }

  #row(row) {
    return file(row, {
      open: () => this.page.go({ document: row.id, start: "", end: "" }),
      retry: () => this.#retry(row),
      remove: () => this.#remove(row),
    });
  }

  #failed(error) {
    fill(byId("kept-notice"), trouble(error));
    this.page.refused(error);
  }

  async #retry(row) {
    try {
      const parameters = { collection: row.collection };
      this.#update(await post(documentPath(row.id, "/retry"), undefined, { parameters }));
      this.#watch([row.id]);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #remove(row) {
    const loss = `${row.name} and its passages are removed from the collection ${row.collection}.`;
    const text = `${loss} This cannot be undone.`;
    if (!(await confirmed("Delete this document?", text, "Delete"))) return;
    try {
      await remove(documentPath(row.id), { collection: row.collection });
      this.#added.delete(row.id);
      this.#drawAdded();
      this.page.changed();
      await this.list();
      say(`${row.name} is deleted.`);
    } catch (error) {
      this.#failed(error);
    }
  }
}
