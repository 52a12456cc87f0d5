"""The embedded store: the Qdrant engine inside the process (qdrant-edge-py).

The engine holds the GIL in every call, so handing its calls to another thread would free nobody:
the `async` methods make them inline. They take 0.1 to 5 ms. What they write is durable when the
engine's log is synced, see `wal`: a thread does that, once for all who wait for it, see `commits`.
`optimize`, which takes minutes, runs in a child process before a shard is opened, see `hnsw`.

One lock makes what takes several operations look like one to every thread of the process. Here is
the lock, and which generation an address means; what is done in it is in `edge_space`.
"""

import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

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
from pipelines.store import records
from pipelines.store.catalogue import Entry, place_of
from pipelines.store.commits import Commits
from pipelines.store.conditions import (
    Clause,
    every,
    match,
    within,
)
from pipelines.store.durable import require_space
from pipelines.store.edge_catalogue import EdgeCatalogue, Place
from pipelines.store.edge_space import EdgeSpace, resume
from pipelines.store.lock import FolderLock
from pipelines.store.records import Payload
from pipelines.store.rules import (
    UNFINISHED,
    check_name,
    in_order,
    oldest_first,
)
from pipelines.store.shard import Shard
from twofold.errors import CollectionNotFound, DocumentNotFound
from twofold.schema import Document, DocumentStatus

log = logging.getLogger(__name__)

LARGE = 200_000  # chunks that an exact scan still goes through in a few hundredths of a second
BATCH = 256  # points between two looks at the free space


class EdgeStore:
    """`ports.Store` in a folder of this machine, for one process at a time."""

    def __init__(
        self, folder: Path, lock: FolderLock, catalogue: EdgeCatalogue, *, reserve_bytes: int
    ) -> None:
        self._folder = folder
        self._folder_lock = lock
        self._catalogue = catalogue
        self._reserve_bytes = reserve_bytes
        self._lock = threading.RLock()
        self._commits = Commits(self._lock)
        self._warned: set[Shard] = set()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        index_above: int = 20_000,
        index_deadline_s: float | None = None,
        reserve_bytes: int = 256 * 2**20,
    ) -> Self:
        """Take the folder, open its collections, finish what a crash has interrupted.

        Args:
            folder: Made if it is not there.
            index_above: Unindexed vectors of a collection from which on it is indexed first.
            index_deadline_s: Longest time for that; None: ample for the number of vectors.
            reserve_bytes: Free space below which writes are refused; deleting and publishing
                make do with a quarter. The engine maps its files, so that running out is fatal.

        Raises:
            DataFolderInUse: Another process has it open.
            DataFolderUnwritable: It cannot be made or written.
        """
        lock = FolderLock.take(folder)
        try:
            catalogue = EdgeCatalogue.open(
                folder, index_above=index_above, index_deadline_s=index_deadline_s
            )
            store = cls(folder, lock, catalogue, reserve_bytes=reserve_bytes)
            for shard in catalogue.homes():
                resume(shard)
                store._warn_if_large(shard)
        except BaseException:
            lock.release()
            raise
        return store

    # --- Collections ------------------------------------------------------------------------

    async def ensure_collection(self, tenant: str, collection: Collection) -> Collection:
        with self._lock:
            if not self._catalogue.entry(tenant, collection.name).exists:
                return await self.create_collection(tenant, collection)
            return await self.get_collection(tenant, collection.name)

    async def create_collection(self, tenant: str, collection: Collection) -> Collection:
        check_name(collection.name)
        with self._lock:
            entry = self._settled(tenant, collection.name)
            entry.new()
            entry = self._reserved(entry, collection)
            entry = self._catalogue.keep(tenant, entry.created(entry.last))
        return entry.live.collection

    async def get_collection(self, tenant: str, collection: str) -> Collection:
        with self._lock:
            return self._at(tenant, collection).collection

    async def list_collections(self, tenant: str) -> list[Collection]:
        with self._lock:
            entries = self._catalogue.entries()
        return [entry.live.collection for whose, entry in entries if whose == tenant]

    async def instruct_collection(
        self,
        tenant: str,
        name: str,
        *,
        query_instruction: str | None,
        rerank_instruction: str | None,
    ) -> Collection:
        with self._lock:
            entry = self._catalogue.entry(tenant, name)
            entry = entry.instructed(query_instruction, rerank_instruction)
            return self._catalogue.keep(tenant, entry).live.collection

    async def delete_collection(self, tenant: str, name: str) -> None:
        with self._lock:
            self._catalogue.keep(tenant, self._catalogue.entry(tenant, name).emptied())
            self._settled(tenant, name)

    # --- Generations ------------------------------------------------------------------------

    async def begin_generation(self, tenant: str, collection: Collection) -> Collection:
        with self._lock:
            entry = self._settled(tenant, collection.name)
            building = entry.building(collection)
            if building is None:
                entry = self._reserved(entry, collection)
                entry = self._catalogue.keep(tenant, entry.begun(entry.last))
                building = entry.numbered(entry.last)
        return building.collection

    async def generations(self, tenant: str, name: str) -> list[Generation]:
        with self._lock:
            return self._catalogue.entry(tenant, name).shown

    async def unsettled(self) -> AsyncIterator[tuple[str, Generation]]:
        with self._lock:
            entries = self._catalogue.entries()
        for tenant, entry in entries:
            for generation in entry.shown:
                if generation.state != "live":
                    yield tenant, generation

    async def note_generation(self, tenant: str, collection: str, note: str | None) -> None:
        with self._lock:
            entry = self._catalogue.entry(tenant, plain_name(collection))
            self._catalogue.keep(tenant, entry.noted(collection, note))

    async def switch_generation(self, tenant: str, name: str, generation: int) -> Collection:
        with self._lock:
            entry = self._catalogue.entry(tenant, name).switched(generation)
            return self._catalogue.keep(tenant, entry).live.collection

    async def drop_generation(self, tenant: str, name: str, generation: int) -> None:
        with self._lock:
            self._catalogue.keep(tenant, self._catalogue.entry(tenant, name).dropped(generation))
            self._settled(tenant, name)

    def _settled(self, tenant: str, name: str) -> Entry:
        """What is written down of a collection, once nothing of it waits to be removed."""
        self._catalogue.finish(tenant, name)
        return self._catalogue.entry(tenant, name)

    def _reserved(self, entry: Entry, collection: Collection) -> Entry:
        """With a place for a further generation."""
        self._require_space(self._reserve_bytes)
        return entry.reserved(collection, self._catalogue.find_home(entry, collection))

    def _at(self, tenant: str, address: str) -> EdgeSpace:
        return _space(self._catalogue.at(tenant, address), address)

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

        def put(flushed: set[Shard]) -> set[str]:
            at = self._at(tenant, address)
            self._require_space(self._reserve_bytes)
            flushed.add(at.shard)
            return at.put_documents(documents, known)

        return await self._commits(put)

    async def touch_document(self, tenant: str, document: Document) -> bool:
        with self._lock, suppress(CollectionNotFound):
            self._require_space(self._reserve_bytes // 4)
            return self._at(tenant, document.collection).touch_document(document)
        return False

    async def get_document(self, tenant: str, collection: str, document_id: str) -> Document:
        with self._lock:
            return self._at(tenant, collection).get_document(document_id)

    async def find_by_sha256(self, tenant: str, collection: str, sha256: str) -> list[Document]:
        with self._lock:
            return self._at(tenant, collection).find_by_sha256(sha256)

    async def list_documents(
        self,
        tenant: str,
        collection: str,
        *,
        status: Sequence[DocumentStatus] = (),
        cursor: str | None = None,
        limit: int = 100,
    ) -> DocumentPage:
        with self._lock:
            return self._at(tenant, collection).list_documents(status, cursor, limit)

    async def count_documents(self, tenant: str, collection: str) -> dict[DocumentStatus, int]:
        with self._lock:
            return self._at(tenant, collection).count_documents()

    async def count_passages(self, tenant: str, collection: str) -> int:
        with self._lock:
            return self._at(tenant, collection).count_passages()

    async def unfinished(self) -> AsyncIterator[tuple[str, Document]]:
        where = every(match("kind", "document"), match("status", *UNFINISHED))
        for shard in self._catalogue.homes():

            async def page(since: float | None, limit: int, shard: Shard = shard) -> list[Payload]:
                with self._lock:
                    return shard.oldest(where, since=since, limit=limit) if shard.is_open else []

            async for payload in oldest_first(page):
                tenant, address = place_of(str(payload["space"]))
                yield tenant, records.row_of(payload, address)

    async def delete_document(self, tenant: str, collection: str, document_id: str) -> Document:
        def delete(flushed: set[Shard]) -> Document | None:
            *others, asked = self._catalogue.places(tenant, collection)
            self._require_space(self._reserve_bytes // 4)
            gone: Document | None = None
            for place in [*others, asked]:
                at = _space(place, collection)
                if (row := at.find(document_id)) is None and place is asked:
                    break
                at.delete_document(document_id)
                flushed.add(at.shard)
                gone = row if place is asked or place.kept.state == "former" else gone
            return gone

        row = await self._commits(delete)
        if row is None:
            raise DocumentNotFound(document_id=document_id, collection=plain_name(collection))
        return row

    # --- Chunks -----------------------------------------------------------------------------

    async def vectors_by_sha256(
        self, tenant: str, collection: str, document_id: str
    ) -> dict[str, Vectors]:
        with self._lock:
            return self._at(tenant, collection).vectors_by_sha256(document_id)

    async def stage_chunks(
        self, tenant: str, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        for start in range(0, len(chunks), BATCH):
            part = slice(start, start + BATCH)
            # The lock is taken anew for each batch, so that searches come in between.
            with self._lock, suppress(CollectionNotFound):
                self._require_space(self._reserve_bytes)
                at = self._at(tenant, document.collection)
                at.stage_chunks(document, chunks[part], vectors[part])

    async def publish(self, tenant: str, document: Document) -> bool:
        def publish(flushed: set[Shard]) -> bool:
            at = self._at(tenant, document.collection)
            self._require_space(self._reserve_bytes // 4)
            flushed.add(at.shard)
            published = at.publish(document)
            self._warn_if_large(at.shard)
            return published

        with suppress(CollectionNotFound):
            return await self._commits(publish)
        return False

    async def get_chunks(self, tenant: str, collection: str, document_id: str) -> list[Chunk]:
        return in_order(self._visible(tenant, collection, match("document", document_id)))

    async def chunks_by_id(
        self, tenant: str, collection: str, ids: Sequence[str]
    ) -> dict[str, Chunk]:
        found = map(records.chunk_of, self._visible(tenant, collection, match("chunk", *ids)))
        return {chunk.id: chunk for chunk in found}

    async def chunks_between(
        self, tenant: str, collection: str, document_id: str, first: int, last: int
    ) -> list[Chunk]:
        where = every(match("document", document_id), within("ordinal", first, last))
        return in_order(self._visible(tenant, collection, where))

    def _visible(self, tenant: str, collection: str, where: Clause) -> list[Payload]:
        with self._lock:
            return self._at(tenant, collection).visible(where)

    async def recall(self, tenant: str, collection: str, query: RecallQuery) -> list[Candidate]:
        with self._lock:
            return self._at(tenant, collection).recall(query)

    # --- The rest ---------------------------------------------------------------------------

    async def sweep(self) -> int:
        return 0  # a crash leaves nothing behind: `open` finishes what it has interrupted

    async def health(self) -> Health:
        return Health("ok")

    async def close(self) -> None:
        self._commits.close()
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        self._catalogue.close()
        self._folder_lock.release()

    def _require_space(self, size: int) -> None:
        require_space(self._folder, size)

    def _warn_if_large(self, shard: Shard) -> None:
        if shard.size > LARGE and shard not in self._warned:
            self._warned.add(shard)
            log.warning(
                "Collection '%s' has more than %d chunks; a Qdrant server (TWOFOLD_QDRANT_URL) "
                "is the better home for it: there it is searched by an index at all times.",
                plain_name(shard.name),
                LARGE,
            )


def _space(place: Place, address: str) -> EdgeSpace:
    return EdgeSpace(place.shard, place.space, place.kept.collection, address)
