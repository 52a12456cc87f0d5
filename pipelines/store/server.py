"""The store of the distributed mode: a Qdrant server or cluster, used by any number of processes.

No two operations on a server are one. So everything hangs on single conditional updates of a
ledger row, which the server does atomically, and every method reads back what came of its own:

- A row changes only while it is of the upload that the caller means.
- Searches answer from the version that the row calls live. `publish` makes the new chunks
  findable, then switches the row, then deletes the old chunks; what a search finds of another
  version than the live one, it drops. So no search sees two versions, or none, at any moment.
- Deleting removes the row first: chunks without a row are not there for anybody.

Whatever is cut off in between is repaired by doing it again, and what nobody does again is swept.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar, cast
from uuid import UUID, uuid4

from qdrant_client import models

from pipelines import filters
from pipelines.keys import derived_uuid
from pipelines.ports import (
    Candidate,
    Chunk,
    Collection,
    DocumentPage,
    Health,
    RecallQuery,
    Vectors,
)
from pipelines.store import records, remote
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
from pipelines.store.connection import Connection, NoSuchCollection, Server
from pipelines.store.recall import searches, union
from pipelines.store.records import Payload
from pipelines.store.remote import Layout, Ordering, RemoteCollection
from pipelines.store.rules import (
    UNFINISHED,
    check_name,
    in_order,
    live_now,
    mismatch,
    oldest_first,
    parse_cursor,
)
from twofold.errors import CollectionNotFound, DocumentNotFound, ServiceError
from twofold.schema import Document, DocumentStatus

Found: TypeAlias = models.Record | models.ScoredPoint
P = TypeVar("P", models.Record, models.ScoredPoint)

ROUNDS = 4  # times that a read or a decision is repeated when others write in between
ROWS = 256  # ledger rows in one call
SWEPT = 1_000  # chunks that a sweep looks at in one call
CHUNKS = 128  # chunks in one call: about 2 MB of JSON with 1,024 dimensions

_UPLOAD = ("tenant", "document", "upload")  # keys that tell an upload from all others


class QdrantStore:
    """`ports.Store` on a server.

    Args:
        server: Where it is; it need not be there yet.
        layout: How new collections are made.
        prefix: What names of collections on the server begin with, where it is shared.
    """

    def __init__(self, server: Server, layout: Layout | None = None, *, prefix: str = "") -> None:
        self._connection = Connection(server)
        self._layout = layout or Layout()
        self._prefix = prefix
        self._open: dict[str, RemoteCollection] = {}
        self._admitted: set[tuple[str, str]] = set()

    # --- Collections ------------------------------------------------------------------------

    async def ensure_collection(self, tenant: str, collection: Collection) -> None:
        check_name(collection.name)
        try:
            there = await self._opened(collection.name)
        except NoSuchCollection:
            alias = self._prefix + collection.name
            await remote.create(self._connection, alias, collection, self._layout)
            there = await self._opened(collection.name)
        if there.memory != collection:
            raise mismatch(there.memory, collection.embedder, collection.dimensions)
        if not await self._is_admitted(there, tenant):
            admitted: Payload = {"tenant": tenant, "kind": "tenant"}
            point = records.Point(_tenant_id(tenant, collection.name), admitted)
            await there.put([point], [])

    async def get_collection(self, tenant: str, name: str) -> Collection:
        async with self._collection(tenant, name) as collection:
            return collection.memory

    async def list_collections(self, tenant: str) -> list[Collection]:
        return [
            collection.memory
            async for collection in self._all()
            if await collection.count(rows(tenant))
        ]

    @asynccontextmanager
    async def _collection(self, tenant: str, name: str) -> AsyncIterator[RemoteCollection]:
        """A collection that exists for the tenant; also when it goes while it is used."""
        try:
            collection = await self._opened(name)
            if not await self._is_admitted(collection, tenant):
                raise CollectionNotFound(collection=name)
            yield collection
        except NoSuchCollection:
            self._forget(name)
            raise CollectionNotFound(collection=name) from None

    async def _opened(self, name: str) -> RemoteCollection:
        if name not in self._open:
            alias = self._prefix + name
            self._open[name] = await RemoteCollection.open(self._connection, alias, name)
        return self._open[name]

    async def _is_admitted(self, collection: RemoteCollection, tenant: str) -> bool:
        place = (collection.memory.name, tenant)
        if place not in self._admitted:
            if not await collection.get([_tenant_id(tenant, place[0])]):
                return False
            self._admitted.add(place)
        return True

    def _forget(self, name: str) -> None:
        self._open.pop(name, None)
        self._admitted = {place for place in self._admitted if place[0] != name}

    async def _all(self) -> AsyncIterator[RemoteCollection]:
        """Every collection of ours on the server, by name."""
        listed = await self._connection(lambda client: client.get_aliases())
        aliases = sorted(each.alias_name for each in listed.aliases)
        for alias in aliases:
            if alias.startswith(self._prefix):
                try:
                    yield await self._opened(alias.removeprefix(self._prefix))
                except NoSuchCollection:
                    continue

    # --- The ledger -------------------------------------------------------------------------

    async def put_documents(
        self,
        tenant: str,
        documents: Sequence[Document],
        *,
        known: Mapping[str, Document | None] | None = None,
    ) -> set[str]:
        refused: set[str] = set()
        for start in range(0, len(documents), ROWS):
            part = documents[start : start + ROWS]
            async with self._collection(tenant, part[0].collection) as collection:
                refused |= await self._put(collection, tenant, part, known)
        return refused

    async def _put(
        self,
        collection: RemoteCollection,
        tenant: str,
        documents: Sequence[Document],
        known: Mapping[str, Document | None] | None,
    ) -> set[str]:
        """Insert and change rows, each on its condition, and see which now bear our stamp."""
        stamp: Payload = {"stamp": uuid4().hex}
        ids = {document.id: _row_id(tenant, document) for document in documents}
        new: list[records.Point] = []
        changes: list[tuple[Clause, Payload]] = []
        for document in documents:
            before = known.get(document.id) if known is not None else None
            where = row(tenant, ids[document.id])
            if before is None:
                point = records.row_point(tenant, document)
                new.append(point._replace(payload=point.payload | stamp))
            else:
                where = every(where, match("upload", records.upload_of(before)))
            if before is not None or known is None:
                changes.append((where, records.work_of(document) | stamp))
        await collection.put(new, changes)
        if known is None:
            return set()
        written = await collection.get([*ids.values()], ["document", "stamp"])
        ours = {each["document"] for each in written if each["stamp"] == stamp["stamp"]}
        return {each for each in ids if each not in ours}

    async def touch_document(self, tenant: str, document: Document) -> bool:
        point, upload = _row_id(tenant, document), records.upload_of(document)
        working = every(row(tenant, point), match("upload", upload), none(match("status", "ready")))
        async with self._collection(tenant, document.collection) as collection:
            await collection.set_payload(working, records.work_of(document), Ordering.STRONG)
            found = await collection.get([point], ["upload", "status"])
        return [(each["upload"], each["status"] == "ready") for each in found] == [(upload, False)]

    async def get_document(self, tenant: str, collection: str, document_id: str) -> Document:
        point = records.row_id(tenant, collection, document_id)
        async with self._collection(tenant, collection) as there:
            stored = await there.get([point])
        if not stored:
            raise DocumentNotFound(document_id=document_id, collection=collection)
        return records.row_of(stored[0])

    async def find_by_sha256(self, tenant: str, collection: str, sha256: str) -> list[Document]:
        where = every(rows(tenant), match("sha256", sha256))
        async with self._collection(tenant, collection) as there:
            found = [records.row_of(_payload(each)) for each in await there.all(where)]
        return sorted(found, key=lambda document: (document.created_at, document.id))

    async def list_documents(
        self,
        tenant: str,
        collection: str,
        *,
        status: Sequence[DocumentStatus] = (),
        cursor: str | None = None,
        limit: int = 100,
    ) -> DocumentPage:
        where = every(rows(tenant), match("status", *status)) if status else rows(tenant)
        start = parse_cursor(cursor) if cursor is not None else None
        async with self._collection(tenant, collection) as there:
            page, following = await there.page(where, start=start, limit=limit)
        documents = [records.row_of(payload) for payload in page]
        return DocumentPage(documents, following.hex if following else None)

    async def count_documents(self, tenant: str, collection: str) -> dict[DocumentStatus, int]:
        async with self._collection(tenant, collection) as there:
            counts = await there.count_by("status", rows(tenant))
        return cast("dict[DocumentStatus, int]", counts)

    async def unfinished(self) -> AsyncIterator[tuple[str, Document]]:
        where = every(match("kind", "document"), match("status", *UNFINISHED))
        async for collection in self._all():

            async def page(
                since: float | None, limit: int, collection: RemoteCollection = collection
            ) -> list[Payload]:
                return await collection.oldest(where, since=since, limit=limit)

            async for payload in oldest_first(page):
                yield str(payload["tenant"]), records.row_of(payload)

    async def delete_document(self, tenant: str, collection: str, document_id: str) -> Document:
        point = records.row_id(tenant, collection, document_id)
        async with self._collection(tenant, collection) as there:
            gone = await self._delete_row(there, tenant, point)
            if gone is None:
                raise DocumentNotFound(document_id=document_id, collection=collection)
            created = match("created", filters.format_time(gone.created_at))
            await there.delete(every(chunks_of(tenant, document_id), created), Ordering.MEDIUM)
        return gone

    async def _delete_row(
        self, collection: RemoteCollection, tenant: str, point: UUID
    ) -> Document | None:
        """Delete the row, whatever uploads come in between; one made afterwards stays."""
        gone: Document | None = None
        for _ in range(ROUNDS):
            found = [records.row_of(each) for each in await collection.get([point])]
            if not found or (gone and found[0].created_at != gone.created_at):
                return gone
            [gone] = found
            upload = match("upload", records.upload_of(gone))
            await collection.delete(every(row(tenant, point), upload), Ordering.STRONG)
        raise _contended("delete", tenant)

    # --- Chunks -----------------------------------------------------------------------------

    async def vectors_by_sha256(
        self, tenant: str, collection: str, document_id: str
    ) -> dict[str, Vectors]:
        where = chunks_of(tenant, document_id)
        async with self._collection(tenant, collection) as there:
            found = await there.all(where, vectors=True)
        return dict(records.vectors_of(_payload(record), record.vector) for record in found)

    async def stage_chunks(
        self, tenant: str, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        points = [
            records.chunk_point(tenant, document, *pair)
            for pair in zip(chunks, vectors, strict=True)
        ]
        point, upload = _row_id(tenant, document), records.upload_of(document)
        async with self._collection(tenant, document.collection) as collection:
            for start in range(0, len(points), CHUNKS):
                stored = await collection.get([point], ["upload"])
                if [each["upload"] for each in stored] != [upload]:
                    return
                part = points[start : start + CHUNKS]
                await collection.upsert(part, over=every(match("kind", "staged")))

    async def publish(self, tenant: str, document: Document) -> bool:
        document = live_now(document)
        point, upload = _row_id(tenant, document), records.upload_of(document)
        mine = every(chunks_of(tenant, document.id), match("upload", upload))
        async with self._collection(tenant, document.collection) as collection:
            for _ in range(ROUNDS):
                found = await collection.get([point])
                stored = found[0] if found else None
                if stored is None or stored["upload"] != upload:
                    if stored is None or stored.get("live") != upload:
                        await collection.delete(mine, Ordering.MEDIUM)
                    return False
                if (stored["status"], stored.get("live")) == ("ready", upload):
                    await self._clear(collection, tenant, records.row_of(stored))
                    return True
                findable = every(mine, below("ordinal", document.chunks))
                await collection.set_payload(findable, {"kind": "chunk"}, Ordering.MEDIUM)
                # The switch: before it every search answers from the old version, after it from
                # the new one.
                await collection.set_payload(
                    every(row(tenant, point), match("upload", upload)),
                    records.work_of(document) | records.live_of(document),
                    Ordering.STRONG,
                )
        raise _contended("publish", tenant)

    async def _clear(self, collection: RemoteCollection, tenant: str, document: Document) -> None:
        """Delete the chunks that a published row has left behind; those of later uploads stay."""
        beyond = none(below("ordinal", document.chunks))
        await collection.delete(
            every(
                chunks_of(tenant, document.id),
                match("created", filters.format_time(document.created_at)),
                some(
                    below("version", document.version),
                    every(match("upload", records.upload_of(document)), beyond),
                ),
            ),
            Ordering.MEDIUM,
        )

    async def get_chunks(self, tenant: str, collection: str, document_id: str) -> list[Chunk]:
        return await self._chunks_of(tenant, collection, document_id)

    async def chunks_between(
        self, tenant: str, collection: str, document_id: str, first: int, last: int
    ) -> list[Chunk]:
        return await self._chunks_of(
            tenant, collection, document_id, within("ordinal", first, last)
        )

    async def _chunks_of(
        self, tenant: str, collection: str, document_id: str, *where: Clause
    ) -> list[Chunk]:
        """Chunks of the live version in order; the same was live before and after reading them."""
        async with self._collection(tenant, collection) as there:
            for _ in range(ROUNDS):
                live = await self._live(there, tenant, {document_id})
                if not live:
                    return []
                upload = match("upload", live[document_id])
                found = await there.all(every(chunks_of(tenant, document_id), upload, *where))
                if await self._live(there, tenant, {document_id}) == live:
                    return in_order(map(_payload, found))
        raise _contended("read", tenant)

    async def chunks_by_id(
        self, tenant: str, collection: str, ids: Sequence[str]
    ) -> dict[str, Chunk]:
        async with self._collection(tenant, collection) as there:
            where = every(visible(tenant), match("chunk", *ids))

            async def read() -> list[list[models.Record]]:
                return [await there.all(where)]

            [found] = await self._current(there, tenant, read)
        return {chunk.id: chunk for chunk in in_order(map(_payload, found))}

    async def recall(self, tenant: str, collection: str, query: RecallQuery) -> list[Candidate]:
        async with self._collection(tenant, collection) as there:
            if query.dense is not None and len(query.dense) != there.memory.dimensions:
                raise mismatch(there.memory, "another model", len(query.dense))
            asked = searches(tenant, query, prefix=there.prefix)

            async def read() -> list[list[models.ScoredPoint]]:
                return await there.query([*asked.values()])

            answers = await self._current(there, tenant, read) if asked else []
        return union(dict(zip(asked, answers, strict=True)))

    async def _current(
        self,
        collection: RemoteCollection,
        tenant: str,
        read: Callable[[], Awaitable[list[list[P]]]],
    ) -> list[list[P]]:
        """What is of the live versions among the chunks that are read.

        The rows are read after the chunks. When what was found of a document is of an old
        version, its row may have switched in between, and then what is live was not looked for:
        read again, until the row is as it was the time before.
        """
        before: dict[str, str] = {}
        lists: list[list[P]] = []
        for _ in range(ROUNDS):
            lists = await read()
            live = await self._live(collection, tenant, {_document(p) for ps in lists for p in ps})
            stale = {_document(p) for ps in lists for p in ps if not _is_live(p, live)}
            lists = [[p for p in ps if _is_live(p, live)] for ps in lists]
            if all(before.get(each) == live.get(each) for each in stale):
                break
            before = live
        return lists

    async def _live(
        self, collection: RemoteCollection, tenant: str, documents: Set[str]
    ) -> dict[str, str]:
        """The live upload of each of the documents that has one."""
        name = collection.memory.name
        points = [records.row_id(tenant, name, each) for each in documents]
        found = await collection.get(points, ["document", "live"]) if points else []
        return {str(each["document"]): str(each["live"]) for each in found if each.get("live")}

    # --- The rest ---------------------------------------------------------------------------

    async def sweep(self) -> int:
        swept = 0
        async for collection in self._all():
            start: UUID | None = None
            while True:
                page, start = await collection.page(
                    every(match("kind", "chunk", "staged")),
                    start=start,
                    limit=SWEPT,
                    keys=["tenant", "document", "upload"],
                )
                swept += await self._sweep(collection, page)
                if start is None:
                    break
        return swept

    async def _sweep(self, collection: RemoteCollection, chunks: Sequence[Payload]) -> int:
        """Delete the uploads among these that no row is of, and that none calls live.

        The rows are read after the chunks. An upload that its row has left by then never comes
        back, so nothing that is deleted here can be needed by anybody.
        """
        name = collection.memory.name
        found = {tuple(str(each[key]) for key in _UPLOAD) for each in chunks}
        points = {records.row_id(tenant, name, document) for tenant, document, _ in found}
        used: set[tuple[str, ...]] = set()
        for each in await collection.get([*points], ["tenant", "document", "upload", "live"]):
            place = (str(each["tenant"]), str(each["document"]))
            used |= {(*place, str(each[key])) for key in ("upload", "live") if each.get(key)}
        for upload in found - used:
            where = [match(key, value) for key, value in zip(_UPLOAD, upload, strict=True)]
            kind = match("kind", "chunk", "staged")
            await collection.delete(every(*where, kind), Ordering.MEDIUM)
        return len(found - used)

    async def health(self) -> Health:
        return await self._connection.health()

    async def close(self) -> None:
        await self._connection.close()


def _tenant_id(tenant: str, collection: str) -> UUID:
    """Id of the point that says that a collection exists for a tenant."""
    return UUID(derived_uuid("tenant", tenant, collection))


def _row_id(tenant: str, document: Document) -> UUID:
    return records.row_id(tenant, document.collection, document.id)


def _document(point: Found) -> str:
    return str(_payload(point)["document"])


def _is_live(point: Found, live: Mapping[str, str]) -> bool:
    payload = _payload(point)
    return live.get(str(payload["document"])) == payload["upload"]


def _payload(point: Found) -> Payload:
    return point.payload or {}


def _contended(verb: str, tenant: str) -> ServiceError:
    return ServiceError(
        reason=f"a document of tenant '{tenant}' changed {ROUNDS} times while it tried to {verb} "
        "it; try again"
    )
