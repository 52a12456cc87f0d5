/** Files on their way and documents of the ledger, as rows of a list. */

import { button, el } from "./dom.js";
import { bytes, counted } from "./text.js";

const FILES = 20;
const BYTES = 32e6;
/** States that a document leaves by itself. */
export const UNFINISHED = ["queued", "parsing", "embedding"];

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

/**
 * A document, or a file that was refused, with what can be done about it.
 * @param {object} row Of the ledger; `refused` where nothing of it is there.
 * @param {{open: Function, retry: Function, remove: Function}} actions
 */
export function file(row, { open, retry, remove }) {
  const working = UNFINISHED.includes(row.status);
  const { name } = row;
  return el(
    "li",
    { "data-id": row.id, class: "file" },
    el(
      "div",
      { class: "what" },
      row.live_version ? button(name, open, { class: "link open" }) : named(name),
      el("p", { class: "quiet" }, facts(row).join(" · ")),
      row.error && el("p", { class: "trouble" }, row.error.message),
    ),
    el("span", { class: `state ${row.status}` }, row.refused ? "refused" : STATES[row.status]),
    working && el("progress", { value: row.progress, max: 1, "aria-label": `Progress of ${name}` }),
    !row.refused &&
      el(
        "div",
        { class: "actions" },
        row.status === "failed" && button("Retry", retry, { "aria-label": `Retry ${name}` }),
        button("Delete", remove, { "aria-label": `Delete ${name}` }),
      ),
  );
}

/** A file that is being uploaded. */
export function sending(row) {
  return el(
    "li",
    { class: "file" },
    el("div", { class: "what" }, named(row.name), el("p", { class: "quiet" }, bytes(row.size))),
    el("span", { class: "state" }, row.sent < 1 ? "being sent" : "being checked"),
    el("progress", { value: row.sent, max: 1, "aria-label": `Upload of ${row.name}` }),
  );
}

function named(name) {
  return el("span", { class: "name" }, name);
}

function facts(row) {
  const style = { dateStyle: "medium", timeStyle: "short" };
  return [
    row.size !== undefined && bytes(row.size),
    row.live_version && counted(row.chunks, "passage"),
    row.version > 1 && `version ${row.version}`,
    row.verdict === "unchanged" && "was there already",
    row.updated_at && new Date(row.updated_at).toLocaleString(undefined, style),
  ].filter(Boolean);
}
