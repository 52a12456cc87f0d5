/** How the second stage moved each result: a slope from the first stage's rank to the final one. */

import { svg } from "./dom.js";
import { shortened } from "./text.js";

const MOST = 20;
const ROW = 26;
const TOP = 38;
const WIDTH = 320;
const LEFT = 40;
const RIGHT = 140;

/**
 * Where the lines begin and end, in rows from the top.
 *
 * Ranks on both sides are on one scale, so that a level line means that nothing moved. What came
 * from below the last final rank begins under it, one row each, however far down it was.
 * @returns {{rank: number, from: number, name: string, before: number, after: number,
 *   kind: "rose"|"fell"|"stayed"}[]}
 */
export function slopes(results) {
  const last = results.length;
  const below = results.map((result) => result.recall_rank).filter((rank) => rank > last);
  below.sort((a, b) => a - b);
  return results.map((result, after) => ({
    rank: result.rank,
    from: result.recall_rank,
    name: result.name,
    before:
      (result.recall_rank > last
        ? last + below.indexOf(result.recall_rank) + 1
        : result.recall_rank) - 1,
    after,
    kind: kindOf(result),
  }));
}

/** Ranks of the first stage that no shown result had: what was there has left the list. */
export function left(results) {
  const had = new Set(results.map((result) => result.recall_rank));
  return results.map((_, index) => index + 1).filter((rank) => !had.has(rank));
}

/** Whether a result came up, went down, or is where the first stage had it. */
export function kindOf({ rank, recall_rank: from }) {
  if (from > rank) return "rose";
  return from < rank ? "fell" : "stayed";
}

/** The move in words. */
export function moved(result) {
  const kind = kindOf(result);
  return kind === "stayed"
    ? `stayed at ${result.rank}`
    : `${kind} from ${result.recall_rank} to ${result.rank}`;
}

/** The picture of the first results; each line has its rank, so that the page can light it up. */
export function picture(all) {
  const results = all.slice(0, MOST);
  const lines = slopes(results);
  const rows = 1 + Math.max(...lines.flatMap((line) => [line.before, line.after]));
  const said = results.map((result) => `${result.name} ${moved(result)}`).join("; ");
  return svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${TOP + rows * ROW - 6}`,
      class: "slopes",
      role: "img",
      "aria-label": `How the order changed: ${said}.`,
    },
    svg("text", { x: LEFT, y: 14, class: "slope-head", "text-anchor": "middle" }, "first stage"),
    svg("text", { x: RIGHT, y: 14, class: "slope-head", "text-anchor": "middle" }, "final"),
    left(results).map((rank) =>
      svg(
        "g",
        { class: "gone" },
        svg("circle", { cx: LEFT, cy: height(rank - 1), r: 3 }),
        ranked(rank, rank - 1),
      ),
    ),
    // The ones that rose are drawn last, above the others.
    [...lines].sort((a, b) => (a.kind === "rose") - (b.kind === "rose")).map(drawn),
  );
}

function height(row) {
  return TOP + row * ROW;
}

function ranked(rank, row) {
  return svg("text", { x: LEFT - 12, y: height(row) + 4, "text-anchor": "end" }, rank);
}

function drawn({ rank, from, name, before, after, kind }) {
  const [begin, end] = [height(before), height(after)];
  const middle = (LEFT + RIGHT) / 2;
  return svg(
    "g",
    { class: `slope ${kind}`, "data-rank": rank },
    svg("path", { d: `M${LEFT} ${begin}C${middle} ${begin} ${middle} ${end} ${RIGHT} ${end}` }),
    svg("circle", { cx: LEFT, cy: begin, r: 3.5 }),
    svg("circle", { cx: RIGHT, cy: end, r: 3.5 }),
    ranked(from, before),
    svg(
      "text",
      { x: RIGHT + 12, y: end + 4 },
      svg("tspan", { class: "slope-rank" }, rank),
      ` ${shortened(name, 19)}`,
    ),
  );
}
