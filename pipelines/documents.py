"""What callers do to documents: upload, read, retry, delete. What workers do is in ingest.py.

An upload is accepted when its bytes, the file that says whose they are, and its ledger row are on
disk, in this order: whatever is cut off in between leaves no row without its bytes.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipelines import keys
from pipelines.ports import Blobs, Collection, EmbedderIdentity, IngestQueue, Store
from twofold.errors import Conflict, ContentNotReady, DocumentNotFound
from twofold.schema import (
    AcceptedDocument,
    Document,
    DocumentContent,
    Metadata,
    Passage,
    PassageList,
    Verdict,
)


@dataclass(frozen=True)
class Upload:
    """A file or a text as it arrived.

    Attributes:
        content: The bytes, or where they lie on this machine.
        media_type: As the caller claims it.
        id: As the caller gives it; None derives one from tenant, collection and name.
    """

    name: str
    content: bytes | Path
    size: int
    sha256: str
    media_type: str
    id: str | None = None
    metadata: Metadata = field(default_factory=dict)

    def identity(self, tenant: str, collection: str) -> str:
        """The id of the document that it makes or changes."""
        return self.id or keys.derived_uuid(tenant, collection, self.name)


@dataclass(frozen=True)
class Documents:
    """The ledger as a caller sees it."""

    store: Store
    blobs: Blobs
    queue: IngestQueue
    embedder: EmbedderIdentity
    _deciding: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def accept(
        self, tenant: str, collection: str, uploads: Sequence[Upload]
    ) -> list[AcceptedDocument]:
        """Take uploads in: durable when this returns, searchable when a worker is done.

        Raises:
            EmbedderMismatch: The collection was built with another model.
            StorageFull: None of the rows was written.
        """
        await self.store.ensure_collection(
            tenant, Collection(collection, self.embedder.name, self.embedder.dimensions)
        )
        # A verdict compares with the row that is there, so no other upload may come between.
        async with self._deciding:
            rows: dict[str, Document] = {}
            verdicts: dict[str, Verdict] = {}
            changed: dict[str, Document] = {}
            for upload in uploads:
                identity = upload.identity(tenant, collection)
                known = rows.get(identity) or await self._known(tenant, collection, identity)
                row, verdict = decide(upload, known, collection=collection, document_id=identity)
                if row is not known:
                    row.duplicate_of = await self._duplicate_of(tenant, row, among=changed)
                    await self._keep(tenant, row, upload.content)
                    changed[identity] = row
                rows[identity], verdicts[identity] = row, verdict
            await self.store.put_documents(tenant, list(changed.values()))
        await self.queue.submit(tenant, list(changed.values()))
        return [AcceptedDocument(**dict(row), verdict=verdicts[row.id]) for row in rows.values()]

    async def retry(self, tenant: str, collection: str, document_id: str) -> Document:
        """Queue a failed document again, with all its attempts.

        Raises:
            Conflict: It has not failed.
        """
        async with self._deciding:
            document = await self.store.get_document(tenant, collection, document_id)
            if document.status != "failed":
                raise Conflict(
                    reason=f"document '{document_id}' is '{document.status}', and only a failed "
                    "one can be retried; upload it again to change it"
                )
            document = requeued(document)
            await self.store.put_documents(tenant, [document])
        await self.queue.submit(tenant, [document])
        return document

    async def delete(self, tenant: str, collection: str, document_id: str) -> Document:
        """Remove a document: gone from search at once, its files right after."""
        async with self._deciding:
            document = await self.store.delete_document(tenant, collection, document_id)
            async for key in self.blobs.keys(keys.folder(tenant, collection, document_id)):
                await self.blobs.delete(key)
        return document

    async def content(self, tenant: str, collection: str, document_id: str) -> DocumentContent:
        """The extracted text of the live version, which every offset counts in."""
        document, version = await self._live(tenant, collection, document_id)
        text = await self.blobs.get(keys.text(tenant, collection, document_id, version))
        return DocumentContent(
            id=document.id, collection=collection, version=version, text=text.decode()
        )

    async def passages(self, tenant: str, collection: str, document_id: str) -> PassageList:
        """The chunks of the live version, in reading order."""
        document, version = await self._live(tenant, collection, document_id)
        chunks = [
            Passage(
                chunk_id=chunk.id,
                ordinal=chunk.ordinal,
                text=chunk.text,
                start=chunk.start,
                end=chunk.end,
                page=chunk.page,
                headings=list(chunk.headings),
            )
            for chunk in await self.store.get_chunks(tenant, collection, document_id)
        ]
        return PassageList(id=document.id, collection=collection, version=version, chunks=chunks)

    async def _live(self, tenant: str, collection: str, document_id: str) -> tuple[Document, int]:
        document = await self.store.get_document(tenant, collection, document_id)
        if document.live_version is None:
            raise ContentNotReady(document_id=document_id, status=document.status)
        return document, document.live_version

    async def _known(self, tenant: str, collection: str, document_id: str) -> Document | None:
        try:
            return await self.store.get_document(tenant, collection, document_id)
        except DocumentNotFound:
            return None

    async def _duplicate_of(
        self, tenant: str, row: Document, *, among: Mapping[str, Document]
    ) -> str | None:
        """Another document with the same bytes, stored or of the same upload."""
        stored = await self.store.find_by_sha256(tenant, row.collection, row.sha256)
        others = (
            other.id
            for other in (*stored, *among.values())
            if other.sha256 == row.sha256 and other.id != row.id
        )
        return next(others, None)

    async def _keep(self, tenant: str, row: Document, content: bytes | Path) -> None:
        where = (tenant, row.collection, row.id)
        await self.blobs.put(keys.original(*where, row.version), content)
        about = row.model_dump(
            mode="json", include={"id", "collection", "name", "media_type", "metadata", "sha256"}
        )
        await self.blobs.put(
            keys.identity(*where), json.dumps({"tenant": tenant, **about}).encode()
        )


def decide(
    upload: Upload, known: Document | None, *, collection: str, document_id: str
) -> tuple[Document, Verdict]:
    """What an upload makes of the row that is there: the row to be (itself, if nothing changes).

    The same bytes under the same name and metadata change nothing; if they failed before, they
    are tried again.
    """
    if known is not None and same_upload(upload, known):
        return (requeued(known) if known.status == "failed" else known), "unchanged"
    now = datetime.now(UTC)
    row = Document(
        id=document_id,
        collection=collection,
        name=upload.name,
        media_type=upload.media_type,
        size=upload.size,
        sha256=upload.sha256,
        metadata=upload.metadata,
        version=known.version + 1 if known else 1,
        live_version=known.live_version if known else None,
        chunks=known.chunks if known else 0,
        title=known.title if known else None,
        created_at=known.created_at if known else now,
        updated_at=now,
    )
    return row, "updated" if known else "created"


def same_upload(upload: Upload, known: Document) -> bool:
    """Whether an upload says nothing that the ledger does not know."""
    return (upload.sha256, upload.name, upload.metadata) == (
        known.sha256,
        known.name,
        known.metadata,
    )


def requeued(document: Document) -> Document:
    """A failed row, ready for another round of attempts."""
    return document.model_copy(
        update={
            "status": "queued",
            "progress": 0.0,
            "attempts": 0,
            "error": None,
            "updated_at": datetime.now(UTC),
        }
    )
