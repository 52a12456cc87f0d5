"""Where documents are worked on: one event loop for all of Celery's threads, with the parts.

One model serves all documents in hand, so their passages share its batches. Beside them run the
reconciler and the rebuilds, in one worker at a time, and the sign of life, which is given only
while the worker takes in what waits: a connection that looks well and brings nothing is not a
worker.
"""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from pipelines.build import IngestWorker
from pipelines.deliveries import Deliveries
from pipelines.ports import Store
from pipelines.queue.celery import CeleryQueue
from pipelines.queue.roster import Roster
from pipelines.rebuild import Rebuilder
from pipelines.reconcile import Reconciler
from pipelines.settings import Settings
from pipelines.work import pauses
from twofold.errors import TwofoldError, Unavailable

log = logging.getLogger(__name__)

START_S = 300.0  # that the parts have to come up
ROUND_S = 1.0  # between two rounds of the reconciler
LIFE_S = 3.0  # between two signs of life
SWEEP_S = 3_600.0  # between two looks for what interrupted uploads have left in the store
STUCK_S = 20.0  # for which work may wait beside free hands before the worker counts as stuck
STALE_BEATS = 8  # heartbeats that a row may miss before its worker is dead


class Workshop:
    """The parts and their event loop, in a thread.

    Attributes:
        name: Of this worker, among all that there are.
    """

    def __init__(
        self,
        settings: Settings,
        redis_url: str,
        build: Callable[[], AbstractAsyncContextManager[IngestWorker]],
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._settings = settings
        self._redis_url = redis_url
        self._build = build
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="workshop", daemon=True)
        self._started: Future[None] = Future()
        self._over = asyncio.Event()
        self._open = asyncio.Event()
        self._draining = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._deliveries: Deliveries | None = None

    # --- From Celery's threads ----------------------------------------------------------

    def start(self) -> None:
        """Build the parts.

        Raises:
            StartupError: It cannot run like this.
            Unavailable: A part did not come up in time.
        """
        self._thread.start()
        self._started.result()

    def open(self) -> None:
        """Announcements are being taken from now on."""
        self._loop.call_soon_threadsafe(self._open.set)

    def work_on(self, tenant: str, collection: str, document_id: str, version: int) -> None:
        """Work on an announced document; returns when nothing more is to be done for it.

        Raises:
            CancelledError: The worker is ending, and the document is free for another.
        """
        announced = self._deliver(tenant, collection, document_id, version)
        asyncio.run_coroutine_threadsafe(announced, self._loop).result()

    def drain(self, seconds: float) -> None:
        """Begin nothing more; what is in hand and not done by then goes back to the queue."""
        self._loop.call_soon_threadsafe(self._begin_drain, seconds)

    def stop(self, timeout_s: float) -> None:
        """Close the parts."""
        with suppress(RuntimeError):  # the loop has ended before
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(timeout_s)

    # --- On the event loop --------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:
            if self._started.done():
                log.exception("the workshop failed")
            else:
                self._started.set_exception(error)
        finally:
            self._loop.close()

    async def _main(self) -> None:
        context, parts = await self._enter()
        try:
            roster = Roster(self._redis_url)
            queue = CeleryQueue(self._redis_url, ingest_timeout_s=self._settings.ingest_timeout_s)
            reconciler = Reconciler(
                parts.store,
                queue,
                roster.waiting,
                attempts=self._settings.ingest_attempts,
                stale_s=STALE_BEATS * self._settings.heartbeat_s,
            )
            rebuilder = Rebuilder(parts.store, parts.ingest.blobs, queue, parts.first_stage)
            self._deliveries = Deliveries(
                parts.store, parts.ingest, documents=self._settings.ingest_concurrency
            )
            chores = [
                asyncio.create_task(self._reconcile(roster, reconciler)),
                asyncio.create_task(self._rebuild(roster, rebuilder)),
                asyncio.create_task(self._live(roster, self._deliveries)),
                asyncio.create_task(self._sweep(roster, parts.store)),
            ]
            self._started.set_result(None)
            await self._over.wait()
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)
            with suppress(Unavailable):
                await roster.leave(self.name)
            await queue.close()
            await roster.close()
        finally:
            await context.__aexit__(None, None, None)

    async def _enter(self) -> tuple[AbstractAsyncContextManager[IngestWorker], IngestWorker]:
        """Build the parts as soon as the servers that they need are up."""
        deadline = time.monotonic() + START_S
        for pause_s in pauses():
            context = self._build()
            try:
                return context, await context.__aenter__()
            except Unavailable as away:
                if time.monotonic() + pause_s > deadline:
                    raise
                log.warning("waiting %.0f s to start: %s", pause_s, away.message)
                await asyncio.sleep(pause_s)
        raise AssertionError("pauses have no end")

    async def _deliver(self, *announced: Any) -> object:
        if self._draining or self._deliveries is None:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (narrows the type; a coroutine runs in a task)
        self._tasks.add(task)
        try:
            return await self._deliveries(*announced)
        finally:
            self._tasks.discard(task)

    def _begin_drain(self, seconds: float) -> None:
        self._draining = True
        log.info("stopping; %d documents in hand have %g s", len(self._tasks), seconds)
        self._loop.call_later(seconds, self._put_back)

    def _put_back(self) -> None:
        for task in self._tasks:
            task.cancel()

    # --- Beside the documents -----------------------------------------------------------

    async def _reconcile(self, roster: Roster, reconciler: Reconciler) -> None:
        await self._open.wait()

        async def round_if_leading() -> None:
            if await roster.lead(self.name):
                await reconciler.round()

        await _every(ROUND_S, round_if_leading, "the ledger could not be reconciled")

    async def _rebuild(self, roster: Roster, rebuilder: Rebuilder) -> None:
        await self._open.wait()

        async def round_if_leading() -> None:
            if await roster.lead(self.name):
                await rebuilder.round()
            else:
                await rebuilder.rest()

        try:
            await _every(ROUND_S, round_if_leading, "rebuilds could not be looked for")
        finally:
            await rebuilder.rest()

    async def _sweep(self, roster: Roster, store: Store) -> None:
        await self._open.wait()

        async def sweep_if_leading() -> None:
            if await roster.lead(self.name) and (swept := await store.sweep()):
                log.info("removed what %d interrupted uploads had left in the store", swept)

        await _every(SWEEP_S, sweep_if_leading, "the store could not be swept")

    async def _live(self, roster: Roster, deliveries: Deliveries) -> None:
        await self._open.wait()
        since, done = time.monotonic(), -1

        async def sign() -> None:
            nonlocal since, done
            free = deliveries.in_hand < self._settings.ingest_concurrency
            if done != deliveries.done or not (free and await roster.waiting()):
                since, done = time.monotonic(), deliveries.done
            if time.monotonic() - since >= STUCK_S:
                log.error("work waits, hands are free, and Celery brings nothing; restart me")
                return
            await roster.say(
                self.name,
                {
                    "in_hand": deliveries.in_hand,
                    "concurrency": self._settings.ingest_concurrency,
                    "done": deliveries.done,
                },
            )

        await _every(LIFE_S, sign, "this worker could not give a sign of life")


async def _every(
    seconds: float, action: Callable[[], Coroutine[None, None, None]], trouble: str
) -> None:
    """Repeat until cancelled; what goes wrong is said once, until it goes well again."""
    well = True
    while True:
        try:
            await action()
            well = True
        except TwofoldError as error:
            if well:
                log.warning("%s: %s", trouble, error.message)
            well = False
        except Exception:
            if well:
                log.exception("%s", trouble)
            well = False
        await asyncio.sleep(seconds)
