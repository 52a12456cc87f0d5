"""Rows, chunks and vectors to put into a store."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import numpy as np

from pipelines.ports import Chunk, Collection, RecallQuery, SparseVector, Store, Vector, Vectors
from pipelines.store.edge import EdgeStore
from twofold.schema import Document, Filter

COLLECTION = Collection("notes", "model-a", 8)
CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def row(document_id: str = "d", *, collection: str = COLLECTION.name, **fields: object) -> Document:
    """A queued row; `fields` say what is different about it."""
    plain = {
        "id": document_id,
        "collection": collection,
        "name": f"{document_id}.txt",
        "media_type": "text/plain",
        "size": 11,
        "sha256": digest(document_id),
        "version": 1,
        "created_at": CREATED,
        "updated_at": CREATED,
    }
    return Document.model_validate(plain | fields)


def ready(document: Document, chunks: int) -> Document:
    """The row as a worker publishes it."""
    return document.model_copy(
        update={"status": "ready", "live_version": document.version, "chunks": chunks}
    )


def next_version(document: Document) -> Document:
    """The row after an upload of other bytes under the same id."""
    return document.model_copy(update={"status": "queued", "version": document.version + 1})


def chunks_of(document: Document, texts: Sequence[str]) -> list[Chunk]:
    """A chunk for each text."""
    return [
        Chunk(
            id=f"{document.id}@{document.version}#{ordinal}",
            document_id=document.id,
            version=document.version,
            ordinal=ordinal,
            text=text,
            start=100 * ordinal,
            end=100 * ordinal + len(text),
            sha256=digest(text),
            name=document.name,
            title="Ein Titel – mit Strich",
            headings=("Part", "Chapter"),
            page=ordinal + 1,
            metadata=document.metadata,
            lead="name | size" if ordinal else None,
        )
        for ordinal, text in enumerate(texts)
    ]


def vectors_of(text: str) -> Vectors:
    """A dense vector that looks random and is the text's own; a word count for the sparse one."""
    return Vectors(dense_of(text), sparse_of(text))


def dense_of(text: str, dimensions: int = COLLECTION.dimensions) -> Vector:
    seed = int(digest(text)[:8], 16)
    drawn = np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def sparse_of(text: str) -> SparseVector:
    words = sorted(set(text.split()))
    return SparseVector([int(digest(word)[:7], 16) for word in words], [1.0] * len(words))


def query(text: str, *, limit: int = 10, filter: Filter | None = None) -> RecallQuery:  # noqa: A002
    """A hybrid query that is nearest to the chunk of the same text."""
    return RecallQuery(dense_of(text), sparse_of(text), limit=limit, filter=filter)


async def stage(store: Store, tenant: str, document: Document, texts: Sequence[str]) -> list[Chunk]:
    """Stage a chunk for each text."""
    chunks = chunks_of(document, texts)
    await store.stage_chunks(tenant, document, chunks, [vectors_of(chunk.text) for chunk in chunks])
    return chunks


async def ingest(
    store: Store, tenant: str, document: Document, texts: Sequence[str]
) -> list[Chunk]:
    """Bring a document into the store as the ingest flow does."""
    await store.put_documents(tenant, [document])
    chunks = await stage(store, tenant, document, texts)
    assert await store.publish(tenant, ready(document, len(texts)))
    return chunks


async def found(
    store: Store,
    tenant: str,
    text: str = "apple",
    *,
    filter: Filter | None = None,  # noqa: A002
) -> set[str]:
    """Texts of everything that a wide search finds."""
    candidates = await store.recall(tenant, COLLECTION.name, query(text, limit=1000, filter=filter))
    return {candidate.chunk.text for candidate in candidates}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@asynccontextmanager
async def also(
    store: Store, opens: Callable[[], AbstractAsyncContextManager[Store]]
) -> AsyncIterator[Store]:
    """The store as another process has it open; the same where only one process can."""
    if isinstance(store, EdgeStore):
        yield store
    else:
        async with opens() as another:
            yield another
