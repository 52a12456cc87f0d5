"""How an evaluation looks in a terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from twofold.evaluation.latency import Latency
from twofold.evaluation.report import MAIN, Difference, QueryRow, Report, Row
from twofold.evaluation.significance import LEVEL
from twofold.evaluation.wording import chance, counted, decimal, interval, signed
from twofold.render import plain

_STYLE = {
    "helps": "bold green",
    "hurts": "bold red",
    "no difference": "bold yellow",
    "cannot be told": "bold yellow",
    "absent": "bold",
}
_SHORT = {"recall@10": "R@10", "recall@100": "R@100", "success@1": "S@1", "success@5": "S@5"}
"""So that the table fits 80 columns: R is recall, S success."""
_SHOWN = 3
"""Queries that are shown as helped and as hurt; the report has more."""


def rendered(report: Report) -> RenderableType:
    """The whole evaluation: verdict, table, times, moves, extremes, notes."""
    return Group(*_parts(report))


def _parts(report: Report) -> Iterator[RenderableType]:
    size = f"{counted(report.queries, 'query')}, {counted(report.documents, 'document')}"
    yield Text(f"{plain(report.name)}: {size}")
    if report.synthetic:
        yield Text(f"SYNTHETIC: {plain(report.synthetic)}", style="bold magenta")
    yield Text(plain(report.verdict.sentence), style=_STYLE[report.verdict.kind])
    yield Text()
    yield _measures(report)
    yield Text()
    yield _differences(report)
    yield Text()
    yield _stages(report)
    if report.moves is not None:
        moves = report.moves
        yield Text(
            f"Of {moves.documents:,} documents given to the reranker ({moves.depth} passages a "
            f"query) it moved {moves.moved:,}: {moves.right:,} relevant ones up, {moves.wrong:,} "
            f"relevant ones down, {moves.neutral:,} that are not known to answer."
        )
    yield from _extremes("Helped most", "green", report, report.helped)
    yield from _extremes("Hurt most", "red", report, report.hurt)
    for note in report.notes:
        yield Text(f"Note: {plain(note)}", style="dim")


def _measures(report: Report) -> Table:
    table = _table("", *(_SHORT.get(name, name) for name in report.rows[0].measures))
    for row in report.rows:
        table.add_row(_name(row), *map(decimal, row.measures.values()), style=_weight(row))
    return table


def _differences(report: Report) -> Table:
    table = _table("", f"{MAIN} against the first stage", "p50 ms", "p95 ms")
    for row in report.rows:
        table.add_row(_name(row), _difference(row), *_milliseconds(row.latency), style=_weight(row))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=bool(heading))
    return table


def _name(row: Row) -> str:
    return plain(row.name) + (" (default)" if row.default else "")


def _weight(row: Row) -> str | None:
    return "bold" if row.default else None


def _difference(row: Row) -> Text:
    found = row.against_first
    if found is None:
        return Text("–", style="dim")
    style = "" if found.p >= LEVEL else "green" if found.mean > 0 else "red"
    return Text(difference(found), style=style)


def difference(found: Difference) -> str:
    """As `+.012 [.004, .021] p = .010`."""
    return f"{signed(found.mean)} {interval(found.low, found.high)} {chance(found.p)}"


def _milliseconds(latency: Latency | None) -> tuple[str, str]:
    return ("", "") if latency is None else (f"{latency.p50:.0f}", f"{latency.p95:.0f}")


def _stages(report: Report) -> Text:
    steps = (
        f"{name} {found.p50:.0f} / {found.p95:.0f} ({found.searches})"
        for name, found in report.stages.items()
    )
    return Text("ms, p50 / p95 (searches): " + " · ".join(steps))


def _extremes(
    heading: str, style: str, report: Report, query_ids: list[str]
) -> Iterator[RenderableType]:
    if not query_ids:
        return
    yield Text()
    yield Text(f"{heading} ({MAIN} with the first stage and with both)", style="dim")
    for query_id in query_ids[:_SHOWN]:
        row = report.query(query_id)
        yield Text.assemble(
            (f"{decimal(row.first)} → {decimal(row.both)}  ", style), plain(row.text)
        )
        for line in concerned(row):
            yield Padding(Text(plain(line), style="dim"), (0, 0, 0, 4))


def concerned(row: QueryRow) -> Iterator[str]:
    """The documents of a query that moved, one a line."""
    for document in row.documents:
        if document.before != document.after:
            yield f"{document.name}: {_rank(document.before)} → {_rank(document.after)}"
    if row.overtaken_by:
        yield f"now above: {'; '.join(row.overtaken_by)}"


def _rank(rank: int | None) -> str:
    return "not found" if rank is None else str(rank)
