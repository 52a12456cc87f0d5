"""Brings the ledger of one generation to what that of another says, by walks over both.

What is put on the new ledger is `queued`, and the ordinary workers do the rest. A walk may end
anywhere and begin again: what is there already is passed over. One that finds nothing to do and
nobody behind is the last, for whoever makes a document ready in the old generation makes it ready
in the new one first, see `succession`. So an upload that waits for its worker is left to it. Only
workers that had begun before the rebuild know nothing of it: theirs are watched until they end.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from pipelines import keys
from pipelines.gathering import each_of
from pipelines.generations import covers, entering, failing, is_behind, is_same, upload
from pipelines.newest import find_row
from pipelines.ports import Blobs, Collection, IngestQueue, Store
from twofold.errors import DocumentNotFound
from twofold.schema import FINAL, Document, DocumentStatus

PAGE = 64
WAITING = 128
"""Rows of a rebuild that wait for workers at once: what is uploaded meanwhile waits behind them."""
IN_WORK: frozenset[DocumentStatus] = frozenset({"parsing", "embedding"})
LOOK_S = 0.2  # between two looks for whether there is room for more

Pair: TypeAlias = tuple[Document, Document | None]
"""A row of the old ledger and that of the same document on the new one."""


@dataclass
class Walk:
    """What a walk over both ledgers has found.

    Attributes:
        total: Rows of the old one.
        moved: Rows that were put on the new one for searches to find.
        behind: Documents that are found by searches of the old one and not yet of the new one.
        failures: Those of them that have failed in the new one: nothing more happens to them.
    """

    total: int = 0
    moved: int = 0
    behind: int = 0
    failures: list[Document] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether there was nothing to do and nothing is to be waited for."""
        return not self.moved and not self.behind


@dataclass
class CatchUp:
    """From one generation of a tenant's collection to another.

    Attributes:
        blobs: With the files of uploads that are searched while a later one has failed.
        queue: Told of what there is to do.
    """

    store: Store
    blobs: Blobs
    queue: IngestQueue
    tenant: str
    old: Collection
    new: Collection
    _watched: set[tuple[str, datetime, int]] | None = field(default=None, repr=False)

    async def follow(self) -> Walk:
        """Make the new ledger say what the old one says; searches use the old generation."""
        walk, first = Walk(), self._watched is None
        watched = self._watched = self._watched or set()
        async for rows in ledger_pages(self.store, self.tenant, self.old.address):
            if first:
                watched |= {_mark(row) for row in rows if row.status in IN_WORK}
            for row, there in await self._take(rows):
                self._note(walk, row, there)
        async for rows in ledger_pages(self.store, self.tenant, self.new.address):
            await self._remove_strays(rows)
        return walk

    async def collect(self) -> None:
        """Take over what came to the old ledger last; searches use the new generation by now.

        What the new ledger has and the old one has not stays: it is newer. What was deleted is
        on neither.
        """
        self._watched = None
        async for rows in ledger_pages(self.store, self.tenant, self.old.address):
            taken = await self._take(rows)
            put = [row for row, there in taken if is_behind(there, row)]
            # One may have been deleted just when it was put there, and uploaded anew since.
            now = await self._there(self.new, put)
            await self._remove_strays([row for row in put if is_same(now[row.id], row)])

    async def unfinished(self) -> int:
        """Rows of the new ledger that workers still have to do."""
        counts = await self.store.count_documents(self.tenant, self.new.address)
        return sum(count for status, count in counts.items() if status not in FINAL)

    async def _take(self, rows: Sequence[Document]) -> list[Pair]:
        """Put on the new ledger what it lacks of these; returns them as they were."""
        await self._room()
        pairs = await self._side_by_side(rows)
        known = {row.id: there for row, there in pairs}
        entries = [entry for pair in pairs if (entry := await self._entry(*pair))]
        refused = await self.store.put_documents(
            self.tenant, entries, known={entry.id: known[entry.id] for entry in entries}
        )
        await self.queue.submit(
            self.tenant, [each for each in entries if each.id not in refused and not each.final]
        )
        return pairs

    async def _side_by_side(self, rows: Sequence[Document]) -> list[Pair]:
        """Each row with what the new ledger has of it, read after it and so never older.

        What the new one seems to lack is read again from both: it may have been deleted since its
        page was read, or made ready. Otherwise a walk over a large collection that is changed all
        the time would always find something to do, and none would be the last.
        """
        pairs = await self._paired(rows)
        sure = [pair for pair in pairs if not _seems_to_lack(*pair)]
        again = await self._there(
            self.old, [row for row, there in pairs if _seems_to_lack(row, there)]
        )
        return sure + await self._paired([row for row in again.values() if row is not None])

    async def _paired(self, rows: Sequence[Document]) -> list[Pair]:
        there = await self._there(self.new, rows)
        return [(row, there[row.id]) for row in rows]

    async def _entry(self, row: Document, there: Document | None) -> Document | None:
        """What is to be put on the new ledger for a row of the old one; None: nothing."""
        if row.live_version not in (None, row.version) and not covers(there, row):
            searched = await self._searched(row)
            if is_behind(there, searched):
                return entering(searched, self.new.address)
            if there is not None and not there.final:
                return None
        if not is_behind(there, row) or self._is_left_to_its_worker(row):
            return None
        make = failing if row.status == "failed" else entering
        return make(row, self.new.address)

    def _is_left_to_its_worker(self, row: Document) -> bool:
        return not row.final and self._watched is not None and _mark(row) not in self._watched

    def _note(self, walk: Walk, row: Document, there: Document | None) -> None:
        """What the walk has found of a row, as it was before the walk came by."""
        walk.total += 1
        if self._watched and not row.final and _mark(row) in self._watched:
            walk.behind += 1
        elif covers(there, row):
            return
        elif there is None or is_behind(there, row):
            walk.moved += 1
        elif there.status == "failed":
            walk.failures.append(there)
        else:
            walk.behind += 1

    async def _searched(self, row: Document) -> Document:
        """The upload that searches find while a later one of the same document is not ready."""
        prefix = keys.folder(self.tenant, row.collection, row.id)
        async for key in self.blobs.keys(prefix):
            if keys.is_identity(key, row, row.live_version):
                about = json.loads(await self.blobs.get(key))
                return Document.model_validate(row.model_dump() | about | {"status": "queued"})
        return row

    async def _remove_strays(self, rows: Sequence[Document]) -> None:
        """Take off the new ledger what the old one has not.

        Either this catch-up has put it there while it was deleted, or a worker has, who will
        remove it as well; so that nothing follows from it for the walk.
        """
        there = await self._there(self.old, rows)
        for row in rows:
            if there[row.id] is None:
                with suppress(DocumentNotFound):
                    await self.store.delete_document(self.tenant, self.new.address, row.id)

    async def _room(self) -> None:
        while await self.unfinished() >= WAITING:  # noqa: ASYNC110 - others work them off
            await asyncio.sleep(LOOK_S)

    async def _there(
        self, generation: Collection, rows: Sequence[Document]
    ) -> dict[str, Document | None]:
        return await each_of(
            [row.id for row in rows],
            lambda document_id: find_row(self.store, self.tenant, generation.address, document_id),
        )


async def ledger_pages(store: Store, tenant: str, address: str) -> AsyncIterator[list[Document]]:
    """All rows of a ledger, some at a time."""
    cursor = None
    while True:
        page = await store.list_documents(tenant, address, cursor=cursor, limit=PAGE)
        yield page.documents
        if (cursor := page.cursor) is None:
            return


def _seems_to_lack(row: Document, there: Document | None) -> bool:
    """Whether a generation has less of a document than the one that the row is of."""
    return is_behind(there, row) or not covers(there, row)


def _mark(row: Document) -> tuple[str, datetime, int]:
    return row.id, *upload(row)
