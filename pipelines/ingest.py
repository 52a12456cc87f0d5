"""The ingest flow: document -> parse -> chunk -> embed -> store.

What a worker does with one row of the ledger. It may be killed at any moment and started again:
nothing is visible before `publish`, and `publish` switches the whole document at once.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from pipelines import keys
from pipelines.generations import at
from pipelines.passages import PassageMaker, PassageMakers
from pipelines.ports import Blobs, Chunk, Parsed, Parser, Store, Vectors
from pipelines.succession import Succession
from pipelines.work import Superseded, Work, death, pauses
from twofold.errors import (
    CollectionNotFound,
    NotFound,
    ParseError,
    TwofoldError,
    Unavailable,
)
from twofold.schema import Document

log = logging.getLogger(__name__)

BATCH = 64  # chunks between two signs of progress; the embedder packs them as it likes
PARSED = 0.1  # share of the progress bar that parsing gets
MAX_PARSERS = 8  # each may take 1 GB before it is stopped


@dataclass(frozen=True)
class Ingest:
    """The flow over one set of parts; several documents may be in it at once.

    Attributes:
        makers: Of the passages of each collection.
        attempts: Tries that a document has before it is failed.
        timeout_s: Longest time for one try, in which a model or a server that is away may return.
        heartbeat_s: Seconds between two signs of life on the ledger.
        parsers: Files that are read at once, each in a child of its own; None: as many as cores.
    """

    store: Store
    blobs: Blobs
    parser: Parser
    makers: PassageMakers
    attempts: int = 3
    timeout_s: float = 1_800.0
    heartbeat_s: float = 2.0
    parsers: int | None = None
    succession: Succession = field(init=False, repr=False)
    _parsing: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "succession", Succession(self.store))
        parsers = self.parsers or min(MAX_PARSERS, os.cpu_count() or 1)
        object.__setattr__(self, "_parsing", asyncio.Semaphore(parsers))

    async def __call__(self, tenant: str, document: Document) -> Document:
        """Bring a queued document to `ready`, to `failed` with a reason, or back to `queued`."""
        try:
            collection = await self.store.get_collection(tenant, document.collection)
        except CollectionNotFound:
            return document
        work = Work(self.store, tenant, at(collection.address, document))
        if document.attempts >= self.attempts:
            _, failure = death(document, self.attempts)
            await self._failed(work, failure.code, failure.message)
        else:
            await self._attempt(work, partial(self._ingest_patiently, work))
        return at(document.collection, work.row)

    async def _attempt(self, work: Work, make: Callable[[], Awaitable[None]]) -> None:
        """One of the tries that a document has; what goes wrong in it lands on its row."""
        before = work.row.attempts
        try:
            await work.advance(status="parsing", progress=0.0, attempts=before + 1)
            async with work.heartbeat(self.heartbeat_s), asyncio.timeout(self.timeout_s):
                await make()
        except asyncio.CancelledError:
            # A worker that is told to stop does not count as an attempt that went wrong.
            with suppress(Superseded):
                await work.advance(status="queued", progress=0.0, attempts=before)
            raise
        except (Superseded, CollectionNotFound):
            await self._abandon(work)
        except ParseError as failure:
            await self._failed(work, failure.failure, failure.message, again=failure.retryable)
        except TimeoutError:
            reason = f"It took longer than {self.timeout_s:g} s; split it and upload the parts."
            await self._failed(work, "timeout", reason)
        except TwofoldError as failure:
            await self._failed(work, failure.code, failure.message)
        except Exception:
            log.exception("document %r could not be ingested", work.row.id)
            await self._failed(work, "internal", "Twofold failed on this document; see its log.")

    async def _ingest_patiently(self, work: Work) -> None:
        """A model or a server that is away is waited for: the document is not to blame."""
        for pause_s in pauses():
            try:
                return await self._ingest(work)
            except Unavailable as away:
                log.warning("document %r waits %.0f s: %s", work.row.id, pause_s, away.message)
                await asyncio.sleep(pause_s)
        return None

    async def _ingest(self, work: Work) -> None:
        parsed = await self._parse(work)
        # What is ready here is ready where searches go next, or they would lose it at the switch.
        async for successor in self.succession.ahead_of(work):
            await self._attempt(successor, partial(self._make, successor, parsed))
        await self._make(work, parsed)
        if await self.succession.is_live(work):
            await self._tidy(work)

    async def _parse(self, work: Work) -> Parsed:
        row = work.row
        where = keys.original(work.tenant, row)
        async with self._parsing, self.blobs.as_file(where) as path:
            return await asyncio.to_thread(
                self.parser.parse, path, name=row.name, media_type=row.media_type
            )

    async def _make(self, work: Work, parsed: Parsed) -> None:
        """Make the passages of the generation that the row is in, and switch searches to them."""
        maker = self.makers.of(await self.store.get_collection(work.tenant, work.row.collection))
        chunks = await asyncio.to_thread(maker.chunker.chunks, work.tenant, work.row, parsed)
        vectors = await self._embed(work, maker, chunks)
        await self._store(work, parsed, chunks, vectors)

    async def _embed(
        self, work: Work, maker: PassageMaker, chunks: Sequence[Chunk]
    ) -> list[Vectors]:
        """Vectors of the chunks, in order; a text that has some already keeps them."""
        known = await self.store.vectors_by_sha256(*work.where)
        new = {each.sha256: each.passage for each in chunks if each.sha256 not in known}
        hashes, passages = list(new), list(new.values())
        work.enter(status="embedding", progress=PARSED)
        if len(new) > BATCH:
            await work.advance()
        for start in range(0, len(new), BATCH):
            batch = slice(start, start + BATCH)
            made = await maker.vectors(passages[batch])
            known |= dict(zip(hashes[batch], made, strict=True))
            if batch.stop < len(new):
                done = batch.stop / len(new)
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

    async def _tidy(self, work: Work) -> None:
        """Remove the files of what nobody can see any more."""
        there = [key async for key in self.blobs.keys(keys.folder(*work.where))]
        for key in keys.left_behind(there, work.tenant, work.row):
            await self.blobs.delete(key)

    async def _failed(self, work: Work, code: str, message: str, *, again: bool = True) -> None:
        final = not again or work.row.attempts >= self.attempts
        await work.fail(code, message, final=final)
        log.warning("document %r %s: %s", work.row.id, "failed" if final else "waits", message)

    async def _abandon(self, work: Work) -> None:
        """Remove the one file that this worker alone has written, unless it is in use."""
        with suppress(NotFound):
            row = await self.store.get_document(*work.where)
            same = row.created_at == work.row.created_at
            if same and work.row.version in (row.version, row.live_version):
                return
        await self.blobs.delete(keys.text(work.tenant, work.row))
        await self.succession.abandon(work)
