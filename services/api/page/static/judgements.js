/** Which document answers which question: marks that are kept in this browser and leave it as CSV. */

import { el, byId, fill, show } from "./dom.js";
import { counted } from "./text.js";

const KEPT = "twofold.judgements.";

/** One mark. @typedef {{query: string, document_id: string, relevance: 0|1}} Judgement */

/** The file that `twofold eval` reads. RFC 4180: a field with a comma, quote or line break is quoted. */
export function csv(judgements) {
  const field = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const rows = judgements.map((each) => [each.query, each.document_id, String(each.relevance)]);
  return [["query", "document_id", "relevance"], ...rows]
    .map((row) => `${row.map(field).join(",")}\r\n`)
    .join("");
}

/** The judgements with one more; a mark that is given again is taken back. */
export function marked(judgements, judgement) {
  const same = (each) =>
    each.query === judgement.query && each.document_id === judgement.document_id;
  const before = judgements.find(same);
  const others = judgements.filter((each) => !same(each));
  return before?.relevance === judgement.relevance ? others : [...others, judgement];
}

/** Those of a collection. Documents of another one have other ids. */
export class Judgements {
  #collection;

  constructor(collection) {
    this.#collection = collection;
  }

  all() {
    try {
      return JSON.parse(localStorage.getItem(KEPT + this.#collection) ?? "[]");
    } catch {
      return [];
    }
  }

  of(query, document) {
    return this.all().find((each) => each.query === query && each.document_id === document)
      ?.relevance;
  }

  mark(query, document, relevance) {
    this.#keep(marked(this.all(), { query, document_id: document, relevance }));
  }

  clear() {
    this.#keep([]);
  }

  #keep(judgements) {
    localStorage.setItem(KEPT + this.#collection, JSON.stringify(judgements));
  }
}

/** The two marks of a result, for its document. */
export function marks(judgements, query, result) {
  const choice = (relevance, label) =>
    el(
      "button",
      {
        type: "button",
        class: "mark",
        "data-document": result.document_id,
        "data-relevance": relevance,
        "aria-pressed": String(judgements.of(query, result.document_id) === relevance),
        on: {
          click: () => {
            judgements.mark(query, result.document_id, relevance);
            refresh(judgements, query);
          },
        },
      },
      label,
    );
  return el(
    "div",
    { class: "marks", role: "group", "aria-label": `Does ${result.name} answer the question?` },
    choice(1, "Answers it"),
    choice(0, "Does not"),
  );
}

/** Show every mark as it is now: a document may be there with several passages. */
export function refresh(judgements, query) {
  for (const each of document.querySelectorAll(".mark")) {
    const pressed = judgements.of(query, each.dataset.document) === Number(each.dataset.relevance);
    each.setAttribute("aria-pressed", String(pressed));
  }
  const all = judgements.all();
  const queries = new Set(all.map((each) => each.query)).size;
  show(byId("judged"), all.length > 0);
  fill(
    byId("judged-count"),
    `${counted(all.length, "judgement")} on ${counted(queries, "question")}`,
  );
}

/** Hand the file to the browser's downloads. */
export function download(judgements, collection) {
  const url = URL.createObjectURL(new Blob([csv(judgements.all())], { type: "text/csv" }));
  const link = el("a", { href: url, download: `judgements-${collection}.csv` });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser has taken it over by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
