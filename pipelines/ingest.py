"""The ingest flow: document -> parse -> chunk -> embed -> store.

What a worker does with one row of the ledger. It may be killed at any moment and started again:
nothing is visible before `publish`, and `publish` switches the whole document at once.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipelines import keys
from pipelines.chunk import Chunker
from pipelines.ports import Blobs, Chunk, Embedder, Parsed, Parser, SparseEmbedder, Store, Vectors
from pipelines.work import Superseded, Work
from twofold.errors import DocumentNotFound, ParseError, TwofoldError
from twofold.schema import Document

log = logging.getLogger(__name__)

BATCH = 64  # chunks between two signs of progress; the embedder packs them as it likes
PARSED = 0.1  # share of the progress bar that parsing gets


@dataclass(frozen=True)
class Ingest:
    """The flow over one set of parts; several documents may be in it at once.

    Attributes:
        attempts: Tries that a document has before it is failed.
        heartbeat_s: Seconds between two signs of life on the ledger.
    """

    store: Store
    blobs: Blobs
    parser: Parser
    chunker: Chunker
    embedder: Embedder
    sparse: SparseEmbedder
    attempts: int = 3
    heartbeat_s: float = 2.0

    async def __call__(self, tenant: str, document: Document) -> Document:
        """Bring a queued document to `ready`, to `failed` with a reason, or back to `queued`."""
        work = Work(self.store, tenant, document)
        if document.attempts >= self.attempts:
            reason = f"The worker died on this document {document.attempts} times; see its log."
            await self._failed(work, "worker_died", reason)
            return work.row
        try:
            await work.advance(attempts=document.attempts + 1)
            async with work.heartbeat(self.heartbeat_s):
                await self._ingest(work)
        except asyncio.CancelledError:
            # A worker that is told to stop does not count as an attempt that went wrong.
            await work.advance(status="queued", progress=0.0, attempts=document.attempts)
            raise
        except Superseded:
            await self._abandon(work)
        except ParseError as failure:
            await self._failed(work, failure.failure, failure.message, again=failure.retryable)
        except TwofoldError as failure:
            await self._failed(work, failure.code, failure.message)
        except Exception:
            log.exception("document %r could not be ingested", document.id)
            await self._failed(work, "internal", "Twofold failed on this document; see its log.")
        return work.row

    async def _ingest(self, work: Work) -> None:
        parsed = await self._parse(work)
        chunks = await asyncio.to_thread(self.chunker.chunks, work.tenant, work.row, parsed)
        vectors = await self._embed(work, chunks)
        await self._store(work, parsed, chunks, vectors)

    async def _parse(self, work: Work) -> Parsed:
        await work.advance(status="parsing", progress=0.0)
        row = work.row
        async with self.blobs.as_file(keys.original(work.tenant, row)) as path:
            return await asyncio.to_thread(
                self.parser.parse, path, name=row.name, media_type=row.media_type
            )

    async def _embed(self, work: Work, chunks: Sequence[Chunk]) -> list[Vectors]:
        """Vectors of the chunks, in order; a text that has some already keeps them."""
        known = await self.store.vectors_by_sha256(*work.where)
        new = {each.sha256: each.passage for each in chunks if each.sha256 not in known}
        hashes, passages = list(new), list(new.values())
        await work.advance(status="embedding", progress=PARSED)
        for start in range(0, len(new), BATCH):
            batch = slice(start, start + BATCH)
            dense = await asyncio.to_thread(self.embedder.embed_passages, passages[batch])
            sparse = self.sparse.embed_passages(passages[batch])
            known |= dict(zip(hashes[batch], map(Vectors, dense, sparse), strict=True))
            done = min(batch.stop, len(new)) / len(new)
            await work.advance(progress=PARSED + (1 - PARSED) * done)
        return [known[each.sha256] for each in chunks]

    async def _store(
        self, work: Work, parsed: Parsed, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        row = work.row
        await self.blobs.put(keys.text(work.tenant, row), parsed.text.encode())
        await self.store.stage_chunks(work.tenant, row, chunks, vectors)
        await work.publish(
            status="ready",
            progress=1.0,
            error=None,
            live_version=row.version,
            chunks=len(chunks),
            title=parsed.title,
            media_type=parsed.media_type,
        )
        async for key in self.blobs.keys(keys.folder(*work.where)):
            if keys.is_left_behind(key, work.tenant, row):
                await self.blobs.delete(key)

    async def _failed(self, work: Work, code: str, message: str, *, again: bool = True) -> None:
        final = not again or work.row.attempts >= self.attempts
        await work.fail(code, message, final=final)
        log.warning("document %r %s: %s", work.row.id, "failed" if final else "waits", message)

    async def _abandon(self, work: Work) -> None:
        """Remove the one file that this worker alone has written, unless it is in use."""
        with suppress(DocumentNotFound):
            row = await self.store.get_document(*work.where)
            same = row.created_at == work.row.created_at
            if same and work.row.version in (row.version, row.live_version):
                return
        await self.blobs.delete(keys.text(work.tenant, work.row))
