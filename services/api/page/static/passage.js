/** A document's text in a dialog, with a passage marked at its offsets. */

import { documentPath, get } from "./api.js";
import { button, byId, el, fill, say, trouble } from "./dom.js";
import { highlighted, place } from "./results.js";
import { counted, length, slice } from "./text.js";

const AROUND = 15_000;

/** How much of a long document is shown: so much around the passage, or more where asked for. */
export function range(total, start, end, around) {
  return [Math.max(0, start - around), Math.min(total, end + around)];
}

/**
 * Open a document at a passage.
 * @param {{collection: string, document: string, start: number|null, end: number|null}} where
 * @param {object|null} result The search result, where it was opened from one.
 */
export async function open(where, result) {
  const dialog = byId("passage");
  fill(byId("passage-name"), result?.name ?? where.document);
  fill(byId("passage-place"), result ? place(result) : "");
  fill(byId("passage-text"), el("p", { class: "quiet" }, "Loading …"));
  if (!dialog.open) dialog.showModal();
  try {
    const [row, content] = await Promise.all([
      get(documentPath(where.document), { collection: where.collection }),
      get(documentPath(where.document, "/content"), { collection: where.collection }),
    ]);
    fill(byId("passage-name"), row.title ? `${row.title} (${row.name})` : row.name);
    draw(content.text, where, result);
  } catch (error) {
    fill(byId("passage-text"), trouble(error));
  }
}

function draw(text, { start, end }, result) {
  const total = length(text);
  const asked = start !== null && end !== null && start < end && start < total;
  const [first, last] = asked ? [start, Math.min(end, total)] : [0, 0];
  const changed = asked && result && slice(text, first, last) !== result.text;
  const facts = [
    counted(total, "character"),
    asked && `marked: ${first} to ${last}`,
    result && place(result),
  ];
  fill(byId("passage-place"), facts.filter(Boolean).join(" · "));
  const show = (around) => {
    const [from, to] = range(total, first, last, around);
    const mark =
      asked &&
      el(
        "mark",
        { class: "located", id: "located" },
        highlighted(slice(text, first, last), changed ? [] : (result?.highlights ?? []), first),
      );
    fill(
      byId("passage-text"),
      changed &&
        el(
          "p",
          { class: "trouble", role: "alert" },
          "The document has changed since this search. Search again for its present passages.",
        ),
      from > 0 &&
        button(`Show the ${counted(from, "character")} before`, () => show(total), {
          class: "link",
        }),
      el(
        "div",
        { class: "document" },
        slice(text, from, first),
        mark || null,
        slice(text, last, to),
      ),
      to < total &&
        button(`Show the ${counted(total - to, "character")} after`, () => show(total), {
          class: "link",
        }),
    );
    byId("located")?.scrollIntoView({ block: "center" });
  };
  show(AROUND);
  say(asked ? "The document, with the passage marked." : "The document.");
}
