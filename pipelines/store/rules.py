"""What both stores refuse, keep and order in the same way. Pure."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from pipelines.ports import Chunk, Collection
from pipelines.store.records import LIVE, Payload, chunk_of
from twofold.errors import EmbedderMismatch, InvalidRequest
from twofold.schema import CollectionName, Document, DocumentStatus

UNFINISHED: tuple[DocumentStatus, ...] = ("queued", "parsing", "embedding")


def check_name(collection: str) -> None:
    """Refuse a name that could lead elsewhere; the wire contract refuses it as well."""
    try:
        TypeAdapter(CollectionName).validate_python(collection)
    except ValidationError as error:
        raise InvalidRequest(field="collection", reason=error.errors()[0]["msg"]) from error


def parse_cursor(cursor: str) -> UUID:
    """The place in a listing that a cursor means."""
    try:
        return UUID(cursor)
    except ValueError as error:
        raise InvalidRequest(
            field="cursor", reason="it is not one that a listing returned; begin again without it"
        ) from error


def mismatch(stored: Collection, embedder: str, dimensions: int) -> EmbedderMismatch:
    """The error that says which model a collection was built with."""
    return EmbedderMismatch(
        collection=stored.name,
        stored=stored.embedder,
        stored_dimensions=stored.dimensions,
        running=embedder,
        running_dimensions=dimensions,
    )


def same_upload(stored: Document | None, document: Document | None) -> bool:
    """Whether two rows are of the same upload, or both are not there."""
    if stored is None or document is None:
        return stored is document
    return (stored.version, stored.created_at) == (document.version, document.created_at)


def is_done(document: Document | None) -> bool:
    """Whether the upload that a row is of has been published: nothing more happens to it."""
    return document is not None and document.status == "ready"


def refused_of(
    stored: Mapping[str, Document | None], known: Mapping[str, Document | None] | None
) -> set[str]:
    """Ids of rows that are not as the caller knew them."""
    if known is None:
        return set()
    return {each for each, row in stored.items() if not same_upload(row, known.get(each))}


def with_live(document: Document, stored: Document | None) -> Document:
    """The row to be, with what is live as the row that is there has it."""
    if stored is None:
        return document
    return document.model_copy(update=stored.model_dump(include=set(LIVE)))


def in_order(payloads: Iterable[Payload]) -> list[Chunk]:
    """The chunks of a document in reading order."""
    return sorted(map(chunk_of, payloads), key=lambda chunk: chunk.ordinal)


def live_now(document: Document) -> Document:
    """The row as it is once its version is what searches see."""
    return document.model_copy(update={"live_version": document.version})


async def oldest_first(
    page: Callable[[float | None, int], Awaitable[list[Payload]]], *, limit: int = 64
) -> AsyncIterator[Payload]:
    """Rows in the order in which they were last touched, each once, while rows change.

    Args:
        page: The first rows from a time on, by that time and how many at most.
        limit: Length of a page.
    """
    seen: set[object] = set()
    since: float | None = None
    while True:
        rows = await page(since, limit)
        new = [row for row in rows if (row["space"], row["document"]) not in seen]
        for row in new:
            seen.add((row["space"], row["document"]))
            yield row
        if len(rows) < limit:
            return
        if not new:
            limit *= 2  # more rows of one moment than a page holds
        since = float(str(rows[-1]["touched"]))
