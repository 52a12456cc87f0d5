/** What each stage did for an answer: the reranker's status in plain words, and where time went. */

import { el, svg } from "./dom.js";
import { picture } from "./moves.js";
import { counted, milliseconds } from "./text.js";

const STEPS = {
  embed: "Embed the question",
  recall: "First stage: recall",
  queue: "Wait for the reranker",
  rerank: "Second stage: rerank",
  fuse: "Fuse both",
  rest: "Between the steps",
};

/** The status in a word that people use. */
export const HEADLINES = {
  applied: "Reranked",
  partial: "Partly reranked",
  timeout: "Not reranked: no time left",
  overloaded: "Not reranked: too busy",
  unavailable: "Not reranked: unavailable",
  disabled: "First stage only",
  error: "Not reranked: failed",
};

/** What the second stage did, in a sentence that hides nothing. */
export function sentence({ status, scored, depth, ms, cached }) {
  if (status === "applied" && scored && cached === scored) {
    return `The reranker's scores of all ${counted(scored, "candidate")} were known from before.`;
  }
  const known = cached ? `, ${cached} of them known from before` : "";
  switch (status) {
    case "applied":
      return `The reranker scored all ${counted(scored, "candidate")} that it was sent in ${milliseconds(ms)}${known}.`;
    case "partial":
      return `The reranker scored ${scored} of ${counted(depth, "candidate")}${known}. The others keep their first-stage order.`;
    case "timeout":
      return "The reranker did not answer in time. This is the order of the first stage.";
    case "overloaded":
      return "The reranker has too much to do. This is the order of the first stage.";
    case "unavailable":
      return "The reranker cannot be reached. This is the order of the first stage.";
    case "disabled":
      return "The second stage did not run. This is the order of the first stage.";
    default:
      return "The reranker failed. This is the order of the first stage.";
  }
}

/** The steps that took time, in order, with what is between them. */
export function steps(timings) {
  const { total, ...named } = timings;
  const rest = Math.max(0, total - Object.values(named).reduce((sum, ms) => sum + ms, 0));
  return Object.entries({ ...named, rest })
    .filter(([, ms]) => ms > 0)
    .map(([name, ms]) => ({ name, label: STEPS[name] ?? name, ms, part: total ? ms / total : 0 }));
}

/** One line that is always in sight: whether it was reranked, how much there is, how long it took. */
export function headline({ rerank, results, candidates, timings_ms: timings }) {
  return [
    el(
      "span",
      { class: `status ${rerank.status}`, "data-status": rerank.status },
      HEADLINES[rerank.status] ?? rerank.status,
    ),
    el(
      "span",
      { class: "quiet" },
      `${results.length} of ${counted(candidates, "candidate")}, ${milliseconds(timings.total)}`,
    ),
  ];
}

/** The panel beside the results. */
export function report(answer) {
  const { rerank, method, results } = answer;
  return [
    el(
      "section",
      {},
      el("p", {}, sentence(rerank)),
      rerank.reason && el("p", { class: "reason" }, `Reason: ${rerank.reason}`),
      rerank.model && el("p", { class: "quiet" }, "Model: ", el("code", {}, rerank.model)),
    ),
    results.length > 0 &&
      el(
        "section",
        {},
        el("h2", {}, "How the results moved"),
        el("div", { id: "moves" }, picture(results)),
      ),
    el(
      "section",
      {},
      el("h2", {}, `Time: ${milliseconds(answer.timings_ms.total)}`),
      bars(answer.timings_ms),
    ),
    method && formulas(answer),
  ];
}

function bars(timings) {
  return el(
    "table",
    { class: "timings" },
    el("caption", { class: "hidden" }, "Milliseconds for each step"),
    el(
      "tbody",
      {},
      steps(timings).map(({ name, label, ms, part }) =>
        el(
          "tr",
          { class: name },
          el("th", { scope: "row" }, label),
          el("td", {}, milliseconds(ms)),
          el("td", { class: "lane", "aria-hidden": "true" }, bar(part)),
        ),
      ),
    ),
  );
}

/** A bar for a part of a whole, 0 to 1. Its colour is its class's. */
export function bar(part, kind = "") {
  const width = Math.max(1, Math.min(100, part * 100));
  return svg(
    "svg",
    {
      class: `bar ${kind}`,
      viewBox: "0 0 100 6",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    svg("rect", { class: "groove", width: 100, height: 6 }),
    svg("rect", { class: "filled", width: width.toFixed(2), height: 6 }),
  );
}

function formulas({ method, candidates }) {
  const rows = [
    ["Candidates", candidates],
    ["First-stage score", method.recall],
    ["Final score", method.fusion],
    ["Embedder", method.embedder],
    ["Told to the embedder", method.query_instruction],
    ["Told to the reranker", method.rerank_instruction],
  ];
  return el(
    "details",
    { class: "formulas" },
    el("summary", {}, "How it was computed"),
    el(
      "dl",
      {},
      rows
        .filter(([, said]) => said !== null)
        .map(([name, said]) => [el("dt", {}, name), el("dd", {}, said)]),
    ),
  );
}
