"""Verdicts as tables for a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from twofold.doctor.verdict import Evidence, Verdict


def render(verdicts: Sequence[Verdict]) -> RenderableType:
    """Each verdict with its evidence; printed by a `rich.console.Console`."""
    return Group(*(part for verdict in verdicts for part in _parts(verdict)))


def _parts(verdict: Verdict) -> Iterator[RenderableType]:
    # What a server says of itself is shown as it is: never as markup.
    yield Text(verdict.subject, style="bold")
    if verdict.evidence:
        yield _table(verdict.evidence)
    style, word = ("green", "fit") if verdict.ok else ("red", f"unfit: {verdict.fault}")
    yield Text.assemble((word, f"bold {style}"), f". {verdict.sentence}")
    for note in verdict.notes:
        yield Text(f"note: {note}", style="dim")
    yield Text()


def _table(evidence: Sequence[Evidence]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("language")
    table.add_column("question", max_width=44, no_wrap=True, overflow="ellipsis")
    for name in ("right", "best wrong", "margin"):
        table.add_column(name, justify="right")
    for row in evidence:
        won = row.margin > 0
        table.add_row(
            Text("✓" if won else "✗", style="green" if won else "red"),
            row.language,
            Text(row.query),
            f"{row.right:.3f}",
            f"{row.best_wrong:.3f}",
            Text(f"{row.margin:+.3f}", style="green" if won else "red"),
        )
    return table
