"""The report as one page that needs nothing from outside: no script, style, font or picture."""

from collections.abc import Iterable, Iterator
from html import escape

from twofold.evaluation.plots import by_depth, by_latency
from twofold.evaluation.report import MAIN, QueryRow, Report, Row
from twofold.evaluation.terminal import concerned, difference
from twofold.evaluation.webpage import cell, page_of, synthetic, table
from twofold.evaluation.wording import counted, decimal, signed


def page(report: Report) -> str:
    """The whole page."""
    return page_of(f"Does reranking help? {report.name}", _parts(report))


def _parts(report: Report) -> Iterator[str]:
    yield (
        f'<p class="dim">{counted(report.queries, "query")} and '
        f"{counted(report.judgements, 'judgement')} over "
        f"{counted(report.documents, 'document')} in the collection “{escape(report.collection)}”, "
        f"{report.made_at:%Y-%m-%d %H:%M} UTC</p>"
    )
    yield from synthetic(report.synthetic)
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
        f'<tr class="{"default" if row.default else ""}">{"".join(map(cell, _way(row)))}</tr>'
        for row in report.rows
    )
    return f'<div class="ways">{table(heads, rows)}</div>'


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
    return table(heads, map(_query, rows), sortable=True)


def _query(row: QueryRow) -> str:
    return (
        f'<tr><td class="text">{escape(row.text)}</td>{cell(decimal(row.first))}'
        f"{cell(decimal(row.both))}"
        f'<td data-value="{row.difference:.4f}">{_signed(row)}</td>{cell(len(row.documents))}</tr>'
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


def _signed(row: QueryRow) -> str:
    kind = "up" if row.difference > 0 else "down" if row.difference < 0 else "dim"
    return f'<span class="{kind}">{signed(row.difference)}</span>'
