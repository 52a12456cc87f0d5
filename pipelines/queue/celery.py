"""The ingest queue on Celery, as the API sees it: announcements that never hold up an upload."""

import asyncio
import logging
import queue
import threading
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.queue.broker import QUEUE, TASK, celery_app
from twofold.schema import Document

log = logging.getLogger(__name__)

BACKLOG = 10_000
"""Announcements that wait for a slow Redis in this process; more are left to the reconciler."""


class Announcement(NamedTuple):
    """The arguments of the task, in its order."""

    tenant: str
    collection: str
    document_id: str
    version: int


class CeleryQueue:
    """`ports.IngestQueue` that sends one task for each document, from a thread of its own.

    Whatever is wrong with Redis, `submit` returns at once. What could not be announced stays on
    the ledger, where the reconciler finds it.

    Args:
        redis_url: Of the broker.
        ingest_timeout_s: Longest time for one attempt at a document.
        deadline_s: Longest wait for an answer of Redis.
        backlog: Announcements that may wait here.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        ingest_timeout_s: float = 1_800.0,
        deadline_s: float = 1.0,
        backlog: int = BACKLOG,
    ) -> None:
        self._app = celery_app(redis_url, ingest_timeout_s=ingest_timeout_s, silence_s=deadline_s)
        self._waiting: queue.Queue[Announcement | None] = queue.Queue(backlog)
        self._thread: threading.Thread | None = None
        self._deadline_s = deadline_s

    async def submit(self, tenant: str, documents: Sequence[Document]) -> None:
        """See `ports.IngestQueue.submit`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="announcer", daemon=True)
            self._thread.start()
        for number, row in enumerate(documents):
            try:
                self._waiting.put_nowait(Announcement(tenant, row.collection, row.id, row.version))
            except queue.Full:
                log.warning(
                    "%d documents are not announced, for too many wait to be; the ingestion "
                    "workers will find them on the ledger",
                    len(documents) - number,
                )
                return

    async def close(self) -> None:
        """Give what waits a moment to be sent, and let go."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                return  # Redis is away: nothing of this will be sent any more
            await asyncio.to_thread(thread.join, 2 * self._deadline_s)
        await asyncio.to_thread(self._app.close)

    def _work(self) -> None:
        while (each := self._waiting.get()) is not None:
            try:
                self._app.send_task(TASK, args=list(each), queue=QUEUE)
            except Exception as error:
                if self._drop(error):
                    return

    def _drop(self, error: Exception) -> bool:
        """Let go of all that waits, for the next would fail as slowly; True: it is over."""
        lost, over = 1, False
        while not self._waiting.empty():
            each = self._waiting.get()
            over = over or each is None
            lost += each is not None
        log.warning(
            "%d documents could not be announced (%s: %s); the ingestion workers will find them "
            "on the ledger",
            lost,
            type(error).__name__,
            error,
        )
        return over
