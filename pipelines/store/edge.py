"""The embedded store: the Qdrant engine inside the process (qdrant-edge-py).

The engine holds the GIL in every call, so handing its calls to another thread would free nobody:
the `async` methods make them inline. They take 0.1 to 5 ms. What they write is durable when the
engine's log is synced, once per upload and once per published document, see `wal`. `optimize`,
which takes minutes, runs in a child process before a shard is opened, see `hnsw`.

One lock makes what takes several operations look like one to every thread of the process. What
`publish` does in several operations is one after a crash as well: the row is marked first, and
`open` carries on with every row that still has its mark.
"""

import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Self, cast

from pipelines.ports import (
    Candidate,
    Chunk,
    Collection,
    DocumentPage,
    Health,
    RecallQuery,
    Vectors,
)
from pipelines.store import hnsw, records
from pipelines.store.conditions import (
    below,
    chunks_of,
    every,
    match,
    none,
    rows,
    visible,
    within,
)
from pipelines.store.durable import require_space
from pipelines.store.lock import FolderLock
from pipelines.store.recall import searches, union
from pipelines.store.records import Payload
from pipelines.store.rules import (
    UNFINISHED,
    check_name,
    in_order,
    is_done,
    live_now,
    mismatch,
    oldest_first,
    parse_cursor,
    refused_of,
    same_upload,
    with_live,
)
from pipelines.store.shard import Shard
from twofold.errors import CollectionNotFound, DocumentNotFound
from twofold.schema import Document, DocumentStatus

log = logging.getLogger(__name__)

PUBLISHING = "publishing"
LARGE = 200_000  # chunks that an exact scan still goes through in a few hundredths of a second
BATCH = 256  # points between two looks at the free space


class EdgeStore:
    """`ports.Store` in a folder of this machine, for one process at a time."""

    def __init__(self, folder: Path, lock: FolderLock, *, reserve_bytes: int) -> None:
        self._folder = folder
        self._folder_lock = lock
        self._reserve_bytes = reserve_bytes
        self._shards: dict[str, Shard] = {}
        self._lock = threading.RLock()
        self._warned: set[str] = set()

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
        store = cls(folder, FolderLock.take(folder), reserve_bytes=reserve_bytes)
        try:
            for path in sorted((folder / "collections").glob("*/")):
                if Shard.exists(path):
                    store._load(path, index_above, index_deadline_s)
        except BaseException:
            store._let_go()
            raise
        return store

    def _load(self, path: Path, index_above: int, index_deadline_s: float | None) -> None:
        shard = hnsw.load_indexed(path, above=index_above, deadline_s=index_deadline_s)
        self._shards[path.name] = shard
        self._resume(shard)
        self._warn_if_large(shard)

    # --- Collections ------------------------------------------------------------------------

    async def ensure_collection(self, tenant: str, collection: Collection) -> None:
        with self._lock:
            shard = self._shards.get(collection.name)
            if shard is None:
                check_name(collection.name)
                self._require_space(self._reserve_bytes)
                shard = Shard.create(self._folder / "collections" / collection.name, collection)
                shard.admit(tenant)
                self._shards[collection.name] = shard
            if shard.collection != collection:
                raise mismatch(shard.collection, collection.embedder, collection.dimensions)
            if tenant not in shard.tenants:
                shard.admit(tenant)

    async def get_collection(self, tenant: str, name: str) -> Collection:
        with self._lock:
            return self._shard(tenant, name).collection

    async def list_collections(self, tenant: str) -> list[Collection]:
        with self._lock:
            return [
                shard.collection
                for _, shard in sorted(self._shards.items())
                if tenant in shard.tenants and shard.count(rows(tenant))
            ]

    def _shard(self, tenant: str, name: str) -> Shard:
        shard = self._shards.get(name)
        if shard is None or tenant not in shard.tenants:
            raise CollectionNotFound(collection=name)
        return shard

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
        [collection] = {document.collection for document in documents}
        with self._lock:
            shard = self._shard(tenant, collection)
            self._require_space(self._reserve_bytes)
            stored = {each.id: self._row(shard, tenant, each.id) for each in documents}
            refused = refused_of(stored, known)
            shard.upsert(
                [
                    records.row_point(tenant, with_live(document, stored[document.id]))
                    for document in documents
                    if document.id not in refused
                ]
            )
            shard.sync()
        return refused

    async def touch_document(self, tenant: str, document: Document) -> bool:
        with self._lock:
            shard = self._shard(tenant, document.collection)
            stored = self._row(shard, tenant, document.id)
            if not same_upload(stored, document) or is_done(stored):
                return False
            self._require_space(self._reserve_bytes // 4)
            shard.upsert([records.row_point(tenant, with_live(document, stored))])
            return True

    async def get_document(self, tenant: str, collection: str, document_id: str) -> Document:
        with self._lock:
            row = self._row(self._shard(tenant, collection), tenant, document_id)
        if row is None:
            raise DocumentNotFound(document_id=document_id, collection=collection)
        return row

    async def find_by_sha256(self, tenant: str, collection: str, sha256: str) -> list[Document]:
        with self._lock:
            shard = self._shard(tenant, collection)
            found = [
                records.row_of(payload)
                for payload in shard.payloads(every(rows(tenant), match("sha256", sha256)))
            ]
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
        with self._lock:
            page, following = self._shard(tenant, collection).page(where, start=start, limit=limit)
        documents = [records.row_of(payload) for payload in page]
        return DocumentPage(documents, following.hex if following else None)

    async def count_documents(self, tenant: str, collection: str) -> dict[DocumentStatus, int]:
        with self._lock:
            counts = self._shard(tenant, collection).count_by("status", rows(tenant))
        return cast("dict[DocumentStatus, int]", counts)

    async def unfinished(self) -> AsyncIterator[tuple[str, Document]]:
        where = every(match("kind", "document"), match("status", *UNFINISHED))
        for shard in list(self._shards.values()):

            async def page(since: float | None, limit: int, shard: Shard = shard) -> list[Payload]:
                with self._lock:
                    return shard.oldest(where, since=since, limit=limit)

            async for payload in oldest_first(page):
                yield str(payload["tenant"]), records.row_of(payload)

    async def delete_document(self, tenant: str, collection: str, document_id: str) -> Document:
        with self._lock:
            row = await self.get_document(tenant, collection, document_id)
            self._require_space(self._reserve_bytes // 4)
            shard = self._shard(tenant, collection)
            shard.delete(every(match("tenant", tenant), match("document", document_id)))
            shard.sync()
        return row

    def _row(self, shard: Shard, tenant: str, document_id: str) -> Document | None:
        payload = shard.get(records.row_id(tenant, shard.collection.name, document_id))
        return records.row_of(payload) if payload and payload["tenant"] == tenant else None

    # --- Chunks -----------------------------------------------------------------------------

    async def vectors_by_sha256(
        self, tenant: str, collection: str, document_id: str
    ) -> dict[str, Vectors]:
        with self._lock:
            shard = self._shard(tenant, collection)
            where = chunks_of(tenant, document_id)
            return dict(
                records.vectors_of(record.payload or {}, record.vector)
                for record in shard.records(where, vectors=True)
            )

    async def stage_chunks(
        self, tenant: str, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        points = [
            records.chunk_point(tenant, document, *pair)
            for pair in zip(chunks, vectors, strict=True)
        ]
        for start in range(0, len(points), BATCH):
            # The lock is taken anew for each batch, so that searches come in between.
            with self._lock:
                shard = self._shard(tenant, document.collection)
                if not same_upload(self._row(shard, tenant, document.id), document):
                    return
                self._require_space(self._reserve_bytes)
                shard.upsert(points[start : start + BATCH], over=every(match("kind", "staged")))

    async def publish(self, tenant: str, document: Document) -> bool:
        document = live_now(document)
        with self._lock:
            shard = self._shard(tenant, document.collection)
            self._require_space(self._reserve_bytes // 4)
            stored = self._row(shard, tenant, document.id)
            current = same_upload(stored, document)
            if current and not is_done(stored):
                shard.upsert([records.row_point(tenant, document, PUBLISHING)])
                self._switch(shard, tenant, document)
            elif not current:
                mine = match("upload", records.upload_of(document))
                shard.delete(every(chunks_of(tenant, document.id), mine, match("kind", "staged")))
            shard.sync()
            self._warn_if_large(shard)
        return current

    def _switch(self, shard: Shard, tenant: str, document: Document) -> None:
        """Make the chunks of a marked row the visible ones; repeated, it changes nothing more.

        What goes goes first, so that whatever happens in between no search sees two versions.
        """
        chunks = chunks_of(tenant, document.id)
        upload = match("upload", records.upload_of(document))
        shard.delete(every(chunks, none(every(upload, below("ordinal", document.chunks)))))
        shard.set_payload(chunks, {"kind": "chunk"})
        shard.upsert([records.row_point(tenant, document)])

    def _resume(self, shard: Shard) -> None:
        """Carry on with what was being published when the process ended."""
        marked = every(match("kind", "document"), match("facts", PUBLISHING))
        for payload in list(shard.payloads(marked)):
            self._switch(shard, str(payload["tenant"]), records.row_of(payload))
        shard.sync()

    async def get_chunks(self, tenant: str, collection: str, document_id: str) -> list[Chunk]:
        where = every(visible(tenant), match("document", document_id))
        with self._lock:
            payloads = list(self._shard(tenant, collection).payloads(where))
        return in_order(payloads)

    async def chunks_by_id(
        self, tenant: str, collection: str, ids: Sequence[str]
    ) -> dict[str, Chunk]:
        where = every(visible(tenant), match("chunk", *ids))
        with self._lock:
            payloads = list(self._shard(tenant, collection).payloads(where))
        return {chunk.id: chunk for chunk in map(records.chunk_of, payloads)}

    async def chunks_between(
        self, tenant: str, collection: str, document_id: str, first: int, last: int
    ) -> list[Chunk]:
        where = every(
            visible(tenant), match("document", document_id), within("ordinal", first, last)
        )
        with self._lock:
            payloads = list(self._shard(tenant, collection).payloads(where))
        return in_order(payloads)

    async def recall(self, tenant: str, collection: str, query: RecallQuery) -> list[Candidate]:
        with self._lock:
            shard = self._shard(tenant, collection)
            if query.dense is not None and len(query.dense) != shard.collection.dimensions:
                raise mismatch(shard.collection, "another model", len(query.dense))
            requests = searches(tenant, query)
            answers = shard.query(list(requests.values())) if requests else []
        return union(dict(zip(requests, answers, strict=True)))

    # --- The rest ---------------------------------------------------------------------------

    async def sweep(self) -> int:
        return 0  # a crash leaves nothing behind: `open` finishes what it has interrupted

    async def health(self) -> Health:
        return Health("ok")

    async def close(self) -> None:
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        while self._shards:
            self._shards.popitem()[1].close()
        self._folder_lock.release()

    def _require_space(self, size: int) -> None:
        require_space(self._folder, size)

    def _warn_if_large(self, shard: Shard) -> None:
        name = shard.collection.name
        if shard.size > LARGE and name not in self._warned:
            self._warned.add(name)
            log.warning(
                "Collection '%s' has more than %d chunks; a Qdrant server (TWOFOLD_QDRANT_URL) "
                "is the better home for it: there it is searched by an index at all times.",
                name,
                LARGE,
            )
