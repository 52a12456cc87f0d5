"""The embedded ingest queue: a thread that works the ledger off.

There is no queue beside the ledger that could lose anything. `submit` only wakes the thread; what
was left unfinished by an earlier process is found the same way as what came a moment ago.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from pipelines.comparison import FirstStage
from pipelines.hands import Hands
from pipelines.ingest import Ingest
from pipelines.ports import Store
from pipelines.rebuild import Rebuilder
from pipelines.work import BACKOFF_S, place, rest_s
from twofold.schema import Document

log = logging.getLogger(__name__)

IDLE_S = 30.0  # seconds after which the ledger is looked at even if nobody woke the thread
LOOK = 64  # rows that one look at the ledger brings at most


class Drain:
    """Works off what is unfinished on the ledger, in one thread with an event loop of its own.

    Many documents are in hand at once, so that small ones share the calls of the model and the
    parsers' children run beside it. Rebuilds are driven from here as well.
    """

    def __init__(
        self, store: Store, ingest: Ingest, first_stage: FirstStage, *, documents: int = 32
    ) -> None:
        self.rebuilder = Rebuilder(store, ingest.blobs, self, first_stage)
        self._store = store
        self._ingest = ingest
        self._documents = documents
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
        hands = Hands(self._documents)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rebuild())
            while True:
                self._woken.clear()
                found, due_s = await self._look()
                for tenant, row in found:
                    await hands.take(row)
                    # Marked here and not in the task, which may start after the next look.
                    self._in_hand.add(place(tenant, row))
                    group.create_task(self._one(tenant, row, hands))
                if not found:
                    await self._sleep(due_s)

    async def _look(self) -> tuple[list[tuple[str, Document]], float]:
        """Some of the rows that are due, or the seconds until one could be."""
        due_s = IDLE_S
        found: list[tuple[str, Document]] = []
        try:
            async for tenant, row in self._store.unfinished():
                if place(tenant, row) in self._in_hand:
                    continue
                if (wait_s := seconds_to_wait(row)) > 0:
                    due_s = min(due_s, wait_s)
                    continue
                found.append((tenant, row))
                if len(found) == LOOK:
                    break
        except Exception:
            log.exception("the ledger cannot be read; trying again in %.0f s", IDLE_S)
        return found, due_s

    async def _one(self, tenant: str, row: Document, hands: Hands) -> None:
        try:
            await self._ingest(tenant, row)
        except Exception:
            # The failure itself could not be written down: a full disk, most likely.
            log.exception("document %r could not be worked on", row.id)
            await asyncio.sleep(BACKOFF_S)
        finally:
            self._in_hand.discard(place(tenant, row))
            await hands.let_go(row)
            # Its row may be due again: it failed, or a newer upload came while it was in hand.
            self._woken.set()

    async def _rebuild(self) -> None:
        try:
            while True:
                try:
                    await self.rebuilder.round()
                except Exception:
                    log.exception("rebuilds cannot be looked for")
                await asyncio.sleep(self.rebuilder.look_s)
        finally:
            await self.rebuilder.rest()

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()


def seconds_to_wait(row: Document) -> float:
    """How long a row still rests after a failed attempt: 1 s, 2 s, 4 s ... from its last change."""
    if row.status != "queued" or row.attempts == 0:
        return 0.0
    return rest_s(row.attempts) - (datetime.now(UTC) - row.updated_at).total_seconds()
