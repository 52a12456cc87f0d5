"""The report as one page that needs nothing from outside: no script, style, font or picture."""

from collections.abc import Iterable, Iterator
from html import escape

from twofold.evaluation.plots import by_depth, by_latency
from twofold.evaluation.report import MAIN, QueryRow, Report, Row
from twofold.evaluation.terminal import concerned, difference
from twofold.evaluation.wording import counted, decimal, signed

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --up: #15803d; --down: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --dim: #999; --up: #4ade80; --down: #f87171 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.5rem }
.verdict { font-size: 1.2rem; border-left: 4px solid; padding: .4rem 1rem; margin: 1rem 0 }
.helps { border-color: var(--up) } .hurts { border-color: var(--down) }
.synthetic { border: 2px dashed #a21caf; padding: .5rem 1rem }
.dim, figcaption, th { color: var(--dim) } .up { color: var(--up) } .down { color: var(--down) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line) }
th { font-weight: 500; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
.ways { font-size: .9em } .ways td { white-space: nowrap }
td.text { overflow-wrap: anywhere; min-width: 16rem } tr.default { font-weight: 700 }
th button { all: unset; cursor: pointer } th button::after { content: " ↕" }
th button:focus-visible { outline: 2px solid }
.plots { display: flex; flex-wrap: wrap; gap: 1rem } figure { flex: 1 1 24rem; margin: 0 }
svg { width: 100%; height: auto }
"""

_SCRIPT = """
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const cell = button.closest("th"), body = cell.closest("table").tBodies[0];
    const at = cell.cellIndex, up = cell.ariaSort === "descending";
    const value = row => row.cells[at].dataset.value ?? row.cells[at].textContent;
    const order = (a, b) => isNaN(a - b) ? a.localeCompare(b) : a - b;
    const rows = [...body.rows].sort((a, b) => order(value(a), value(b)) * (up ? 1 : -1));
    for (const other of cell.parentNode.cells) other.ariaSort = null;
    cell.ariaSort = up ? "ascending" : "descending";
    body.append(...rows);
  });
}
"""


def page(report: Report) -> str:
    """The whole page."""
    title = f"Does reranking help? {report.name}"
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *_parts(report),
            f"<script>{_SCRIPT}</script></body></html>\n",
        )
    )


def _parts(report: Report) -> Iterator[str]:
    yield (
        f'<p class="dim">{counted(report.queries, "query")} and '
        f"{counted(report.judgements, 'judgement')} over "
        f"{counted(report.documents, 'document')} in the collection “{escape(report.collection)}”, "
        f"{report.made_at:%Y-%m-%d %H:%M} UTC</p>"
    )
    if report.synthetic:
        yield f'<p class="synthetic"><b>Synthetic.</b> {escape(report.synthetic)}.</p>'
    verdict = report.verdict
    yield f'<p class="verdict {verdict.kind.replace(" ", "-")}">{escape(verdict.sentence)}</p>'
    yield _figures(report)
    yield "<h2>Ways to search</h2>"
    yield _ways(report)
    yield from _moves(report)
    yield from _extremes("Helped most", report, report.helped)
    yield from _extremes("Hurt most", report, report.hurt)
    yield "<h2>Every query</h2>"
    yield _queries(report.per_query)
    yield "<h2>How this was measured</h2>"
    yield _how(report)


def _figures(report: Report) -> str:
    captions = {
        by_latency(report): "Quality against time. Numbers are the depth of the second stage.",
        by_depth(report): "Quality by how many candidates are reranked.",
    }
    figures = "".join(
        f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"
        for svg, caption in captions.items()
        if svg
    )
    return f'<div class="plots">{figures}</div>'


def _ways(report: Report) -> str:
    heads = ["", *report.rows[0].measures, f"{MAIN} against the first stage", "p50 ms", "p95 ms"]
    rows = (
        f'<tr class="{"default" if row.default else ""}">{"".join(map(_cell, _way(row)))}</tr>'
        for row in report.rows
    )
    return f'<div class="ways">{_table(heads, rows)}</div>'


def _way(row: Row) -> Iterator[str]:
    yield row.name + (" (default)" if row.default else "")
    yield from map(decimal, row.measures.values())
    yield difference(row.against_first) if row.against_first else "–"
    yield f"{row.latency.p50:.0f}" if row.latency else ""
    yield f"{row.latency.p95:.0f}" if row.latency else ""


def _moves(report: Report) -> Iterator[str]:
    if report.moves is None:
        return
    moves = report.moves
    yield "<h2>What the reranker moved</h2>"
    yield (
        f"<p>It was given {moves.documents:,} documents in all ({moves.depth} passages a query) "
        f'and moved {moves.moved:,}: <span class="up">{moves.right:,} relevant ones up</span>, '
        f'<span class="down">{moves.wrong:,} relevant ones down</span>, {moves.neutral:,} that '
        "are not known to answer.</p>"
    )


def _extremes(heading: str, report: Report, query_ids: list[str]) -> Iterator[str]:
    if not query_ids:
        return
    yield f"<h2>{heading}</h2><ul>"
    for row in map(report.query, query_ids):
        lines = (f'<br><span class="dim">{escape(line)}</span>' for line in concerned(row))
        yield (
            f"<li>{_signed(row)} <b>{escape(row.text)}</b> ({decimal(row.first)} → "
            f"{decimal(row.both)}){''.join(lines)}</li>"
        )
    yield "</ul>"


def _queries(rows: Iterable[QueryRow]) -> str:
    heads = ["query", "first stage", "both stages", "difference", "relevant"]
    return _table(heads, map(_query, rows), sortable=True)


def _query(row: QueryRow) -> str:
    return (
        f'<tr><td class="text">{escape(row.text)}</td>{_cell(decimal(row.first))}'
        f"{_cell(decimal(row.both))}"
        f'<td data-value="{row.difference:.4f}">{_signed(row)}</td>{_cell(len(row.documents))}</tr>'
    )


def _how(report: Report) -> str:
    server = report.server
    lines = [
        f"Twofold {server.version}, embedder {server.embedder}, reranker {server.reranker}.",
        f"First stage: {server.first_stage}. Both stages: {server.score}.",
        "A document stands where its best passage does. The lists, the first stage and every depth "
        "come from the same candidates of one search; "
        f"{report.replayed[0]:,} of {report.replayed[1]:,} separate searches gave the order that "
        "was computed so.",
        "Times are those that the server reports of searches that it had not seen before, one at "
        "a time.",
        f"Measures are those of trec_eval. p is of a paired randomisation test and intervals are "
        f"of a bootstrap over the queries, seed {report.seed}; only the default was judged, and of "
        "many comparisons some look significant by chance.",
        *report.notes,
    ]
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _table(heads: Iterable[str], rows: Iterable[str], *, sortable: bool = False) -> str:
    cells = (f"<button>{escape(head)}</button>" if sortable else escape(head) for head in heads)
    head = "".join(f'<th scope="col">{cell}</th>' for cell in cells)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _cell(value: object) -> str:
    return f"<td>{escape(str(value))}</td>"


def _signed(row: QueryRow) -> str:
    kind = "up" if row.difference > 0 else "down" if row.difference < 0 else "dim"
    return f'<span class="{kind}">{signed(row.difference)}</span>'
