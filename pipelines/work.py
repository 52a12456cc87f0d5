"""A ledger row in a worker's hands: signs of life, progress, and the guard against stale workers.

Every write goes through the store's guard: it takes effect only while the row is of the upload
that the worker took up. When it is not, the worker stops.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypedDict, Unpack

from pipelines.ports import Store
from twofold.errors import TwofoldError
from twofold.schema import Document, DocumentFailure, DocumentStatus


class Superseded(Exception):
    """The row is gone or belongs to a newer upload: stop working on it."""


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
        row = self._changed(change)
        if not await self._store.touch_document(self.tenant, row):
            raise Superseded
        self.row = row

    async def publish(self, **change: Unpack[Change]) -> None:
        """Switch searches over to this version, whole and durably.

        Raises:
            Superseded: Another upload has the row now.
        """
        row = self._changed(change)
        if not await self._store.publish(self.tenant, row):
            raise Superseded
        self.row = row

    async def fail(self, code: str, message: str, *, final: bool) -> None:
        """Record a failure: for good, or until the next attempt."""
        row = self._changed(
            {
                "status": "failed" if final else "queued",
                "progress": 0.0,
                "error": DocumentFailure(code=code, message=message),
            }
        )
        if await self._store.touch_document(self.tenant, row):
            self.row = row

    @asynccontextmanager
    async def heartbeat(self, seconds: float) -> AsyncIterator[None]:
        """Give a sign of life at this interval for as long as the block runs."""

        async def beat() -> None:
            # The block's own next write meets whatever ends the beating early.
            with suppress(Superseded, TwofoldError):
                while True:
                    await asyncio.sleep(seconds)
                    await self.advance()

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    def _changed(self, change: Change) -> Document:
        now = datetime.now(UTC)
        alive: dict[str, object] = {"heartbeat_at": now, **({"updated_at": now} if change else {})}
        return self.row.model_copy(update={**change, **alive})
