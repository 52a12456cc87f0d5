"""What a worker owes to the generations that come after the one it works in.

While a collection is rebuilt, and for a moment after the switch, documents are still uploaded to
the generation that is to go. Whoever makes one ready there makes it ready in its successors first,
so that no search loses it at the switch.
"""

from collections.abc import AsyncIterator
from contextlib import suppress

from pipelines.generations import entering, is_behind, is_same
from pipelines.ports import Generation, Store, plain_name
from pipelines.work import Work
from twofold.errors import NotFound
from twofold.schema import Document

ROUNDS = 5  # times that a row is read and written before others who change it are too many


class Succession:
    """The generations of a store, as a worker with one row in its hands sees them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ahead_of(self, work: Work) -> AsyncIterator[Work]:
        """The same upload in every generation that follows and does not have it ready."""
        for generation in await self._following(work):
            row = await self._enter(work, generation)
            if row is not None:
                yield Work(self._store, work.tenant, row)

    async def is_live(self, work: Work) -> bool:
        """Whether the row is in the generation that searches use."""
        tenant, address, _ = work.where
        live = await self._store.get_collection(tenant, plain_name(address))
        return live.address == address

    async def abandon(self, work: Work) -> None:
        """Where a document was deleted while it was worked on, remove what was carried ahead."""
        if await self._find(work, work.row.collection) is not None:
            return
        with suppress(NotFound):
            for generation in await self._following(work):
                address = generation.collection.address
                if is_same(await self._find(work, address), work.row):
                    await self._store.delete_document(work.tenant, address, work.row.id)

    async def _following(self, work: Work) -> list[Generation]:
        tenant, address, _ = work.where
        _, _, number = address.rpartition("@")
        return [
            each
            for each in await self._store.generations(tenant, plain_name(address))
            if each.collection.generation > int(number)
        ]

    async def _enter(self, work: Work, generation: Generation) -> Document | None:
        """The row in another generation, in this worker's hands; None if that has it ready."""
        address = generation.collection.address
        for _ in range(ROUNDS):
            there = await self._find(work, address)
            if not is_behind(there, work.row):
                unfinished = there is not None and is_same(there, work.row) and not there.final
                return there if unfinished else None
            row = entering(work.row, address, "parsing")
            if not await self._store.put_documents(work.tenant, [row], known={row.id: there}):
                return row
        return None

    async def _find(self, work: Work, address: str) -> Document | None:
        try:
            return await self._store.get_document(work.tenant, address, work.row.id)
        except NotFound:
            return None
