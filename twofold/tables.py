"""How documents and the state of the server look in a terminal."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from twofold.outcomes import Tally
from twofold.render import NARROW, plain
from twofold.schema import (
    CollectionInfo,
    Comparison,
    Document,
    Health,
    KeyList,
    PassageList,
    Readiness,
)

_EXCERPT = 120
_STYLES = {
    "created": "green",
    "updated": "cyan",
    "unchanged": "dim",
    "ready": "green",
    "failed": "red",
}


def summary_table(tally: Tally) -> RenderableType:
    """What came of an upload: counts, each failure with its reason, each document if few."""
    line = Text(", ").join(
        Text(f"{count:,} {outcome}", style=_style(outcome))
        for outcome, count in tally.counts.items()
    )
    table = _table("", "name", "passages", "")
    for row in tally.rows:
        table.add_row(
            Text(row.outcome, style=_style(row.outcome)),
            plain(row.name),
            f"{row.passages or ''}",
            plain(row.remark),
        )
    if (hidden := tally.counts["failed"] - len(tally.failures)) > 0:
        table.add_row("", f"and {hidden:,} more that failed; --json tells all", "", "")
    return Group(table, line) if table.row_count else line


def documents_table(documents: Iterable[Document]) -> RenderableType:
    """One line a document, and below it the reason if it failed."""
    return _Documents(list(documents))


class _Documents:
    """Picks its layout when the width is known: ids are copied, so that they are never divided."""

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if options.max_width >= NARROW:
            yield self._table()
            return
        for document in self._documents:
            yield Text.assemble(_state(document), f"  {document.chunks}  ", _named(document))
            yield Text(f"  {plain(document.id)}", style="dim")

    def _table(self) -> Table:
        table = _table("status", "id", "passages", "name")
        table.columns[1].no_wrap = True
        for document in self._documents:
            row = Text(plain(document.id)), f"{document.chunks}", _named(document)
            table.add_row(_state(document), *row)
        return table


def _named(document: Document) -> Text:
    name = Text(plain(document.name))
    if document.error:
        name.append(f"\n{plain(document.error.message)}", style="dim")
    return name


def document_table(document: Document) -> Table:
    """Everything that is known of one document."""
    table = _facts()
    live = f", {document.live_version} is searched" if document.live_version else ""
    table.add_row("document", Text(plain(document.name), style="bold"))
    table.add_row("id", plain(document.id))
    table.add_row("collection", document.collection)
    table.add_row("status", _state(document))
    if document.error:
        table.add_row("reason", Text(plain(document.error.message), style="red"))
    table.add_row("title", plain(document.title or ""))
    table.add_row("type", f"{plain(document.media_type)}, {document.size:,} bytes")
    table.add_row("version", f"{document.version}{live}")
    table.add_row("passages", f"{document.chunks}")
    table.add_row("changed", f"{document.updated_at:%Y-%m-%d %H:%M:%S} UTC")
    if document.duplicate_of:
        table.add_row("same bytes", plain(document.duplicate_of))
    for key, value in document.metadata.items():
        table.add_row(plain(key), plain(str(value)))
    return table


def passages_table(passages: PassageList) -> Table:
    """One line a passage: where it stands, and how it begins."""
    table = _table("#", "characters", "page", "passage")
    for passage in passages.chunks:
        where, page = f"{passage.start}-{passage.end}", f"{passage.page or ''}"
        table.add_row(f"{passage.ordinal}", where, page, plain(passage.text)[:_EXCERPT])
    return table


def status_table(health: Health, readiness: Readiness, url: str) -> RenderableType:
    """Whether the server can serve, with which models, what it holds, and each part of it."""
    table = _facts()
    state = Text("ready", style="green") if readiness.ready else Text("not ready", style="red")
    table.add_row("server", Text.assemble(f"{url} {health.version} ", state))
    table.add_row("embedder", readiness.embedder or "not known yet")
    if readiness.other_embedders:
        table.add_row("also", ", ".join(readiness.other_embedders))
    table.add_row("reranker", readiness.reranker or "none")
    counts = ", ".join(f"{count:,} {status}" for status, count in readiness.documents.items())
    table.add_row("documents", counts or "none")
    return Group(table, "", parts_table(readiness))


def parts_table(readiness: Readiness) -> Table:
    """One line a part: how it is, and how many workers it has where these are counted."""
    table = _table("part", "state", "workers" if readiness.workers else "")
    for part, condition in readiness.parts.items():
        state = Text(plain(condition), style="green" if condition == "ok" else "red")
        table.add_row(part, state, f"{readiness.workers.get(part, '')}")
    return table


def collections_table(collections: Iterable[CollectionInfo]) -> Table:
    """One line a collection."""
    table = _table("name", "documents", "passages", "embedder", "language", "rebuild")
    for each in collections:
        table.add_row(
            each.name,
            f"{sum(each.documents.values()):,}",
            f"{each.passages:,}",
            Text(f"{plain(each.embedder)} ({each.dimensions})"),
            each.language,
            each.rebuild.state if each.rebuild else "",
        )
    return table


def collection_table(collection: CollectionInfo) -> Table:
    """What a collection is made with, what it holds, and how far its rebuild is."""
    table = _facts()
    table.add_row("collection", collection.name)
    table.add_row("embedder", f"{plain(collection.embedder)}, {collection.dimensions} dimensions")
    table.add_row("passages of", f"{collection.chunk_tokens} tokens at most")
    table.add_row("language", collection.language)
    for stage, said in (
        ("queries", collection.query_instruction),
        ("reranker", collection.rerank_instruction),
    ):
        if said:
            table.add_row(f"told {stage}", Text(plain(said)))
    counts = ", ".join(f"{count:,} {status}" for status, count in collection.documents.items())
    table.add_row("documents", counts or "none")
    table.add_row("passages", f"{collection.passages:,}")
    if (rebuild := collection.rebuild) is not None:
        table.add_row(
            "rebuild", f"{rebuild.state}: {rebuild.done:,} of {rebuild.total:,} documents"
        )
        if rebuild.reason:
            table.add_row("", Text(plain(rebuild.reason), style="yellow"))
        for failure in rebuild.failures:
            reason = failure.error.message if failure.error else ""
            table.add_row("failed", Text(plain(f"{failure.name}: {reason}"), style="red"))
        if rebuild.comparison is not None:
            table.add_row("compared", _compared(rebuild.comparison))
    return table


def _compared(comparison: Comparison) -> str:
    """How the two generations answered, in one line."""
    line = f"{comparison.queries} queries, {comparison.overlap_10:.0%} of the first ten in both"
    if comparison.old and comparison.new:
        line += f"; nDCG@10 {comparison.old.ndcg_10:.3f} before, {comparison.new.ndcg_10:.3f} after"
    return line


def keys_table(keys: KeyList, now: datetime) -> Table:
    """One line a key; one that has expired says so."""
    table = _table("id", "tenant", "scopes", "made", "expires", "name")
    for key in keys.keys:
        expires = Text(f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never")
        if key.expires_at and key.expires_at <= now:
            expires = Text("expired", style="red")
        scopes, made = ", ".join(key.scopes), f"{key.created_at:%Y-%m-%d}"
        table.add_row(key.id, key.tenant, scopes, made, expires, Text(plain(key.name)))
    return table


def _state(document: Document) -> Text:
    if document.final:
        return Text(document.status, style=_style(document.status))
    return Text(f"{document.status} {document.progress:.0%}", style="yellow")


def _style(outcome: str) -> str:
    return _STYLES.get(outcome, "yellow")


def _facts() -> Table:
    """Names on the left, what is so on the right."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(
            heading, justify="right" if heading == "passages" else "left", overflow="fold"
        )
    return table
