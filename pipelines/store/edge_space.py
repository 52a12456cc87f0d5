"""One generation of a collection in a shard of the embedded engine: its rows and passages.

Every call is made with the lock of the store held, so that several operations look like one. What
`publish` does in several operations is one after a crash as well: the row is marked first, and
`resume` carries on with every row that still has its mark.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from pipelines.ports import Candidate, Chunk, Collection, DocumentPage, RecallQuery, Vectors
from pipelines.store import records
from pipelines.store.catalogue import place_of
from pipelines.store.conditions import (
    Clause,
    below,
    chunks_of,
    every,
    match,
    none,
    rows,
    visible,
)
from pipelines.store.recall import searches, union
from pipelines.store.records import Payload
from pipelines.store.rules import (
    is_done,
    live_now,
    mismatch,
    parse_cursor,
    refused_of,
    same_upload,
    with_live,
)
from pipelines.store.shard import Shard
from twofold.errors import DocumentNotFound
from twofold.schema import Document, DocumentStatus

PUBLISHING = "publishing"


class EdgeSpace:
    """Rows and passages of one generation; the methods are those of `ports.Store`.

    Args:
        space: What tells its points from all others in the shard.
        address: What callers say for it.

    Attributes:
        shard: The shard that it lies in.
        collection: Its settings.
    """

    def __init__(self, shard: Shard, space: str, collection: Collection, address: str) -> None:
        self.shard = shard
        self.collection = collection
        self._space = space
        self._address = address

    # --- The ledger -------------------------------------------------------------------------

    def put_documents(
        self, documents: Sequence[Document], known: Mapping[str, Document | None] | None
    ) -> set[str]:
        """See `Store.put_documents`; durable after the next flush."""
        stored = {each.id: self.find(each.id) for each in documents}
        refused = refused_of(stored, known)
        self.shard.upsert(
            [
                records.row_point(self._space, with_live(document, stored[document.id]))
                for document in documents
                if document.id not in refused
            ]
        )
        return refused

    def touch_document(self, document: Document) -> bool:
        """See `Store.touch_document`."""
        stored = self.find(document.id)
        if not same_upload(stored, document) or is_done(stored):
            return False
        self.shard.upsert([records.row_point(self._space, with_live(document, stored))])
        return True

    def find(self, document_id: str) -> Document | None:
        """The row that is there for a document."""
        payload = self.shard.get(records.row_id(self._space, document_id))
        return records.row_of(payload, self._address) if payload else None

    def get_document(self, document_id: str) -> Document:
        """Raises DocumentNotFound."""
        if (document := self.find(document_id)) is None:
            raise DocumentNotFound(document_id=document_id, collection=self.collection.name)
        return document

    def find_by_sha256(self, sha256: str) -> list[Document]:
        """See `Store.find_by_sha256`."""
        where = every(rows(self._space), match("sha256", sha256))
        found = [records.row_of(each, self._address) for each in self.shard.payloads(where)]
        return sorted(found, key=lambda document: (document.created_at, document.id))

    def list_documents(
        self, status: Sequence[DocumentStatus], cursor: str | None, limit: int
    ) -> DocumentPage:
        """See `Store.list_documents`."""
        mine = rows(self._space)
        where = every(mine, match("status", *status)) if status else mine
        start = parse_cursor(cursor) if cursor is not None else None
        page, following = self.shard.page(where, start=start, limit=limit)
        documents = [records.row_of(payload, self._address) for payload in page]
        return DocumentPage(documents, following.hex if following else None)

    def count_documents(self) -> dict[DocumentStatus, int]:
        """See `Store.count_documents`."""
        counts = self.shard.count_by("status", rows(self._space))
        return cast("dict[DocumentStatus, int]", counts)

    def count_passages(self) -> int:
        """See `Store.count_passages`."""
        return self.shard.count(visible(self._space))

    def delete_document(self, document_id: str) -> None:
        """Remove row and chunks, if they are there; durable after the next flush."""
        self.shard.delete(every(match("space", self._space), match("document", document_id)))

    # --- Chunks -----------------------------------------------------------------------------

    def vectors_by_sha256(self, document_id: str) -> dict[str, Vectors]:
        """See `Store.vectors_by_sha256`."""
        found = self.shard.records(chunks_of(self._space, document_id), vectors=True)
        return dict(records.vectors_of(each.payload or {}, each.vector) for each in found)

    def stage_chunks(
        self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        """See `Store.stage_chunks`."""
        if same_upload(self.find(document.id), document):
            points = [
                records.chunk_point(self._space, document, *pair)
                for pair in zip(chunks, vectors, strict=True)
            ]
            self.shard.upsert(points, over=every(match("kind", "staged")))

    def publish(self, document: Document) -> bool:
        """See `Store.publish`; durable after the next flush."""
        document = live_now(document)
        stored = self.find(document.id)
        if not same_upload(stored, document):
            mine = match("upload", records.upload_of(document))
            chunks = chunks_of(self._space, document.id)
            self.shard.delete(every(chunks, mine, match("kind", "staged")))
            return False
        if not is_done(stored):
            self.shard.upsert([records.row_point(self._space, document, PUBLISHING)])
            _switch(self.shard, self._space, document)
        return True

    def visible(self, where: Clause) -> list[Payload]:
        """Payloads of the chunks that searches may find, of those that the clause holds for."""
        return list(self.shard.payloads(every(visible(self._space), where)))

    def recall(self, query: RecallQuery) -> list[Candidate]:
        """See `Store.recall`."""
        if query.dense is not None and len(query.dense) != self.collection.dimensions:
            raise mismatch(self.collection, "another model", len(query.dense))
        requests = searches(self._space, query)
        answers = self.shard.query(list(requests.values())) if requests else []
        return union(dict(zip(requests, answers, strict=True)))


def resume(shard: Shard) -> None:
    """Carry on with what was being published when the process ended, durably."""
    marked = every(match("kind", "document"), match("facts", PUBLISHING))
    for payload in list(shard.payloads(marked)):
        space = str(payload["space"])
        _switch(shard, space, records.row_of(payload, place_of(space)[1]))
    shard.sync()


def _switch(shard: Shard, space: str, document: Document) -> None:
    """Make the chunks of a marked row the visible ones; repeated, it changes nothing more.

    What goes goes first, so that whatever happens in between no search sees two versions.
    """
    chunks = chunks_of(space, document.id)
    upload = match("upload", records.upload_of(document))
    shard.delete(every(chunks, none(every(upload, below("ordinal", document.chunks)))))
    shard.set_payload(chunks, records.published(space))
    shard.upsert([records.row_point(space, document)])
