"""What a process may have in hand at once: so many documents, so many bytes, a suspect alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipelines.work import is_suspect
from twofold.schema import Document

MAX_BYTES = 64 * 2**20
"""Uploaded bytes in hand. A document takes a few times its size while it is worked on."""


class Hands:
    """Lets documents in, in the order in which they come.

    A document whose worker has died is worked on with nothing beside it: if it is what kills
    workers, it takes no neighbours with it again, and if it was a neighbour, it gets through.

    Args:
        documents: At once.
        max_bytes: Of all of them; a larger document is let in alone.
    """

    def __init__(self, documents: int, *, max_bytes: int = MAX_BYTES) -> None:
        self._documents = documents
        self._max_bytes = max_bytes
        self._held = 0
        self._bytes = 0
        self._alone = False
        # Whoever waits for room holds this, so that nobody overtakes.
        self._entrance = asyncio.Lock()
        self._left = asyncio.Condition()

    @property
    def held(self) -> int:
        """Documents in hand."""
        return self._held

    @asynccontextmanager
    async def hold(self, row: Document) -> AsyncIterator[None]:
        """Have a document in hand, as soon as there is room for it."""
        await self.take(row)
        try:
            yield
        finally:
            await self.let_go(row)

    async def take(self, row: Document) -> None:
        """Wait for room and fill it; each has to be let go."""
        alone = is_suspect(row)
        async with self._entrance, self._left:
            await self._left.wait_for(lambda: self._has_room(row.size, alone))
            self._held += 1
            self._bytes += row.size
            self._alone = alone

    async def let_go(self, row: Document) -> None:
        """Make room for others."""
        async with self._left:
            self._held -= 1
            self._bytes -= row.size
            self._alone = False
            self._left.notify_all()

    def _has_room(self, size: int, alone: bool) -> bool:
        if self._held == 0:
            return True
        fits = self._held < self._documents and self._bytes + size <= self._max_bytes
        return fits and not alone and not self._alone
