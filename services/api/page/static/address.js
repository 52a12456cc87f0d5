/** What the page shows, in its address: it can be shared, and the back button works. */

/** Every part of the state and what it is when the address does not name it. All are texts. */
export const DEFAULTS = Object.freeze({
  view: "search",
  q: "",
  collection: "default",
  mode: "hybrid",
  rerank: "on",
  depth: "",
  fusion: "weighted",
  instruction: "",
  deadline: "10000",
  limit: "10",
  group: "",
  filter: "",
  document: "",
  start: "",
  end: "",
});

/** The parts that are options of a search. */
export const OPTIONS = [
  "mode",
  "rerank",
  "depth",
  "fusion",
  "instruction",
  "deadline",
  "limit",
  "group",
];

/** The parts that say which document is open, and where. */
export const OPENED = ["document", "start", "end"];

/** The state that the query part of an address describes. */
export function read(search) {
  const given = new URLSearchParams(search);
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, value]) => [name, given.get(name) ?? value]),
  );
}

/** The address of a state, relative to the page; what is as it would be anyway is left out. */
export function write(state) {
  const kept = Object.entries(DEFAULTS)
    .filter(([name, value]) => state[name] !== undefined && state[name] !== value)
    .map(([name]) => [name, state[name]]);
  return kept.length ? `?${new URLSearchParams(kept)}` : "./";
}

/**
 * The body of `POST /search` for a state.
 * @throws {SyntaxError} The filter is no JSON.
 */
export function requestOf(state) {
  const instruction = state.instruction.trim() || null;
  const rerank = state.rerank !== "off";
  return {
    query: state.q,
    collection: state.collection,
    limit: Number(state.limit),
    deadline_ms: Number(state.deadline),
    recall: { mode: state.mode, instruction },
    rerank: { enabled: rerank, depth: state.depth ? Number(state.depth) : null, instruction },
    fusion: { method: state.fusion },
    filter: state.filter.trim() ? JSON.parse(state.filter) : null,
    group_by_document: state.group ? Number(state.group) : null,
    highlight: true,
    explain: true,
    pages: true,
  };
}

/** What a search depends on: a state with the same key has the same answer on the page. */
export function searchKey(state) {
  return JSON.stringify(["q", "collection", "filter", ...OPTIONS].map((name) => state[name]));
}
