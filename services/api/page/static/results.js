/** Results as cards: the passage with its words marked, both scores, and how it moved. */

import { button, el } from "./dom.js";
import { marks } from "./judgements.js";
import { kindOf, moved } from "./moves.js";
import { bar } from "./report.js";
import { excerpt, pieces, slice } from "./text.js";

const WIDTH = matchMedia("(max-width: 40rem)").matches ? 280 : 420;
const ARROWS = { rose: "↑", fell: "↓", stayed: "=" };

/** What the cards need to know. @typedef {{query: string, judgements: object, open: Function}} Around */

/** The cards in order, for an `<ol>`. */
export function cards(results, around) {
  const scale = scaleOf(results);
  return results.map((result) => card(result, scale, around));
}

/** How long the bars are: a score by the range of its kind, 0..1 wherever the scores are in it. */
export function scaleOf(results) {
  const all = results.map((result) => result.scores.rerank).filter((score) => score !== null);
  const low = Math.min(0, ...all);
  const high = Math.max(1, ...all);
  return (score) => (score - low) / (high - low);
}

/** Text with marks where the words of the question are. */
export function highlighted(text, spans, base) {
  return pieces(text, spans, base).map((piece) =>
    piece.marked ? el("mark", {}, piece.text) : piece.text,
  );
}

/** Where a passage is, in words. */
export function place({ page, headings, title, name }) {
  const path = headings.length ? headings : title && title !== name ? [title] : [];
  return [page && `page ${page}`, path.join(" › ")].filter(Boolean).join(" · ");
}

function card(result, scale, around) {
  const { rank, name, scores } = result;
  return el(
    "li",
    {},
    el(
      "article",
      {
        class: "card",
        tabindex: rank === 1 ? 0 : -1,
        "data-rank": rank,
        "aria-label": `${rank}. ${name}, ${moved(result)}`,
      },
      el(
        "header",
        {},
        el("span", { class: "rank", "aria-hidden": "true" }, rank),
        el(
          "div",
          { class: "source" },
          el(
            "h2",
            {},
            button(name, () => around.open(result), { class: "link open" }),
          ),
          el("p", { class: "quiet" }, place(result)),
        ),
        el(
          "span",
          {
            class: `move ${kindOf(result)}`,
            title: `The first stage had it at ${result.recall_rank}.`,
          },
          el("span", { "aria-hidden": "true" }, badge(result)),
          el("span", { class: "hidden" }, moved(result)),
        ),
      ),
      result.lead && el("p", { class: "lead" }, result.lead),
      passage(result),
      figures(scores, scale, result.score),
      details(result),
      result.more.length > 0 && further(result, around),
      el("footer", {}, chips(result.metadata), marks(around.judgements, around.query, result)),
    ),
  );
}

function badge(result) {
  const kind = kindOf(result);
  const by = Math.abs(result.recall_rank - result.rank);
  return by ? `${ARROWS[kind]} ${by}` : ARROWS[kind];
}

function passage(result) {
  const { text, highlights, start } = result;
  const [from, to] = excerpt(text, highlights, start, WIDTH);
  const whole = () => highlighted(text, highlights, start);
  const part = slice(text, from, to);
  const node = el("blockquote", { class: "passage" });
  if (part.length === text.length) {
    node.append(...whole());
    return node;
  }
  const more = button(
    "Show the whole passage",
    () => {
      node.replaceChildren(...whole());
      more.remove();
    },
    { class: "link more" },
  );
  node.append(from > 0 ? "… " : "", ...highlighted(part, highlights, start + from), " …");
  return [node, more];
}

function figures(scores, scale, score) {
  const row = (label, kind, value, part) =>
    el(
      "div",
      { class: `figure ${kind}` },
      el("dt", {}, label),
      el(
        "dd",
        {},
        value === null ? "not scored" : value.toFixed(3),
        bar(value === null ? 0 : part, kind),
      ),
    );
  return el(
    "dl",
    { class: "figures" },
    row("First stage", "first", scores.recall, scores.recall),
    row("Reranker", "second", scores.rerank, scores.rerank === null ? 0 : scale(scores.rerank)),
    row("Together", "both", score, score),
  );
}

function details({ explanation, scores, truncated, start, end }) {
  if (!explanation) return null;
  const at = (rank) => (rank === null ? "not in that list" : `rank ${rank}`);
  const rows = [
    [
      "By meaning",
      `${at(explanation.dense_rank)}${scores.dense === null ? "" : `, cosine ${scores.dense.toFixed(3)}`}`,
    ],
    [
      "By words",
      `${at(explanation.sparse_rank)}${scores.sparse === null ? "" : `, BM25 ${scores.sparse.toFixed(2)}`}`,
    ],
    ["First stage", at(explanation.recall_rank)],
    [
      "Reranker alone",
      explanation.rerank_rank === null ? "not scored" : at(explanation.rerank_rank),
    ],
    ["Both", at(explanation.fused_rank)],
    ["Offsets", `${start} to ${end}`],
    truncated && ["Cut", "the reranker saw only the beginning of this passage"],
  ];
  return el(
    "details",
    { class: "why" },
    el("summary", {}, "Why it is here"),
    el(
      "dl",
      {},
      rows.filter(Boolean).map(([name, said]) => [el("dt", {}, name), el("dd", {}, said)]),
    ),
  );
}

function further(result, around) {
  return el(
    "details",
    { class: "further" },
    el("summary", {}, `${result.more.length} more from this document`),
    el(
      "ul",
      {},
      result.more.map((other) =>
        el(
          "li",
          {},
          button(
            place(other) || `offsets ${other.start} to ${other.end}`,
            () => around.open(other),
            { class: "link" },
          ),
          el(
            "blockquote",
            { class: "passage" },
            highlighted(other.text, other.highlights, other.start),
          ),
        ),
      ),
    ),
  );
}

function chips(metadata) {
  const shown = Object.entries(metadata).filter(([key]) => !key.startsWith("file."));
  return el(
    "ul",
    { class: "chips", "aria-label": "Metadata" },
    shown.map(([key, value]) =>
      el(
        "li",
        {},
        el("span", { class: "quiet" }, key),
        ` ${Array.isArray(value) ? value.join(", ") : value}`,
      ),
    ),
  );
}
