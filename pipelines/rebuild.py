"""Rebuilds a collection beside itself: uploads and searches go on, and nothing is lost between.

    1. begin     a new, empty generation with the settings to be          `collections.rebuild`
    2. copy      rows of the live ledger, `queued`, for the ordinary workers
    3. catch up  until a walk over both ledgers finds nothing to do
    4. compare   on given queries, if there are any
    5. switch    at one moment, by itself or when somebody says so
    6. collect   what came to the old ledger last
    7. drop      the old generation, once no search can be in it any more

All of it is on the store: how far a rebuild is stands in the note beside its generation. So each
step may be interrupted anywhere and is done again by whoever comes next, and two processes that do
the same at once do no harm.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from pipelines import keys
from pipelines.catchup import CatchUp, Walk, ledger_pages
from pipelines.comparison import FirstStage, compare
from pipelines.ports import Blobs, Collection, Generation, IngestQueue, Store
from pipelines.rebuild_note import RebuildNote, rebuild_of
from twofold.errors import NotFound, StorageFull, TwofoldError, Unavailable
from twofold.schema import ComparedQuery

log = logging.getLogger(__name__)

LINGER_S = 130.0
"""Seconds that a former generation is kept: longer than the longest deadline of a search."""
LOOK_S = 1.0
LOOKS = 30  # before another walk begins, whether or not all of the last one is worked off

_queries = TypeAdapter(list[ComparedQuery])


@dataclass
class Rebuilder:
    """Drives all rebuilds that are under way, each in a task of its own; for one event loop.

    Args:
        store: With the generations and their notes.
        blobs: With the queries to compare.
        queue: Told of documents that are to be done.
        first_stage: Answers the queries of comparisons.
        linger_s: Seconds between the switch and the end of the old generation.
        look_s: Seconds between two looks at something that takes time.
    """

    store: Store
    blobs: Blobs
    queue: IngestQueue
    first_stage: FirstStage
    linger_s: float = field(default_factory=lambda: LINGER_S)
    look_s: float = field(default_factory=lambda: LOOK_S)
    _running: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict, repr=False)

    async def round(self) -> None:
        """Go on with what is to be gone on with, beside the caller."""
        async for tenant, generation in self.store.unsettled():
            place = tenant, generation.collection.address
            if place not in self._running:
                self._running[place] = asyncio.create_task(self._drive(tenant, generation))
        self._running = {place: task for place, task in self._running.items() if not task.done()}

    async def rest(self) -> None:
        """Leave it all as it is, for another process or a later time."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running = {}

    async def _drive(self, tenant: str, generation: Generation) -> None:
        collection, rebuild = generation.collection, rebuild_of(generation)
        try:
            if generation.state == "former":
                await self._retire(tenant, collection)
            elif rebuild is not None and rebuild.state in ("building", "comparing", "switching"):
                await self._build(RebuildNote(self.store, tenant, collection, rebuild))
        except NotFound:
            log.info("the rebuild of '%s' was cancelled", collection.name)
        except (Unavailable, StorageFull) as trouble:
            log.warning("the rebuild of '%s' waits: %s", collection.name, trouble.message)
            await asyncio.sleep(LOOKS * self.look_s)
        except Exception:
            log.exception("the rebuild of '%s' is tried again", collection.name)
            await asyncio.sleep(LOOKS * self.look_s)

    async def _build(self, note: RebuildNote) -> None:
        """Steps 2 to 5."""
        old = await self.store.get_collection(note.tenant, note.collection.name)
        walk = await self._catch_up(old, note)
        try:
            await self._compare(old, note)
        except Unavailable:
            raise
        except TwofoldError as trouble:
            await note.say("failed", f"The comparison failed: {trouble.message}")
            return
        if walk.failures:
            await note.say(
                "waiting",
                "Documents that searches find now have failed; rebuild again to have them tried "
                "once more, switch without them, or cancel.",
            )
        elif note.rebuild.switch == "manual":
            await note.say("waiting", "All documents are there; it waits for the switch.")
        else:
            await note.say("switching")
            new = note.collection
            await self.store.switch_generation(note.tenant, new.name, new.generation)

    async def _catch_up(self, old: Collection, note: RebuildNote) -> Walk:
        """Steps 2 and 3."""
        ledgers = CatchUp(self.store, self.blobs, self.queue, note.tenant, old, note.collection)
        counting = asyncio.create_task(self._count(old, note))
        try:
            while not (walk := await ledgers.follow()).settled:
                await self._worked_off(ledgers)
        finally:
            counting.cancel()
            await asyncio.wait([counting])
        await note.found(walk)
        return walk

    async def _worked_off(self, ledgers: CatchUp) -> None:
        for _ in range(LOOKS):
            await asyncio.sleep(self.look_s)
            if not await ledgers.unfinished():
                return

    async def _count(self, old: Collection, note: RebuildNote) -> None:
        """Write down now and then how many documents are there."""
        while True:
            with suppress(TwofoldError):
                await note.count(old)
            await asyncio.sleep(self.look_s)

    async def _compare(self, old: Collection, note: RebuildNote) -> None:
        """Step 4, where there is something to compare by."""
        try:
            kept = await self.blobs.get(keys.compared(note.tenant, note.collection))
        except KeyError:
            return
        await note.say("comparing")
        comparison = await compare(
            _queries.validate_json(kept),
            self.first_stage.over(note.tenant, old),
            self.first_stage.over(note.tenant, note.collection),
        )
        await note.write(comparison=comparison)

    async def _retire(self, tenant: str, old: Collection) -> None:
        """Steps 6 and 7."""
        note = await self._live_note(tenant, old.name)
        if note is not None and note.rebuild.state != "done":
            await CatchUp(
                self.store, self.blobs, self.queue, tenant, old, note.collection
            ).collect()
            await note.say("done")
            log.info("collection '%s' is rebuilt, and searched as it is now", old.name)
        if note is not None:
            await asyncio.sleep(max(0.0, self.linger_s - note.age_s))
            await self.blobs.delete(keys.compared(tenant, note.collection))
        await self._remove_texts(tenant, old)
        await self.store.drop_generation(tenant, old.name, old.generation)

    async def _live_note(self, tenant: str, name: str) -> RebuildNote | None:
        for generation in await self.store.generations(tenant, name):
            if generation.state == "live" and (rebuild := rebuild_of(generation)):
                return RebuildNote(self.store, tenant, generation.collection, rebuild)
        return None

    async def _remove_texts(self, tenant: str, old: Collection) -> None:
        """The texts that the offsets of the old generation count in."""
        async for rows in ledger_pages(self.store, tenant, old.address):
            for row in rows:
                for version in {row.live_version, row.version} - {None}:
                    await self.blobs.delete(keys.text(tenant, row, version))
