"""A ledger row in a worker's hands: signs of life, progress, and the guard against stale workers.

Every write goes through the store's guard: it takes effect only while the row is of the upload
that the worker took up. When it is not, the worker stops.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypedDict, Unpack

from pipelines.ports import Store
from twofold.errors import NotFound, TwofoldError
from twofold.schema import Document, DocumentFailure, DocumentStatus

BACKOFF_S = 1.0  # rest before the second attempt at a document; doubles with each one
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # between two looks for a part that is away

DIED = "worker_died"
"""Code of the failure of a document whose worker ended in mid-work."""


class Superseded(Exception):
    """The row is gone, with its generation even, or of a newer upload: stop working on it."""


class Change(TypedDict, total=False):
    """The fields of a row that a worker changes."""

    status: DocumentStatus
    progress: float
    attempts: int
    error: DocumentFailure | None
    live_version: int
    chunks: int
    title: str | None
    media_type: str


class Work:
    """One attempt at one document.

    Attributes:
        row: The row as last written.
    """

    def __init__(self, store: Store, tenant: str, row: Document) -> None:
        self.tenant = tenant
        self.row = row
        self._store = store

    @property
    def where(self) -> tuple[str, str, str]:
        """Tenant, collection and id: the arguments that locate the document."""
        return self.tenant, self.row.collection, self.row.id

    async def advance(self, **change: Unpack[Change]) -> None:
        """Write progress; a sign of life as well.

        Raises:
            Superseded: Another upload has the row now.
        """
        await self._write(self._store.touch_document, self._changed(change))

    def enter(self, **change: Unpack[Change]) -> None:
        """Note progress for the next sign of life to write; what is over before needs no write."""
        self.row = self._changed(change)

    async def publish(self, **change: Unpack[Change]) -> None:
        """Switch searches over to this version, whole and durably.

        Raises:
            Superseded: Another upload has the row now.
        """
        await self._write(self._store.publish, self._changed(change))

    async def fail(self, code: str, message: str, *, final: bool) -> None:
        """Record a failure: for good, or until the next attempt."""
        row = self._changed(
            {
                "status": "failed" if final else "queued",
                "progress": 0.0,
                "error": DocumentFailure(code=code, message=message),
            }
        )
        with suppress(Superseded):
            await self._write(self._store.touch_document, row)

    @asynccontextmanager
    async def heartbeat(self, seconds: float) -> AsyncIterator[None]:
        """Give a sign of life at this interval for as long as the block runs."""

        async def beat() -> None:
            # The block's own next write meets what ends the beating early; a store that is away
            # for a moment does not.
            with suppress(Superseded):
                while True:
                    await asyncio.sleep(seconds)
                    with suppress(TwofoldError):
                        await self.advance()

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def _write(
        self, write: Callable[[str, Document], Awaitable[bool]], row: Document
    ) -> None:
        try:
            written = await write(self.tenant, row)
        except NotFound:
            written = False
        if not written:
            raise Superseded
        self.row = row

    def _changed(self, change: Change) -> Document:
        now = datetime.now(UTC)
        alive: dict[str, object] = {"heartbeat_at": now, **({"updated_at": now} if change else {})}
        return self.row.model_copy(update={**change, **alive})


def rest_s(attempts: int) -> float:
    """Seconds that a document rests after so many attempts: none, 1, 2, 4 ..."""
    return math.ldexp(BACKOFF_S, attempts - 1) if attempts else 0.0


def is_suspect(row: Document) -> bool:
    """Whether the last attempt ended with its worker: it, or a neighbour, may have been the cause.

    For a drain that is alone with its ledger, a row in work belongs to a process that has died.
    """
    left_over = row.status != "queued"
    return row.attempts > 0 and (left_over or (row.error is not None and row.error.code == DIED))


def death(row: Document, attempts: int) -> tuple[DocumentStatus, DocumentFailure]:
    """What becomes of a row whose worker is gone: it waits for another attempt, or has failed."""
    if row.attempts < attempts:
        message = "The worker stopped in mid-work; the document is tried again, alone."
        return "queued", DocumentFailure(code=DIED, message=message)
    message = f"The worker died on this document {row.attempts} times; see its log."
    return "failed", DocumentFailure(code=DIED, message=message)


def pauses() -> Iterator[float]:
    """Seconds to wait for a part that is away: longer each time, without an end of their own."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def place(tenant: str, row: Document) -> tuple[str, str, str]:
    """What tells a document from every other."""
    return tenant, row.collection, row.id
