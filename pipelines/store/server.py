# ruff: noqa: ARG002
"""The store of the distributed mode: a Qdrant server or cluster, used by any number of processes.

What one generation of a collection does is in `server_space`; here are the collections.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from pipelines.keys import derived_uuid
from pipelines.ports import (
    Candidate,
    Chunk,
    Collection,
    DocumentPage,
    Generation,
    Health,
    RecallQuery,
    Vectors,
    plain_name,
)
from pipelines.store import records, remote
from pipelines.store.catalogue import place_of, space_of
from pipelines.store.conditions import every, match
from pipelines.store.connection import Connection, NoSuchCollection, Server
from pipelines.store.records import Payload
from pipelines.store.remote import Layout, Ordering, RemoteCollection
from pipelines.store.rules import UNFINISHED, check_name, oldest_first
from pipelines.store.server_space import RemoteSpace
from twofold.errors import CollectionNotFound, NotServed
from twofold.schema import Document, DocumentStatus

T = TypeVar("T")

SWEPT = 1_000  # chunks that a sweep looks at in one call

_UPLOAD = ("space", "document", "upload")  # keys that tell an upload from all others


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

    async def ensure_collection(self, tenant: str, collection: Collection) -> Collection:
        check_name(collection.name)
        try:
            there = await self._opened(collection.name)
        except NoSuchCollection:
            alias = self._prefix + collection.name
            await remote.create(self._connection, alias, collection, self._layout)
            there = await self._opened(collection.name)
        if not await self._is_admitted(there, tenant):
            admitted: Payload = {"space": tenant, "kind": "tenant"}
            point = records.Point(_tenant_id(tenant, collection.name), admitted)
            await there.put([point], [])
        return there.memory

    async def get_collection(self, tenant: str, collection: str) -> Collection:
        async def remembered(space: RemoteSpace) -> Collection:
            return space.collection

        return await self._at(tenant, collection, remembered)

    async def list_collections(self, tenant: str) -> list[Collection]:
        return [
            collection.memory
            async for collection in self._all()
            if await self._is_admitted(collection, tenant)
        ]

    async def create_collection(self, tenant: str, collection: Collection) -> Collection:
        raise _not_yet("collections that are created before the first upload")

    async def instruct_collection(
        self,
        tenant: str,
        name: str,
        *,
        query_instruction: str | None,
        rerank_instruction: str | None,
    ) -> Collection:
        raise _not_yet("instructions of collections")

    async def delete_collection(self, tenant: str, name: str) -> None:
        raise _not_yet("the deletion of collections")

    async def begin_generation(self, tenant: str, collection: Collection) -> Collection:
        raise _not_yet("the rebuilding of collections")

    async def generations(self, tenant: str, name: str) -> list[Generation]:
        return [Generation(await self.get_collection(tenant, name), "live")]

    async def unsettled(self) -> AsyncIterator[tuple[str, Generation]]:
        settled: list[tuple[str, Generation]] = []
        for each in settled:
            yield each

    async def note_generation(self, tenant: str, collection: str, note: str | None) -> None:
        raise _not_yet("the rebuilding of collections")

    async def switch_generation(self, tenant: str, name: str, generation: int) -> Collection:
        raise _not_yet("the rebuilding of collections")

    async def drop_generation(self, tenant: str, name: str, generation: int) -> None:
        raise _not_yet("the rebuilding of collections")

    async def _at(
        self, tenant: str, address: str, work: Callable[[RemoteSpace], Awaitable[T]]
    ) -> T:
        """Do something in a collection that exists for the tenant; it may go meanwhile."""
        name = plain_name(address)
        try:
            home = await self._opened(name)
            if not await self._is_admitted(home, tenant):
                raise CollectionNotFound(collection=name)
            space = space_of(tenant, home.memory)
            return await work(RemoteSpace(home, space, home.memory, address))
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
        if not documents:
            return set()
        [address] = {document.collection for document in documents}
        return await self._at(tenant, address, lambda at: at.put_documents(documents, known))

    async def touch_document(self, tenant: str, document: Document) -> bool:
        return await self._at(tenant, document.collection, lambda at: at.touch_document(document))

    async def get_document(self, tenant: str, collection: str, document_id: str) -> Document:
        return await self._at(tenant, collection, lambda at: at.get_document(document_id))

    async def find_by_sha256(self, tenant: str, collection: str, sha256: str) -> list[Document]:
        return await self._at(tenant, collection, lambda at: at.find_by_sha256(sha256))

    async def list_documents(
        self,
        tenant: str,
        collection: str,
        *,
        status: Sequence[DocumentStatus] = (),
        cursor: str | None = None,
        limit: int = 100,
    ) -> DocumentPage:
        return await self._at(
            tenant, collection, lambda at: at.list_documents(status, cursor, limit)
        )

    async def count_documents(self, tenant: str, collection: str) -> dict[DocumentStatus, int]:
        return await self._at(tenant, collection, lambda at: at.count_documents())

    async def unfinished(self) -> AsyncIterator[tuple[str, Document]]:
        where = every(match("kind", "document"), match("status", *UNFINISHED))
        async for home in self._all():

            async def page(
                since: float | None, limit: int, home: RemoteCollection = home
            ) -> list[Payload]:
                return await home.oldest(where, since=since, limit=limit)

            async for payload in oldest_first(page):
                tenant, address = place_of(str(payload["space"]))
                yield tenant, records.row_of(payload, address)

    async def delete_document(self, tenant: str, collection: str, document_id: str) -> Document:
        return await self._at(tenant, collection, lambda at: at.delete_document(document_id))

    # --- Chunks -----------------------------------------------------------------------------

    async def vectors_by_sha256(
        self, tenant: str, collection: str, document_id: str
    ) -> dict[str, Vectors]:
        return await self._at(tenant, collection, lambda at: at.vectors_by_sha256(document_id))

    async def stage_chunks(
        self, tenant: str, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        await self._at(
            tenant, document.collection, lambda at: at.stage_chunks(document, chunks, vectors)
        )

    async def publish(self, tenant: str, document: Document) -> bool:
        return await self._at(tenant, document.collection, lambda at: at.publish(document))

    async def get_chunks(self, tenant: str, collection: str, document_id: str) -> list[Chunk]:
        return await self._at(tenant, collection, lambda at: at.get_chunks(document_id))

    async def chunks_by_id(
        self, tenant: str, collection: str, ids: Sequence[str]
    ) -> dict[str, Chunk]:
        return await self._at(tenant, collection, lambda at: at.chunks_by_id(ids))

    async def chunks_between(
        self, tenant: str, collection: str, document_id: str, first: int, last: int
    ) -> list[Chunk]:
        return await self._at(
            tenant, collection, lambda at: at.chunks_between(document_id, first, last)
        )

    async def recall(self, tenant: str, collection: str, query: RecallQuery) -> list[Candidate]:
        return await self._at(tenant, collection, lambda at: at.recall(query))

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
                    keys=_UPLOAD,
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
        found = {tuple(str(each[key]) for key in _UPLOAD) for each in chunks}
        points = {records.row_id(space, document) for space, document, _ in found}
        used: set[tuple[str, ...]] = set()
        for each in await collection.get([*points], ["space", "document", "upload", "live"]):
            place = (str(each["space"]), str(each["document"]))
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


def _not_yet(feature: str) -> NotServed:
    return NotServed(reason=f"the distributed mode does not have {feature} yet")
