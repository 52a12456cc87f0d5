"""What is particular to queries that are embedded by workers: that there may be none."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from pipelines.embedders import Embedders
from pipelines.ports import Collection
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.queued_embedder import QueuedQueryEmbedder
from pipelines.rerank.streams.worker import RedisWorker
from tests.support.models import WordEmbedder
from tests.support.redis import RedisServer
from tests.support.rerank_workers import BEAT_S, supervised
from twofold.errors import Unavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def link(shared_redis: RedisServer) -> AsyncIterator[Link]:
    link = Link(shared_redis.url, beat_s=BEAT_S)
    yield link
    await link.close()


async def until_served(embedder: QueuedQueryEmbedder) -> None:
    async with asyncio.timeout(10.0):
        while await embedder.trouble():
            await asyncio.sleep(0.01)


async def test_without_a_worker_ever_nobody_knows_the_model(link: Link) -> None:
    embedder = QueuedQueryEmbedder(link, uuid.uuid4().hex)
    await link.start()
    with pytest.raises(Unavailable, match="no worker that embeds") as error:
        Embedders(embedder).of(Collection("notes", "words-64", 64))
    assert error.value.retry_after
    with pytest.raises(Unavailable, match="no worker that embeds"):
        await embedder.embed("red", deadline=time.monotonic() + 10.0)


async def test_a_model_that_was_announced_once_stays_known(
    link: Link, shared_redis: RedisServer
) -> None:
    name = uuid.uuid4().hex
    first = QueuedQueryEmbedder(link, name)
    with supervised(
        lambda: RedisWorker(shared_redis.url, embedders={name: WordEmbedder()}, beat_s=BEAT_S)
    ):
        await until_served(first)
    later = Link(shared_redis.url)
    second = QueuedQueryEmbedder(later, name)
    await later.start()
    assert (second.name, second.dimensions) == ("words-64", 64)
    assert Embedders(second).of(Collection("notes", "words-64", 64)) is second
    with pytest.raises(Unavailable, match="no worker that embeds"):
        await second.embed("red", deadline=time.monotonic() + 10.0)
    await later.close()


async def test_no_more_queries_wait_than_may(link: Link, shared_redis: RedisServer) -> None:
    name = uuid.uuid4().hex
    embedder = QueuedQueryEmbedder(link, name, most=0)
    with supervised(
        lambda: RedisWorker(shared_redis.url, embedders={name: WordEmbedder()}, beat_s=BEAT_S)
    ):
        await until_served(embedder)
        with pytest.raises(Unavailable, match="0 queries wait"):
            await embedder.embed("red", deadline=time.monotonic() + 10.0)
