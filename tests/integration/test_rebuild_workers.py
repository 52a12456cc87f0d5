"""A collection is rebuilt by ingestion workers beside a Qdrant server, and these may be killed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines.collections import Collections
from pipelines.documents import Documents, Upload
from pipelines.ports import RecallQuery
from pipelines.queue.celery import CeleryQueue
from pipelines.store.blobs import LocalBlobs
from pipelines.store.server import QdrantStore
from tests.support.ingest_worker import WorkerProcess
from tests.support.ingesting import founder
from tests.support.models import WordEmbedder
from tests.support.qdrant_server import StandIn
from tests.support.redis import RedisServer
from twofold.schema import Document, Rebuild, RebuildCollection

pytestmark = pytest.mark.anyio

TENANT = "mine"
PATIENCE_S = 150.0
DOCUMENTS = 60


class Site:
    """What an API process has, and one worker to harm."""

    def __init__(self, folder: Path, stand_in: StandIn, redis: RedisServer) -> None:
        self.store = QdrantStore(stand_in.server)
        self.queue = CeleryQueue(redis.url)
        blobs, new = LocalBlobs(folder / "data" / "files"), founder(WordEmbedder())
        self.documents = Documents(self.store, blobs, self.queue, new)
        self.collections = Collections(self.store, blobs, self.queue, new)
        told = {
            "QDRANT_URL": stand_in.server.url,
            "REDIS_URL": redis.url,
            "HEARTBEAT_S": "0.5",
            "DRAIN_S": "1",
        }
        self.worker = WorkerProcess(folder, told)

    async def upload(self, names: Sequence[str]) -> list[Document]:
        """Documents of many words that are ready."""
        uploads = []
        for name in names:
            data = " ".join(f"{name}x{number} stands here." for number in range(30)).encode()
            digest = sha256(data).hexdigest()
            uploads.append(Upload(name, data, len(data), digest, "text/plain", id=name))
        await self.documents.accept(TENANT, "docs", uploads)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                rows = [await self.store.get_document(TENANT, "docs", name) for name in names]
                if all(row.final for row in rows):
                    return rows
                await asyncio.sleep(0.1)

    async def rebuild(self) -> Rebuild:
        """How far it is."""
        rebuild = (await self.collections.describe(TENANT, "docs")).rebuild
        assert rebuild is not None
        return rebuild

    async def finds(self, name: str) -> bool:
        [dense] = WordEmbedder().embed_queries([f"{name}x7 stands here."])
        found = await self.store.recall(TENANT, "docs", RecallQuery(dense, None, limit=500))
        return name in {each.chunk.document_id for each in found}


@pytest.fixture
async def site(memory_path: Path, redis: RedisServer) -> AsyncIterator[Site]:
    stand_in = StandIn(memory_path / "qdrant")
    stand_in.start()
    parts = Site(memory_path, stand_in, redis)
    parts.worker.start()
    try:
        yield parts
    finally:
        parts.worker.kill()
        await parts.queue.close()
        await parts.store.close()
        stand_in.kill()


@pytest.mark.timeout(3 * PATIENCE_S)
async def test_a_worker_that_is_killed_in_mid_rebuild_is_followed_by_one_that_goes_on(
    site: Site,
) -> None:
    names = [f"n{number}" for number in range(DOCUMENTS)]
    assert {row.status for row in await site.upload(names)} == {"ready"}
    before = await site.collections.describe(TENANT, "docs")
    await site.collections.rebuild(TENANT, "docs", RebuildCollection(chunk_tokens=20))
    async with asyncio.timeout(PATIENCE_S):
        while not 0 < (await site.rebuild()).done < DOCUMENTS:
            assert await site.finds("n7")
            await asyncio.sleep(0.02)
        site.worker.kill()
        assert await site.finds("n7")
        site.worker.start()
        [late] = await site.upload(["late"])
        assert late.status == "ready"
        while (await site.rebuild()).state != "done":
            assert await site.finds("late")
            await asyncio.sleep(0.1)
    after = await site.collections.describe(TENANT, "docs")
    assert (after.chunk_tokens, after.documents) == (20, {"ready": DOCUMENTS + 1})
    assert after.passages > 2 * before.passages
    assert [name for name in [*names, "late"] if not await site.finds(name)] == []
