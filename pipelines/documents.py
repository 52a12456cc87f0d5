"""What callers do to documents: upload, read, retry, delete. What workers do is in ingest.py.

An upload is accepted when its bytes and the file that says whose they are, and then its ledger row
are on disk, in this order: whatever is cut off in between leaves no row without its bytes.

Other processes accept uploads at the same time, also of the same document. Nothing is locked: a
decision names the row that it came from, the store refuses it when that row has changed, and then
it is made again from the row that is there now.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipelines import keys
from pipelines.answer import passage_of
from pipelines.founding import Founder
from pipelines.gathering import each_of
from pipelines.newest import Rows, newest_row, rows_of
from pipelines.ports import Blobs, IngestQueue, Store
from twofold.errors import CollectionNotFound, Conflict, ContentNotReady
from twofold.schema import (
    AcceptedDocument,
    Document,
    DocumentContent,
    Metadata,
    PassageList,
    Verdict,
)

ROUNDS = 20  # times that a decision is made before the others who change the row are too many
ROUND_S = 0.02  # longest wait before the second one; doubles up to sixteen times that


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
    """The ledger as a caller sees it.

    Attributes:
        founder: Of the collections that a first upload makes.
    """

    store: Store
    blobs: Blobs
    queue: IngestQueue
    founder: Founder

    async def accept(
        self, tenant: str, collection: str, uploads: Sequence[Upload]
    ) -> list[AcceptedDocument]:
        """Take uploads in: durable when this returns, searchable when a worker is done.

        Raises:
            Conflict: Others keep changing one of the documents.
            EmbedderMismatch: The collection was built with a model that this server lacks.
            StorageFull: None of the rows was written.
        """
        await self._open(tenant, collection)
        pending = [(upload.identity(tenant, collection), upload) for upload in uploads]
        decisions: dict[str, Decision] = {}
        async for _ in turns():
            fresh = await self._decide(tenant, collection, pending)
            await self._discard(tenant, decisions, fresh)
            decisions |= fresh
            refused = await self._write(tenant, [each for each in fresh.values() if each.changed])
            pending = [(identity, upload) for identity, upload in pending if identity in refused]
            if not pending:
                break
        changed = [each.row for each in decisions.values() if each.changed]
        await self.queue.submit(tenant, changed)
        return [
            AcceptedDocument(**dict(each.row), verdict=each.verdict) for each in decisions.values()
        ]

    async def find(self, tenant: str, collection: str, document_id: str) -> Document:
        """The row of a document. Raises CollectionNotFound, DocumentNotFound."""
        return await newest_row(self.store, tenant, collection, document_id)

    async def unchanged(
        self, tenant: str, collection: str, uploads: Sequence[Upload]
    ) -> list[AcceptedDocument]:
        """The documents that these uploads, whose bytes are not looked at, would not change."""
        try:
            stored = await each_of(
                {upload.identity(tenant, collection) for upload in uploads},
                lambda identity: rows_of(self.store, tenant, collection, identity),
            )
        except CollectionNotFound:
            return []
        found = ((upload, stored[upload.identity(tenant, collection)].newest) for upload in uploads)
        return [
            AcceptedDocument(**dict(row), verdict="unchanged")
            for upload, row in found
            if row is not None and row.status != "failed" and same_upload(upload, row)
        ]

    async def retry(self, tenant: str, collection: str, document_id: str) -> Document:
        """Queue a failed document again, with all its attempts.

        Raises:
            Conflict: It has not failed.
        """
        async for _ in turns():
            failed = await self.store.get_document(tenant, collection, document_id)
            if failed.status != "failed":
                raise Conflict(
                    reason=f"document '{document_id}' is '{failed.status}', and only a failed "
                    "one can be retried; upload it again to change it"
                )
            document = requeued(failed)
            known = {document_id: failed}
            if not await self.store.put_documents(tenant, [document], known=known):
                break
        await self.queue.submit(tenant, [document])
        return document

    async def delete(self, tenant: str, collection: str, document_id: str) -> Document:
        """Remove a document: gone from search at once, its files right after."""
        document = await self.store.delete_document(tenant, collection, document_id)
        # Not the files of a document with this id that somebody uploads just now.
        async for key in self.blobs.keys(keys.folder(tenant, collection, document_id)):
            if keys.is_of(key, document):
                await self.blobs.delete(key)
        return document

    async def content(self, tenant: str, collection: str, document_id: str) -> DocumentContent:
        """The extracted text of the live version, which every offset counts in."""
        live = await self.store.get_collection(tenant, collection)
        document, version = await self._live(tenant, live.address, document_id)
        text = await self.blobs.get(keys.text(tenant, document, version))
        return DocumentContent(
            id=document.id, collection=collection, version=version, text=text.decode()
        )

    async def passages(self, tenant: str, collection: str, document_id: str) -> PassageList:
        """The chunks of the live version, in reading order."""
        document, version = await self._live(tenant, collection, document_id)
        chunks = [
            passage_of(chunk)
            for chunk in await self.store.get_chunks(tenant, collection, document_id)
        ]
        return PassageList(id=document.id, collection=collection, version=version, chunks=chunks)

    async def _open(self, tenant: str, collection: str) -> None:
        """Make the collection unless it is there, or make sure that somebody can work on it."""
        try:
            there = await self.store.get_collection(tenant, collection)
        except CollectionNotFound:
            await self.store.ensure_collection(tenant, self.founder.implied(collection))
        else:
            self.founder.embedders.of(there)

    async def _live(self, tenant: str, collection: str, document_id: str) -> tuple[Document, int]:
        document = await self.store.get_document(tenant, collection, document_id)
        if document.live_version is None:
            raise ContentNotReady(document_id=document_id, status=document.status)
        return document, document.live_version

    async def _decide(
        self, tenant: str, collection: str, uploads: Sequence[tuple[str, Upload]]
    ) -> "dict[str, Decision]":
        """What the uploads make of the rows that are there, by id; writes nothing."""
        stored = await each_of(
            {identity for identity, _ in uploads},
            lambda identity: rows_of(self.store, tenant, collection, identity),
        )
        decisions: dict[str, Decision] = {}
        for identity, upload in uploads:
            before, known = decisions.get(identity), stored[identity]
            latest = before.row if before else known.newest
            row, verdict = decide(upload, latest, collection=collection, document_id=identity)
            decisions[identity] = Decision(known, row, verdict, upload.content)
        await self._mark_duplicates(tenant, collection, decisions)
        return decisions

    async def _mark_duplicates(
        self, tenant: str, collection: str, decisions: "Mapping[str, Decision]"
    ) -> None:
        """Note on each new row another document with the same bytes, stored or of this upload."""
        changed = [each.row for each in decisions.values() if each.changed]
        stored = await each_of(
            {row.sha256 for row in changed},
            lambda sha256: self.store.find_by_sha256(tenant, collection, sha256),
        )
        others = {sha256: [row.id for row in rows] for sha256, rows in stored.items()}
        for row in changed:
            same = others[row.sha256]
            row.duplicate_of = next((each for each in same if each != row.id), None)
            same.append(row.id)

    async def _write(self, tenant: str, decisions: "Sequence[Decision]") -> set[str]:
        """Write files, then rows; returns the ids whose row is another by now."""
        contents: dict[str, bytes | Path] = {}
        for each in decisions:
            contents[keys.original(tenant, each.row)] = each.content
            contents[keys.identity(tenant, each.row)] = identity_of(tenant, each.row)
        await self.blobs.put_all(contents)
        return await self.store.put_documents(
            tenant,
            [each.row for each in decisions],
            known={each.row.id: each.known.live for each in decisions},
        )

    async def _discard(
        self, tenant: str, refused: "Mapping[str, Decision]", fresh: "Mapping[str, Decision]"
    ) -> None:
        """Remove the files of decisions that were refused, unless the row that won needs them."""
        for identity, now in fresh.items():
            if (lost := refused.get(identity)) is None or not lost.changed:
                continue
            for key_of in (keys.original, keys.identity):
                key = key_of(tenant, lost.row)
                if now.known.newest is None or key != key_of(tenant, now.known.newest):
                    await self.blobs.delete(key)


@dataclass(frozen=True)
class Decision:
    """What becomes of a document.

    Attributes:
        known: The rows that it came from.
        row: The row to be.
    """

    known: Rows
    row: Document
    verdict: Verdict
    content: bytes | Path = field(repr=False)

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.row is not self.known.newest


async def turns() -> AsyncIterator[None]:
    """Once for every time that a decision may be made, with a growing rest in between.

    Raises:
        Conflict: It was made too often.
    """
    for turn in range(ROUNDS):
        yield
        longest_s = ROUND_S * 2 ** min(turn, 4)
        await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311
    raise Conflict(
        reason="others keep changing a document of this request at the same time; try again"
    )


def identity_of(tenant: str, row: Document) -> bytes:
    """The file beside the bytes: all that a lost store is made anew from."""
    about = row.model_dump(
        mode="json",
        include={
            "id",
            "collection",
            "name",
            "media_type",
            "metadata",
            "size",
            "sha256",
            "version",
            "created_at",
        },
    )
    return json.dumps({"tenant": tenant, **about}).encode()


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
