"""Announced documents in an ingestion worker: which of them to work on, and which to leave alone.

An announcement may come twice, late, or for an upload that has been replaced. What is to be done
is on the ledger alone: a row that is `queued` is free, and a row in work belongs to a worker that
is alive until the reconciler has found that it is not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias, TypeVar

from pipelines.hands import Hands
from pipelines.ingest import Ingest
from pipelines.ports import Store
from pipelines.work import pauses
from twofold.errors import NotFound, Unavailable
from twofold.schema import Document

log = logging.getLogger(__name__)

T = TypeVar("T")

Verdict: TypeAlias = Literal["worked on", "in hand", "gone", "replaced", "not free"]
"""What became of an announcement; all but the first did nothing."""


class Deliveries:
    """Works on announced documents, each at most once at a time; on one event loop.

    Args:
        store: With the ledger.
        ingest: What to do with a row.
        documents: How many may be in hand at once.
    """

    def __init__(self, store: Store, ingest: Ingest, *, documents: int) -> None:
        self._store = store
        self._ingest = ingest
        self._hands = Hands(documents)
        self._known: set[tuple[str, str, str]] = set()
        self.done = 0

    @property
    def in_hand(self) -> int:
        """Documents that were announced and are being worked on, or are about to be."""
        return len(self._known)

    async def __call__(
        self, tenant: str, collection: str, document_id: str, version: int
    ) -> Verdict:
        """Work on the document that an announcement names, if that is to be done."""
        address = await self._address(tenant, collection)
        if address is None:
            return "gone"
        place = (tenant, address, document_id)
        if place in self._known:
            return "in hand"
        self._known.add(place)
        try:
            verdict = await self._one(*place, version)
        finally:
            self._known.discard(place)
            self.done += 1
        log.debug("document %r: %s", document_id, verdict)
        return verdict

    async def _one(self, tenant: str, address: str, document_id: str, version: int) -> Verdict:
        row = await self._read(tenant, address, document_id)
        if row is None:
            return "gone"
        async with self._hands.hold(row):
            # It may have had to wait for others, and a row that was read long ago says little.
            row = await self._read(tenant, address, document_id)
            if row is None:
                return "gone"
            if row.version != version:
                return "replaced"
            if row.status != "queued":
                return "not free"
            await self._ingest(tenant, row)
            return "worked on"

    async def _address(self, tenant: str, collection: str) -> str | None:
        """The generation that is meant: while a row is in hand another may become the live one."""
        found = await self._patiently(lambda: self._store.get_collection(tenant, collection))
        return found.address if found else None

    async def _read(self, tenant: str, address: str, document_id: str) -> Document | None:
        return await self._patiently(lambda: self._store.get_document(tenant, address, document_id))

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T | None:
        """What is there, once the store answers: nothing could be done meanwhile anyway."""
        async with asyncio.timeout(self._ingest.timeout_s):
            for pause_s in pauses():
                try:
                    return await read()
                except NotFound:
                    return None
                except Unavailable as away:
                    log.warning("waiting %.0f s: %s", pause_s, away.message)
                    await asyncio.sleep(pause_s)
        return None
