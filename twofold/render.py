"""How a search looks in a terminal: passages with the scores of both stages, and the time of each.

Everything that came from a document is shown as plain text: no markup in it is obeyed and no
control character in it reaches the terminal.
"""

import re
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from twofold.schema import Explanation, RerankReport, Result, SearchResponse

NARROW = 90
"""Columns below which scores stand above their passage rather than beside it."""

_EXCERPT = 420
_ALSO = 120
_BAR = 16
_EIGHTHS = " ▏▎▍▌▋▊▉"
_STATUS_STYLE = {"applied": "green", "disabled": "dim", "error": "red"}

# Terminal escapes, and the marks that reverse the direction of what follows them.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")

_COMMON_WORDS = (
    "a an and are as at be by can do does for from has have how i if in is it its of on or that "
    "the their this to was what when where which who why will with you"
)
_COMMON = frozenset(_COMMON_WORDS.split())


def results_table(response: SearchResponse, query: str = "") -> RenderableType:
    """The ranked passages, each with its source and what every stage said of it.

    Args:
        response: What the search answered.
        query: Its words are emphasised in the passages.
    """
    if not response.results:
        return Text("Nothing found.", style="dim")
    return _Results(response.results, _emphasis(query))


def timings_line(response: SearchResponse) -> Text:
    """What the second stage did, and how the time was spent: two lines, and the formulas if any."""
    timings = response.timings_ms
    parts = timings.model_dump(exclude={"total"})
    longest = max(parts.values()) or 1.0
    line = _rerank_summary(response.rerank).append("\n")
    for stage, ms in parts.items():
        line.append(f"{stage} ", style="dim").append(f"{ms:.1f} ")
        line.append(_bar(ms / longest) + " ", style="cyan")
    line.append("total ", style="dim").append(f"{timings.total:.1f} ms", style="bold")
    if response.method is not None:
        method = response.method
        line.append(f"\nfirst stage = {method.recall}\nscore = {method.fusion}", style="dim")
    return line


def plain(text: str) -> str:
    """Text on one line, without anything that a terminal would obey."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def printable(text: str) -> str:
    """Text with its lines as they are, without anything that a terminal would obey."""
    return "\n".join(
        "\t".join(_UNPRINTABLE.sub(" ", part) for part in line.split("\t"))
        for line in text.split("\n")
    )


class _Results:
    """Picks its layout when the width is known."""

    def __init__(self, results: list[Result], emphasis: re.Pattern[str] | None) -> None:
        self._results = results
        self._emphasis = emphasis

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        if options.max_width < NARROW:
            yield from self._stacked()
        else:
            yield self._table()

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 1), expand=True, header_style="dim", pad_edge=False)
        for heading in ("#", "score", "dense", "bm25", "rerank", "was"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("passage", ratio=1, overflow="fold")
        for result in self._results:
            scores = result.scores
            table.add_row(
                Text(str(result.rank), style="bold"),
                Text(f"{result.score:.3f}", style="bold cyan"),
                _number(scores.dense),
                _number(scores.sparse, digits=1),
                _number(scores.rerank),
                _move(result),
                Text.assemble(_source(result), "\n", self._passage(result), "\n"),
            )
        return table

    def _stacked(self) -> Iterator[RenderableType]:
        for result in self._results:
            scores = result.scores
            head = Text.assemble((f"{result.rank}  {result.score:.3f}", "bold cyan"))
            for label, number in (
                ("dense", _number(scores.dense)),
                ("bm25", _number(scores.sparse, digits=1)),
                ("rerank", _number(scores.rerank)),
                ("was", _move(result)),
            ):
                head.append(f"  {label} ", style="dim").append_text(number)
            yield head
            body = Text.assemble(_source(result), "\n", self._passage(result))
            yield Padding(body, (0, 0, 1, 3))

    def _passage(self, result: Result) -> Text:
        passage = Text(_excerpt(plain(result.text), self._emphasis))
        if self._emphasis is not None:
            passage.highlight_regex(self._emphasis, style="bold yellow")
        if result.truncated:
            passage.append(" (the reranker saw only the beginning)", style="dim")
        if result.explanation is not None:
            passage.append(f"\n{_ranks(result.explanation)}", style="dim")
        for other in result.more:
            passage.append("\nalso ", style="dim").append(f"{other.score:.3f} ", style="cyan")
            passage.append(plain(other.text)[:_ALSO])
        return passage


def _emphasis(query: str) -> re.Pattern[str] | None:
    """A pattern for the words of a query; long ones match their inflections too."""
    words = {word for word in re.findall(r"\w+", query.casefold()) if word not in _COMMON}
    if not words:
        return None
    # Longest first: of two words that match at a place, the more telling one wins.
    stems = (re.escape(word[:-1] if len(word) > 4 else word) for word in words)
    either = "|".join(sorted(stems, key=len, reverse=True))
    return re.compile(rf"\b(?:{either})\w{{0,4}}\b", re.IGNORECASE)


def _excerpt(text: str, emphasis: re.Pattern[str] | None) -> str:
    """The window of a long passage in which most words of the query stand."""
    if len(text) <= _EXCERPT:
        return text
    hits = [match.start() for match in emphasis.finditer(text)] if emphasis else []
    starts = [0, *(max(0, hit - 40) for hit in hits)]
    best = max(starts, key=lambda start: sum(start <= hit < start + _EXCERPT for hit in hits))
    start = text.rfind(" ", 0, best) + 1
    end = text.rfind(" ", start, start + _EXCERPT) if start + _EXCERPT < len(text) else len(text)
    if end <= start:  # a passage without spaces, as in Chinese
        end = start + _EXCERPT
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _source(result: Result) -> Text:
    source = Text(plain(result.name), style="bold")
    if result.page is not None:
        source.append(f" p. {result.page}", style="not bold green")
    if result.headings:
        path = " › ".join(plain(heading) for heading in result.headings)
        source.append(f"  {path}", style="not bold dim")
    return source


def _ranks(explanation: Explanation) -> str:
    """Where a result stood in each order."""
    orders = {
        "dense": explanation.dense_rank,
        "bm25": explanation.sparse_rank,
        "first stage": explanation.recall_rank,
        "rerank": explanation.rerank_rank,
        "fused": explanation.fused_rank,
    }
    return " · ".join(f"{name} {rank if rank else '–'}" for name, rank in orders.items())


def _number(value: float | None, *, digits: int = 3) -> Text:
    return Text("–", style="dim") if value is None else Text(f"{value:.{digits}f}")


def _move(result: Result) -> Text:
    """The rank that the first stage gave, coloured by where the second one moved it."""
    gain = result.recall_rank - result.rank
    arrow, style = ("↑", "green") if gain > 0 else ("↓", "red") if gain < 0 else (" ", "dim")
    return Text(f"{result.recall_rank}{arrow}", style=style)


def _rerank_summary(report: RerankReport) -> Text:
    line = Text("rerank ", style="dim")
    line.append(report.status, style=_STATUS_STYLE.get(report.status, "yellow"))
    if report.depth:
        line.append(f"  {report.scored} of {report.depth} candidates scored")
        if report.model:
            line.append(f" by {plain(report.model)}")
        line.append(f" in {report.ms:.1f} ms")
        if report.cached:
            line.append(f", {report.cached} of them before", style="dim")
    if report.reason:
        line.append(f"  {plain(report.reason)}", style="yellow")
    return line


def _bar(share: float) -> str:
    """A bar of eighths of a character, never empty, so that a short stage is still seen."""
    eighths = max(1, round(share * _BAR * 8))
    full, rest = divmod(eighths, 8)
    return "█" * full + _EIGHTHS[rest].strip()
