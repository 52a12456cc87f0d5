"""The embedded ingest queue: a thread that works the ledger off.

There is no queue beside the ledger that could lose anything. `submit` only wakes the thread; what
was left unfinished by an earlier process is found the same way as what came a moment ago.
"""

import asyncio
import logging
import math
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from pipelines.ingest import Ingest
from pipelines.ports import Store
from twofold.schema import Document

log = logging.getLogger(__name__)

IDLE_S = 30.0  # seconds after which the ledger is looked at even if nobody woke the thread
BACKOFF_S = 1.0  # wait before the second attempt at a document; doubles with each one


class Drain:
    """Works off what is unfinished on the ledger, in one thread with an event loop of its own.

    Two documents are in work at once by default, so that the parser's child process runs beside
    the embedder's threads.
    """

    def __init__(self, store: Store, ingest: Ingest, *, workers: int = 2) -> None:
        self._store = store
        self._ingest = ingest
        self._workers = workers
        self._in_hand: set[tuple[str, str, str]] = set()
        self._woken = asyncio.Event()
        self._stopping = False
        self._main: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, args=(loop,), name="drain", daemon=True)
        self._thread.start()

    async def submit(self, tenant: str, documents: Sequence[Document]) -> None:  # noqa: ARG002
        """Wake the thread; the rows themselves are read from the ledger."""
        if documents and self._loop and self.alive:
            self._loop.call_soon_threadsafe(self._woken.set)

    @property
    def alive(self) -> bool:
        """Whether documents are being worked off."""
        return self._thread is not None and self._thread.is_alive()

    async def state(self) -> str:
        """`ok`, or what is the matter."""
        return "ok" if self.alive else "stopped; restart the server, and see its log for the reason"

    def stop(self, timeout_s: float = 40.0) -> None:
        """Put back what is in work and end the thread; waits for a parse that is under way."""
        if self._loop and self._thread and self.alive:
            self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join(timeout_s)

    def _cancel(self) -> None:
        self._stopping = True
        if self._main:
            self._main.cancel()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(self._run())
            except asyncio.CancelledError:
                log.info("ingestion stopped; what is unfinished goes on at the next start")

    async def _run(self) -> None:
        if self._stopping:
            return
        self._main = asyncio.current_task()
        slots = asyncio.Semaphore(self._workers)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                self._woken.clear()
                found, due_s = await self._next()
                if found:
                    # Marked here and not in the task, which may start after the next look.
                    self._in_hand.add(place(*found))
                    group.create_task(self._one(*found, slots))
                else:
                    slots.release()
                    await self._sleep(due_s)

    async def _next(self) -> tuple[tuple[str, Document] | None, float]:
        """The first row that is due, or the seconds until one could be."""
        due_s = IDLE_S
        try:
            async for tenant, row in self._store.unfinished():
                if place(tenant, row) in self._in_hand:
                    continue
                if (wait_s := seconds_to_wait(row)) <= 0:
                    return (tenant, row), 0.0
                due_s = min(due_s, wait_s)
        except Exception:
            log.exception("the ledger cannot be read; trying again in %.0f s", IDLE_S)
        return None, due_s

    async def _one(self, tenant: str, row: Document, slots: asyncio.Semaphore) -> None:
        try:
            await self._ingest(tenant, row)
        except Exception:
            # The failure itself could not be written down: a full disk, most likely.
            log.exception("document %r could not be worked on", row.id)
            await asyncio.sleep(BACKOFF_S)
        finally:
            self._in_hand.discard(place(tenant, row))
            slots.release()
            # Its row may be due again: it failed, or a newer upload came while it was in hand.
            self._woken.set()

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()


def place(tenant: str, row: Document) -> tuple[str, str, str]:
    """What tells a document from every other."""
    return tenant, row.collection, row.id


def seconds_to_wait(row: Document) -> float:
    """How long a row still rests after a failed attempt: 1 s, 2 s, 4 s ... from its last change."""
    if row.status != "queued" or row.attempts == 0:
        return 0.0
    rest_s = math.ldexp(BACKOFF_S, row.attempts - 1)
    return rest_s - (datetime.now(UTC) - row.updated_at).total_seconds()
