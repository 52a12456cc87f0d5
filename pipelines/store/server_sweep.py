"""What interrupted processes have left on a Qdrant server, and how it is told from what is needed.

- Removals that were written down and not finished, and places that were reserved and not taken.
- Spaces whose generation is not there any more: what a process wrote that had not looked since.
  Numbers of generations never come back, so nobody will ever look there.
- Chunks of uploads that no row is of, and that none calls live.
- Homes in which nothing lies any more.

What nothing is known of is left alone: it may belong to an entry that a restore has lost.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from pipelines.ports import plain_name
from pipelines.store import records
from pipelines.store.catalogue import place_of
from pipelines.store.conditions import every, match
from pipelines.store.connection import NoSuchCollection
from pipelines.store.records import Payload
from pipelines.store.remote import Ordering, RemoteCollection
from pipelines.store.server_catalogue import ServerCatalogue, View

log = logging.getLogger(__name__)

PAGE = 1_000  # chunks that are looked at in one call
SPACES = 100_000  # spaces of one home, the largest first, that are looked at in one sweep

_UPLOAD = ("space", "document", "upload")  # keys that tell an upload from all others


class Sweep:
    """One sweep over everything; safe at any time, beside whatever goes on."""

    def __init__(self, catalogue: ServerCatalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self) -> int:
        """Returns how many uploads were swept."""
        await self._finish_removals()
        swept = 0
        for home in await self._catalogue.homes("making", "open", "closing", "gone"):
            with suppress(NoSuchCollection):
                if home.state == "open":
                    there = await self._catalogue.home(home.name)
                    await self._dead_spaces(home.name, there)
                    swept += await self._chunks(there)
            await self._catalogue.give_up(home.name)
        return swept

    async def _finish_removals(self) -> None:
        reserved = await self._catalogue.entries(match("states", "reserved"))
        for view in await self._catalogue.entries(match("states", "dropping")):
            await self._catalogue.finish(view.tenant, view.entry.name)
        if reserved:
            await self._catalogue.settle()  # it takes a moment to take up a place
        for view in reserved:
            await self._unreserve(view)

    async def _unreserve(self, view: View) -> None:
        """Give back the places that were reserved when an entry was read, and still are."""
        old = {each.number for each in view.entry.generations if each.state == "reserved"}
        now = await self._catalogue.view(view.tenant, view.entry.name, fresh=True)
        for each in now.entry.generations:
            if each.state == "reserved" and each.number in old:
                await self._catalogue.change(
                    view.tenant,
                    view.entry.name,
                    lambda entry, number=each.number: entry.unreserved(number),  # type: ignore[misc]
                )

    async def _dead_spaces(self, home: str, there: RemoteCollection) -> None:
        """Empty the spaces of generations that are not there any more.

        The entries are read after the spaces. One that has a generation no longer never gets it
        back, and one that gets it has it before anything is written there.
        """
        spaces = await there.count_by("space", every(), limit=SPACES)
        for space in spaces:
            tenant, address = place_of(space)
            entry = (await self._catalogue.view(tenant, plain_name(address))).entry
            if any(each.collection.address == address for each in entry.generations):
                continue
            entry = (await self._catalogue.view(tenant, plain_name(address), fresh=True)).entry
            if entry.has_lost(address):
                await self._catalogue.purge(home, space)
            elif not any(each.collection.address == address for each in entry.generations):
                log.warning("nothing is known of '%s' in '%s', it is left alone", space, home)

    async def _chunks(self, there: RemoteCollection) -> int:
        swept = 0
        start: UUID | None = None
        while True:
            page, start = await there.page(
                every(match("kind", "chunk", "staged")), start=start, limit=PAGE, keys=_UPLOAD
            )
            swept += await self._orphans(there, page)
            if start is None:
                return swept

    async def _orphans(self, there: RemoteCollection, chunks: Sequence[Payload]) -> int:
        """Delete the uploads among these that no row is of, and that none calls live.

        The rows are read after the chunks. An upload that its row has left by then never comes
        back, so nothing that is deleted here can be needed by anybody.
        """
        found = {tuple(str(each[key]) for key in _UPLOAD) for each in chunks}
        points = {records.row_id(space, document) for space, document, _ in found}
        used: set[tuple[str, ...]] = set()
        for each in await there.get([*points], [*_UPLOAD, "live"]):
            place = (str(each["space"]), str(each["document"]))
            used |= {(*place, str(each[key])) for key in ("upload", "live") if each.get(key)}
        for upload in found - used:
            where = [match(key, value) for key, value in zip(_UPLOAD, upload, strict=True)]
            kind = match("kind", "chunk", "staged")
            await there.delete(every(*where, kind), Ordering.MEDIUM)
        return len(found - used)
