"""Ingestion in real processes that are killed: nothing is lost, stuck or there twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines.documents import Documents, Upload
from pipelines.queue.celery import CeleryQueue
from pipelines.store.blobs import LocalBlobs
from pipelines.store.connection import Server
from pipelines.store.server import QdrantStore
from pipelines.work import DIED
from tests.support.ingest_worker import GATED, KILLER, WorkerProcess
from tests.support.ingesting import founder
from tests.support.models import WordEmbedder
from tests.support.qdrant_server import StandIn
from tests.support.redis import RedisServer
from twofold.schema import Document

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TENANT, COLLECTION = "mine", "default"
PATIENCE_S = 120.0


def upload(name: str, text: str) -> Upload:
    data = text.encode()
    return Upload(name, data, len(data), sha256(data).hexdigest(), "text/plain", id=name)


class Site:
    """What an API process has, and one worker to harm."""

    def __init__(self, folder: Path, server: Server, redis: RedisServer) -> None:
        self.redis = redis
        self.store = QdrantStore(server)
        self.queue = CeleryQueue(redis.url)
        self.documents = Documents(
            self.store, LocalBlobs(folder / "data" / "files"), self.queue, founder(WordEmbedder())
        )
        self.worker = WorkerProcess(
            folder,
            {
                "QDRANT_URL": server.url,
                "REDIS_URL": redis.url,
                "HEARTBEAT_S": "0.5",
                "DRAIN_S": "1",
            },
        )

    async def upload(self, texts: Sequence[str]) -> list[str]:
        uploads = [upload(f"n{number}", text) for number, text in enumerate(texts)]
        return [row.id for row in await self.documents.accept(TENANT, COLLECTION, uploads)]

    async def rows(self, names: Sequence[str]) -> list[Document]:
        return [await self.store.get_document(TENANT, COLLECTION, name) for name in names]

    async def until(self, *, in_work: int) -> None:
        """Wait until so many documents are in the worker's hands, and beat."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._beating() < in_work:
                await asyncio.sleep(0.05)

    async def _beating(self) -> int:
        """Rows in work that have given a sign of life since a moment ago."""
        before = {row.id: row.heartbeat_at async for _, row in self.store.unfinished()}
        await asyncio.sleep(0.7)
        after = {row.id: row.heartbeat_at async for _, row in self.store.unfinished()}
        return sum(beat is not None and beat != before.get(name) for name, beat in after.items())

    async def finished(self, names: Sequence[str], *, restart: bool = False) -> list[Document]:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if restart and not self.worker.alive:
                self.worker.start()
            count = await self.store.count_documents(TENANT, COLLECTION)
            if count.get("ready", 0) + count.get("failed", 0) == len(names):
                return await self.rows(names)
            await asyncio.sleep(0.1)
        raise AssertionError(f"{count}\n{self.worker.log.read_text()[-4_000:]}")

    async def require_whole(self, rows: Sequence[Document]) -> None:
        """Every document is searchable, once."""
        assert {row.status for row in rows} == {"ready"}
        for row in rows:
            chunks = await self.store.get_chunks(TENANT, COLLECTION, row.id)
            assert [chunk.ordinal for chunk in chunks] == [0]

    async def close(self) -> None:
        self.worker.kill()
        await self.queue.close()
        await self.store.close()


@pytest.fixture
async def site(memory_path: Path, redis: RedisServer) -> AsyncIterator[Site]:
    stand_in = StandIn(memory_path / "qdrant")
    stand_in.start()
    opened = Site(memory_path, stand_in.server, redis)
    yield opened
    await opened.close()
    stand_in.kill()


def notes(count: int) -> list[str]:
    """Texts of which every third waits at the gate."""
    return [f"note {n} {GATED if n % 3 == 0 else ''}" for n in range(count)]


async def test_a_worker_killed_in_mid_work_loses_nothing(site: Site) -> None:
    site.worker.gate.touch()
    names = await site.upload(notes(18))
    for _ in range(2):
        site.worker.start()
        await site.until(in_work=2)
        site.worker.kill()
    site.worker.gate.unlink()
    site.worker.start()
    rows = await site.finished(names)
    await site.require_whole(rows)
    assert max(row.attempts for row in rows) > 1, "nothing was in hand when it was killed"


async def test_a_document_that_kills_its_workers_fails_alone(site: Site) -> None:
    names = await site.upload([f"a {KILLER}", *notes(9)])
    killer, *others = await site.finished(names, restart=True)
    assert (killer.status, killer.attempts) == ("failed", 3)
    assert killer.error
    assert killer.error.code == DIED
    await site.require_whole(others)


async def test_redis_killed_and_emptied_loses_nothing(site: Site) -> None:
    site.worker.gate.touch()
    site.worker.start()
    names = await site.upload(notes(18))
    await site.until(in_work=4)
    site.redis.kill()
    [more] = await site.documents.accept(TENANT, COLLECTION, [upload("more", "a note")])
    site.redis.start()
    site.redis.flush()
    site.worker.gate.unlink()
    rows = await site.finished([*names, more.id])
    await site.require_whole(rows)
    assert {row.attempts for row in rows} == {1}


async def test_a_worker_that_is_stopped_puts_back_what_it_has_in_hand(site: Site) -> None:
    site.worker.gate.touch()
    site.worker.start()
    names = await site.upload([f"note {n} {GATED}" for n in range(5)])
    await site.until(in_work=4)
    assert site.worker.healthy()
    assert site.worker.terminate() == 0
    assert {(row.status, row.attempts) for row in await site.rows(names)} == {("queued", 0)}
    assert not site.worker.healthy()
    site.worker.gate.unlink()
    site.worker.start()
    rows = await site.finished(names)
    await site.require_whole(rows)
    assert {row.attempts for row in rows} == {1}
