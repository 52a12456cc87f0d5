"""One generation of a collection on a Qdrant server: its rows and passages.

No two operations on a server are one. So everything hangs on single conditional updates of a
ledger row, which the server does atomically, and every method reads back what came of its own:

- A row changes only while it is of the upload that the caller means.
- Searches answer from the version that the row calls live. `publish` makes the new chunks
  findable, then switches the row, then deletes the old chunks; what a search finds of another
  version than the live one, it drops. So no search sees two versions, or none, at any moment.
- Deleting removes the row first: chunks without a row are not there for anybody.

Whatever is cut off in between is repaired by doing it again, and what nobody does again is swept.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import TypeAlias, TypeVar, cast
from uuid import UUID, uuid4

from qdrant_client import models

from pipelines import filters
from pipelines.ports import Candidate, Chunk, Collection, DocumentPage, RecallQuery, Vectors
from pipelines.store import records
from pipelines.store.conditions import (
    Clause,
    below,
    chunks_of,
    every,
    match,
    none,
    row,
    rows,
    some,
    visible,
    within,
)
from pipelines.store.recall import searches, union
from pipelines.store.records import Payload
from pipelines.store.remote import Ordering, RemoteCollection
from pipelines.store.rules import in_order, live_now, mismatch, parse_cursor
from twofold.errors import DocumentNotFound, ServiceError
from twofold.schema import Document, DocumentStatus

Found: TypeAlias = models.Record | models.ScoredPoint
P = TypeVar("P", models.Record, models.ScoredPoint)

ROUNDS = 4  # times that a read or a decision is repeated when others write in between
ROWS = 256  # ledger rows in one call
CHUNKS = 128  # chunks in one call: about 2 MB of JSON with 1,024 dimensions


class RemoteSpace:
    """Rows and passages of one generation; the methods are those of `ports.Store`.

    Args:
        home: The physical collection that it lies in.
        space: What tells its points from all others there.
        address: What callers say for it.

    Attributes:
        collection: Its settings.
    """

    def __init__(
        self, home: RemoteCollection, space: str, collection: Collection, address: str
    ) -> None:
        self._home = home
        self._space = space
        self.collection = collection
        self._address = address

    # --- The ledger -------------------------------------------------------------------------

    async def put_documents(
        self, documents: Sequence[Document], known: Mapping[str, Document | None] | None
    ) -> set[str]:
        refused: set[str] = set()
        for start in range(0, len(documents), ROWS):
            refused |= await self._put(documents[start : start + ROWS], known)
        return refused

    async def _put(
        self, documents: Sequence[Document], known: Mapping[str, Document | None] | None
    ) -> set[str]:
        """Insert and change rows, each on its condition, and see which now bear our stamp."""
        stamp: Payload = {"stamp": uuid4().hex}
        ids = {document.id: self._row_id(document.id) for document in documents}
        new: list[records.Point] = []
        changes: list[tuple[Clause, Payload]] = []
        for document in documents:
            before = known.get(document.id) if known is not None else None
            where = row(self._space, ids[document.id])
            if before is None:
                point = records.row_point(self._space, document)
                new.append(point._replace(payload=point.payload | stamp))
            else:
                where = every(where, match("upload", records.upload_of(before)))
            if before is not None or known is None:
                changes.append((where, records.work_of(document) | stamp))
        await self._home.put(new, changes)
        if known is None:
            return set()
        written = await self._home.get([*ids.values()], ["document", "stamp"])
        ours = {each["document"] for each in written if each["stamp"] == stamp["stamp"]}
        return {each for each in ids if each not in ours}

    async def touch_document(self, document: Document) -> bool:
        point, upload = self._row_id(document.id), records.upload_of(document)
        working = every(
            row(self._space, point), match("upload", upload), none(match("status", "ready"))
        )
        await self._home.set_payload(working, records.work_of(document), Ordering.STRONG)
        found = await self._home.get([point], ["upload", "status"])
        return [(each["upload"], each["status"] == "ready") for each in found] == [(upload, False)]

    async def get_document(self, document_id: str) -> Document:
        stored = await self._home.get([self._row_id(document_id)])
        if not stored:
            raise self._not_found(document_id)
        return self._row_of(stored[0])

    async def find_by_sha256(self, sha256: str) -> list[Document]:
        found = await self._home.all(every(rows(self._space), match("sha256", sha256)))
        documents = [self._row_of(_payload(each)) for each in found]
        return sorted(documents, key=lambda document: (document.created_at, document.id))

    async def list_documents(
        self, status: Sequence[DocumentStatus], cursor: str | None, limit: int
    ) -> DocumentPage:
        mine = rows(self._space)
        where = every(mine, match("status", *status)) if status else mine
        start = parse_cursor(cursor) if cursor is not None else None
        page, following = await self._home.page(where, start=start, limit=limit)
        return DocumentPage([*map(self._row_of, page)], following.hex if following else None)

    async def count_documents(self) -> dict[DocumentStatus, int]:
        counts = await self._home.count_by("status", rows(self._space))
        return cast("dict[DocumentStatus, int]", counts)

    async def count_passages(self) -> int:
        return await self._home.count(visible(self._space))

    async def delete_document(self, document_id: str) -> Document:
        gone = await self._delete_row(document_id)
        if gone is None:
            raise self._not_found(document_id)
        created = match("created", filters.format_time(gone.created_at))
        await self._home.delete(every(self._chunks_of(document_id), created), Ordering.MEDIUM)
        return gone

    async def _delete_row(self, document_id: str) -> Document | None:
        """Delete the row, whatever uploads come in between; one made afterwards stays."""
        gone: Document | None = None
        point = self._row_id(document_id)
        for _ in range(ROUNDS):
            found = [self._row_of(each) for each in await self._home.get([point])]
            if not found or (gone and found[0].created_at != gone.created_at):
                return gone
            [gone] = found
            upload = match("upload", records.upload_of(gone))
            await self._home.delete(every(row(self._space, point), upload), Ordering.STRONG)
        raise self._contended("delete")

    # --- Chunks -----------------------------------------------------------------------------

    async def vectors_by_sha256(self, document_id: str) -> dict[str, Vectors]:
        found = await self._home.all(self._chunks_of(document_id), vectors=True)
        return dict(records.vectors_of(_payload(record), record.vector) for record in found)

    async def stage_chunks(
        self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        points = [
            records.chunk_point(self._space, document, *pair)
            for pair in zip(chunks, vectors, strict=True)
        ]
        point, upload = self._row_id(document.id), records.upload_of(document)
        for start in range(0, len(points), CHUNKS):
            stored = await self._home.get([point], ["upload"])
            if [each["upload"] for each in stored] != [upload]:
                return
            part = points[start : start + CHUNKS]
            await self._home.upsert(part, over=every(match("kind", "staged")))

    async def publish(self, document: Document) -> bool:
        document = live_now(document)
        point, upload = self._row_id(document.id), records.upload_of(document)
        mine = every(self._chunks_of(document.id), match("upload", upload))
        for _ in range(ROUNDS):
            found = await self._home.get([point])
            stored = found[0] if found else None
            if stored is None or stored["upload"] != upload:
                if stored is None or stored.get("live") != upload:
                    await self._home.delete(mine, Ordering.MEDIUM)
                return False
            if (stored["status"], stored.get("live")) == ("ready", upload):
                await self._clear(self._row_of(stored))
                return True
            findable = every(mine, below("ordinal", document.chunks))
            mark = records.published(self._space)
            await self._home.set_payload(findable, mark, Ordering.MEDIUM)
            # The switch: before it every search answers from the old version, after it from
            # the new one.
            await self._home.set_payload(
                every(row(self._space, point), match("upload", upload)),
                records.work_of(document) | records.live_of(document),
                Ordering.STRONG,
            )
        raise self._contended("publish")

    async def _clear(self, document: Document) -> None:
        """Delete the chunks that a published row has left behind; those of later uploads stay."""
        beyond = none(below("ordinal", document.chunks))
        await self._home.delete(
            every(
                self._chunks_of(document.id),
                match("created", filters.format_time(document.created_at)),
                some(
                    below("version", document.version),
                    every(match("upload", records.upload_of(document)), beyond),
                ),
            ),
            Ordering.MEDIUM,
        )

    async def get_chunks(self, document_id: str) -> list[Chunk]:
        return await self._read_chunks(document_id)

    async def chunks_between(self, document_id: str, first: int, last: int) -> list[Chunk]:
        return await self._read_chunks(document_id, within("ordinal", first, last))

    async def _read_chunks(self, document_id: str, *where: Clause) -> list[Chunk]:
        """Chunks of the live version in order; the same was live before and after reading them."""
        for _ in range(ROUNDS):
            live = await self._live({document_id})
            if not live:
                return []
            one = every(match("document", document_id), match("upload", live[document_id]))
            found = await self._home.all(every(visible(self._space), one, *where))
            if await self._live({document_id}) == live:
                return in_order(map(_payload, found))
        raise self._contended("read")

    async def chunks_by_id(self, ids: Sequence[str]) -> dict[str, Chunk]:
        where = every(visible(self._space), match("chunk", *ids))

        async def read() -> list[list[models.Record]]:
            return [await self._home.all(where)]

        [found] = await self._current(read)
        return {chunk.id: chunk for chunk in in_order(map(_payload, found))}

    async def recall(self, query: RecallQuery) -> list[Candidate]:
        if query.dense is not None and len(query.dense) != self.collection.dimensions:
            raise mismatch(self.collection, "another model", len(query.dense))
        home = self._home
        asked = searches(self._space, query, prefix=home.prefix, copies=home.copies)

        async def read() -> list[list[models.ScoredPoint]]:
            return await self._home.query([*asked.values()])

        answers = await self._current(read) if asked else []
        return union(dict(zip(asked, answers, strict=True)))

    async def _current(self, read: Callable[[], Awaitable[list[list[P]]]]) -> list[list[P]]:
        """What is of the live versions among the chunks that are read.

        The rows are read after the chunks. When what was found of a document is of an old
        version, its row may have switched in between, and then what is live was not looked for:
        read again, until the row is as it was the time before.
        """
        before: dict[str, str] = {}
        lists: list[list[P]] = []
        for _ in range(ROUNDS):
            lists = await read()
            live = await self._live({_document(p) for ps in lists for p in ps})
            stale = {_document(p) for ps in lists for p in ps if not _is_live(p, live)}
            lists = [[p for p in ps if _is_live(p, live)] for ps in lists]
            if all(before.get(each) == live.get(each) for each in stale):
                break
            before = live
        return lists

    async def _live(self, documents: Set[str]) -> dict[str, str]:
        """The live upload of each of the documents that has one."""
        points = [self._row_id(each) for each in documents]
        found = await self._home.get(points, ["document", "live"]) if points else []
        return {str(each["document"]): str(each["live"]) for each in found if each.get("live")}

    # --- Small things -----------------------------------------------------------------------

    def _row_id(self, document_id: str) -> UUID:
        return records.row_id(self._space, document_id)

    def _row_of(self, payload: Payload) -> Document:
        return records.row_of(payload, self._address)

    def _chunks_of(self, document_id: str) -> Clause:
        return chunks_of(self._space, document_id)

    def _not_found(self, document_id: str) -> DocumentNotFound:
        return DocumentNotFound(document_id=document_id, collection=self.collection.name)

    def _contended(self, verb: str) -> ServiceError:
        return ServiceError(
            reason=f"a document in collection '{self.collection.name}' changed {ROUNDS} times "
            f"while it tried to {verb} it; try again"
        )


def _document(point: Found) -> str:
    return str(_payload(point)["document"])


def _is_live(point: Found, live: Mapping[str, str]) -> bool:
    payload = _payload(point)
    return live.get(str(payload["document"])) == payload["upload"]


def _payload(point: Found) -> Payload:
    return point.payload or {}
