"""What every ingest queue promises. An implementation joins by one entry in QUEUES."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import pytest
from celery.contrib.testing.worker import start_worker

from pipelines.build import IngestWorker
from pipelines.documents import Documents, Upload
from pipelines.drain import Drain
from pipelines.ingest import Ingest
from pipelines.ports import Block, IngestQueue, Parsed
from pipelines.queue.broker import celery_app
from pipelines.queue.celery import CeleryQueue
from pipelines.settings import Settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.edge import EdgeStore
from services.ingest.worker import register
from services.ingest.workshop import Workshop
from tests.support.ingesting import first_stage, founder, makers
from tests.support.models import WordEmbedder
from tests.support.redis import RedisServer
from twofold.errors import ParseError
from twofold.schema import Document

pytestmark = pytest.mark.anyio
TENANT = "mine"


class MoodyParser:
    """Reads UTF-8; a text that begins with `fails N` does so on its first N readings."""

    def __init__(self) -> None:
        self.readings: dict[str, int] = {}

    def parse(self, path: Path, *, name: str, media_type: str | None) -> Parsed:
        text = path.read_text(encoding="utf-8")
        self.readings[name] = readings = self.readings.get(name, 0) + 1
        word, _, number = text.partition(" ")
        if word == "fails" and readings <= int(number):
            raise ParseError("parser_timeout", "It took too long; try again.", retryable=True)
        if word == "lies":
            raise ParseError("corrupt", "It is no PDF; export it anew.")
        return Parsed(text, (Block(0, len(text)),), "text/plain")


class Bench:
    """A ledger that workers of the queue share with the test."""

    def __init__(self, folder: Path) -> None:
        self.store = EdgeStore.open(folder / "store")
        self.blobs = LocalBlobs(folder / "files")
        self.parser = MoodyParser()
        self.model = WordEmbedder()
        self.makers = makers(self.model)
        self.ingest = Ingest(
            store=self.store,
            blobs=self.blobs,
            parser=self.parser,
            makers=self.makers,
            heartbeat_s=0.1,
        )

    async def upload(self, queue: IngestQueue, texts: Sequence[str]) -> list[str]:
        """Accept a document for each text, and have the queue announce it; their ids."""
        documents = Documents(self.store, self.blobs, queue, founder(self.model))
        uploads = []
        for number, text in enumerate(texts):
            data, name = text.encode(), f"n{number}"
            digest = sha256(data).hexdigest()
            uploads.append(Upload(name, data, len(data), digest, "text/plain", id=name))
        return [row.id for row in await documents.accept(TENANT, "default", uploads)]

    async def row(self, name: str) -> Document:
        return await self.store.get_document(TENANT, "default", name)

    async def finished(self, names: Sequence[str]) -> list[Document]:
        async with asyncio.timeout(60):
            while True:
                rows = [await self.row(name) for name in names]
                if all(row.status in ("ready", "failed") for row in rows):
                    return rows
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        self.makers.close()
        await self.store.close()


class Forgetful:
    """The queue that forgets."""

    async def submit(self, tenant: str, documents: Sequence[Document]) -> None:
        pass


Open: TypeAlias = Callable[[Bench], AbstractAsyncContextManager[IngestQueue]]


@asynccontextmanager
async def thread(bench: Bench, redis_url: str) -> AsyncIterator[IngestQueue]:
    drain = Drain(bench.store, bench.ingest, first_stage(bench.store, bench.model))
    drain.start()
    try:
        yield drain
    finally:
        await asyncio.to_thread(drain.stop)


@asynccontextmanager
async def celery(bench: Bench, redis_url: str) -> AsyncIterator[IngestQueue]:
    @asynccontextmanager
    async def parts() -> AsyncIterator[IngestWorker]:
        yield IngestWorker(bench.store, bench.ingest, first_stage(bench.store, bench.model))

    settings = Settings.model_validate({"heartbeat_s": 0.1})
    workshop = Workshop(settings, redis_url, parts)
    await asyncio.to_thread(workshop.start)
    app = celery_app(redis_url, ingest_timeout_s=60)
    register(app, workshop)
    queue = CeleryQueue(redis_url)
    # Its threads are this process's, so that the ledger can be shared.
    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False):
        workshop.open()
        try:
            yield queue
        finally:
            await queue.close()
            workshop.drain(0)
    workshop.stop(20)


QUEUES: dict[str, Callable[[Bench, str], AbstractAsyncContextManager[IngestQueue]]] = {
    "thread": thread,
    "celery": celery,
}


@pytest.fixture(params=QUEUES)
def open_queue(request: pytest.FixtureRequest, redis: RedisServer) -> Open:
    return lambda bench: QUEUES[request.param](bench, redis.url)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    parts = Bench(tmp_path)
    yield parts
    await parts.close()


async def test_everything_that_is_submitted_gets_ready_or_failed(
    bench: Bench, open_queue: Open
) -> None:
    async with open_queue(bench) as queue:
        texts = [f"note {number}" if number % 5 else "lies" for number in range(40)]
        names = await bench.upload(queue, texts)
        rows = await bench.finished(names)
    states = ["ready" if number % 5 else "failed" for number in range(40)]
    assert [row.status for row in rows] == states
    assert {row.error.code for row in rows if row.error} == {"corrupt"}
    assert all(row.attempts == 1 for row in rows)
    assert set(bench.parser.readings.values()) == {1}


async def test_what_was_announced_again_is_not_done_again(bench: Bench, open_queue: Open) -> None:
    async with open_queue(bench) as queue:
        names = await bench.upload(queue, ["fails 0", "lies"])
        queued = [await bench.row(name) for name in names]
        for _ in range(5):
            await queue.submit(TENANT, queued)
        rows = await bench.finished(names)
        await queue.submit(TENANT, queued)
        # Whatever was announced until here has been taken when this one is finished.
        more = [f"note {number}" for number in range(3)]
        await bench.finished(await bench.upload(queue, [*["fails 0", "lies"], *more]))
    assert [row.status for row in rows] == ["ready", "failed"]
    assert bench.parser.readings["n0"] == 1


async def test_what_nobody_announced_is_found(bench: Bench, open_queue: Open) -> None:
    names = await bench.upload(Forgetful(), [f"note {number}" for number in range(20)])
    async with open_queue(bench):
        rows = await bench.finished(names)
    assert {row.status for row in rows} == {"ready"}


async def test_attempts_are_counted_and_limited(bench: Bench, open_queue: Open) -> None:
    async with open_queue(bench) as queue:
        names = await bench.upload(queue, ["fails 1", "fails 9", "note"])
        passing, lasting, fine = await bench.finished(names)
    assert (passing.status, passing.attempts, passing.error) == ("ready", 2, None)
    assert (lasting.status, lasting.attempts) == ("failed", 3)
    assert lasting.error
    assert lasting.error.code == "parser_timeout"
    assert (fine.status, fine.attempts) == ("ready", 1)


async def test_announcing_what_is_gone_or_replaced_does_nothing(
    bench: Bench, open_queue: Open
) -> None:
    names = await bench.upload(Forgetful(), ["replaced", "gone"])
    replaced, gone = [await bench.row(name) for name in names]
    await bench.upload(Forgetful(), ["newer"])
    await bench.store.delete_document(TENANT, "default", gone.id)
    async with open_queue(bench) as queue:
        await queue.submit(TENANT, [replaced, gone])
        [row] = await bench.finished([replaced.id])
    assert (row.status, row.version, row.live_version) == ("ready", 2, 2)
    assert bench.parser.readings == {replaced.name: 1}
