"""What callers do to collections: make, look, instruct, rebuild, delete.

How a rebuild goes on from there is in rebuild.py; here it is begun, and ended early.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter

from pipelines import keys
from pipelines.catchup import ledger_pages
from pipelines.documents import requeued
from pipelines.founding import Founder
from pipelines.ports import Blobs, Collection, Generation, IngestQueue, Store
from pipelines.rebuild_note import RebuildNote, rebuild_of
from twofold.errors import CollectionNotFound, Conflict, RebuildNotFound
from twofold.schema import (
    ChangeCollection,
    CollectionInfo,
    ComparedQuery,
    CreateCollection,
    Rebuild,
    RebuildCollection,
)

_queries = TypeAdapter(list[ComparedQuery])


@dataclass(frozen=True)
class Collections:
    """The collections of tenants as callers see them."""

    store: Store
    blobs: Blobs
    queue: IngestQueue
    founder: Founder

    async def create(self, tenant: str, wanted: CreateCollection) -> CollectionInfo:
        """Make a collection.

        Raises:
            CollectionExists: The tenant has one of this name.
            InvalidRequest: This server cannot make it so.
        """
        made = await self.store.create_collection(tenant, self.founder.founded(wanted))
        return await self._info(tenant, made)

    async def all(self, tenant: str) -> list[CollectionInfo]:
        """The tenant's, by name."""
        return [
            await self._info(tenant, each) for each in await self.store.list_collections(tenant)
        ]

    async def describe(self, tenant: str, name: str) -> CollectionInfo:
        """One of them. Raises CollectionNotFound."""
        return await self._info(tenant, await self.store.get_collection(tenant, name))

    async def change(self, tenant: str, name: str, change: ChangeCollection) -> CollectionInfo:
        """Set the instructions that the request names; the next search goes by them."""
        now = await self.store.get_collection(tenant, name)
        wanted = {
            "query_instruction": now.query_instruction,
            "rerank_instruction": now.rerank_instruction,
            **change.model_dump(exclude_unset=True),
        }
        changed = await self.store.instruct_collection(tenant, name, **wanted)
        return await self._info(tenant, changed)

    async def delete(self, tenant: str, name: str) -> CollectionInfo:
        """Remove a collection with all that is in it; returns what it was.

        Its files are listed before and removed after, so that those of a new collection of the
        same name are not among them. Asked again after an interruption, it removes what is left.
        """
        files = [key async for key in self.blobs.keys(keys.shelf(tenant, name))]
        try:
            was = await self.describe(tenant, name)
            await self.store.delete_collection(tenant, name)
        finally:
            if not await self._exists(tenant, name):
                for key in files:
                    await self.blobs.delete(key)
        return was

    async def rebuild(self, tenant: str, name: str, wanted: RebuildCollection) -> CollectionInfo:
        """Begin to rebuild a collection beside itself, or go on with the same rebuild.

        One that waits because documents have failed tries those again.

        Raises:
            RebuildUnderWay: It is being rebuilt, with other settings.
            InvalidRequest: This server cannot make it so.
        """
        now = await self.store.get_collection(tenant, name)
        new = await self.store.begin_generation(tenant, self.founder.rebuilt(now, wanted))
        under_way = rebuild_of(await self._building(tenant, name))
        if under_way is not None and not under_way.resting:
            return await self.describe(tenant, name)
        kept = keys.compared(tenant, new)
        if wanted.queries:
            await self.blobs.put(kept, _queries.dump_json(wanted.queries))
        else:
            await self.blobs.delete(kept)
        await self._requeue(tenant, new)
        begun = datetime.now(UTC)
        rebuild = Rebuild(
            state="building",
            embedder=new.embedder,
            dimensions=new.dimensions,
            chunk_tokens=new.chunk_tokens or 0,
            language=new.language or "",
            switch=wanted.switch,
            started_at=begun,
            updated_at=begun,
        )
        await self.store.note_generation(tenant, new.address, rebuild.model_dump_json())
        await self.queue.submit(tenant, [])
        return await self.describe(tenant, name)

    async def switch(self, tenant: str, name: str) -> CollectionInfo:
        """Put a rebuild in force that waits for it.

        Raises:
            RebuildNotFound: There is none.
            Conflict: It does not wait for that.
        """
        building = await self._building(tenant, name)
        rebuild = rebuild_of(building)
        if rebuild is None or rebuild.state != "waiting":
            state = rebuild.state if rebuild else "about to begin"
            raise Conflict(
                reason=f"the rebuild of '{name}' is '{state}', and only one that is 'waiting' can "
                "be switched to"
            )
        note = RebuildNote(self.store, tenant, building.collection, rebuild)
        await note.say("switching")
        await self.store.switch_generation(tenant, name, building.collection.generation)
        return await self.describe(tenant, name)

    async def cancel(self, tenant: str, name: str) -> CollectionInfo:
        """Give a rebuild up: searches have never seen anything of it.

        Raises:
            RebuildNotFound: There is none, or its switch has been.
        """
        building = (await self._building(tenant, name)).collection
        await self.store.drop_generation(tenant, name, building.generation)
        await self.blobs.delete(keys.compared(tenant, building))
        return await self.describe(tenant, name)

    async def _building(self, tenant: str, name: str) -> Generation:
        for each in await self.store.generations(tenant, name):
            if each.state == "building":
                return each
        raise RebuildNotFound(collection=name)

    async def _requeue(self, tenant: str, generation: Collection) -> None:
        """Give the documents that have failed in a generation all their attempts again."""
        async for rows in ledger_pages(self.store, tenant, generation.address):
            failed = [row for row in rows if row.status == "failed"]
            await self.store.put_documents(
                tenant, [requeued(row) for row in failed], known={row.id: row for row in failed}
            )

    async def _exists(self, tenant: str, name: str) -> bool:
        try:
            await self.store.get_collection(tenant, name)
        except CollectionNotFound:
            return False
        return True

    async def _info(self, tenant: str, collection: Collection) -> CollectionInfo:
        generations = await self.store.generations(tenant, collection.name)
        return CollectionInfo(
            name=collection.name,
            embedder=collection.embedder,
            dimensions=collection.dimensions,
            chunk_tokens=collection.chunk_tokens or 0,
            language=collection.language or "",
            query_instruction=collection.query_instruction,
            rerank_instruction=collection.rerank_instruction,
            documents=await self.store.count_documents(tenant, collection.address),
            passages=await self.store.count_passages(tenant, collection.address),
            rebuild=_latest(generations),
        )


def _latest(generations: Sequence[Generation]) -> Rebuild | None:
    """The rebuild that is under way, else the one that the live generation came from."""
    rebuilds = [rebuild for each in generations if (rebuild := rebuild_of(each))]
    return rebuilds[-1] if rebuilds else None
