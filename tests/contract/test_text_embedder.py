"""What every TextEmbedder promises: the one in the process and the one over Redis."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
import pytest

from pipelines.models.texts import LocalTextEmbedder
from pipelines.ports import Embedder, TextEmbedder, Vector
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.queued_embedder import QueuedQueryEmbedder
from pipelines.rerank.streams.worker import RedisWorker
from tests.support.lent import KnownEmbedder
from tests.support.models import WordEmbedder
from tests.support.redis import RedisServer
from tests.support.rerank_workers import BEAT_S, supervised
from twofold.errors import Unavailable

pytestmark = pytest.mark.anyio

Build = Callable[[Embedder, RedisServer], AbstractAsyncContextManager[TextEmbedder]]


@asynccontextmanager
async def in_process(model: Embedder, _: RedisServer) -> AsyncIterator[TextEmbedder]:
    yield LocalTextEmbedder(model)


@asynccontextmanager
async def over_redis(model: Embedder, server: RedisServer) -> AsyncIterator[TextEmbedder]:
    name = uuid.uuid4().hex
    with supervised(lambda: RedisWorker(server.url, embedders={name: model}, beat_s=BEAT_S)):
        link = Link(server.url, beat_s=BEAT_S)
        embedder = QueuedQueryEmbedder(link, name)
        async with asyncio.timeout(20.0):
            while await embedder.trouble():
                await asyncio.sleep(0.01)
        yield embedder
        await link.close()


@pytest.fixture(params=[in_process, over_redis])
def build(request: pytest.FixtureRequest) -> Build:
    made: Build = request.param
    return made


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


async def test_both_kinds_of_text_are_read_by_their_own_verb(
    build: Build, shared_redis: RedisServer
) -> None:
    model = KnownEmbedder()
    texts = [f"bread number {number}" for number in range(70)]
    async with build(model, shared_redis) as embedder:
        passages = await embedder.embed_texts(texts, kind="passage", deadline=soon())
        queries = await embedder.embed_texts(texts, kind="query", deadline=soon())
    assert np.array_equal(passages, model.embed_passages(texts))
    assert np.array_equal(queries, model.embed_queries(texts))


async def test_it_says_what_the_model_can(build: Build, shared_redis: RedisServer) -> None:
    async with build(KnownEmbedder(), shared_redis) as embedder:
        assert (embedder.name, embedder.dimensions) == ("words-64", 64)
        assert (embedder.min_dimensions, embedder.max_tokens) == (16, 200)
    async with build(WordEmbedder(), shared_redis) as embedder:
        assert embedder.min_dimensions == 64


async def test_nothing_is_embedded_after_the_deadline(
    build: Build, shared_redis: RedisServer
) -> None:
    model = KnownEmbedder()
    async with build(model, shared_redis) as embedder:
        with pytest.raises(TimeoutError):
            await embedder.embed_texts(["bread"], kind="passage", deadline=soon(-1.0))
    assert model.embedded == 0


class Broken(WordEmbedder):
    def embed_passages(self, texts: Sequence[str]) -> Vector:
        raise RuntimeError("broken")


async def test_a_model_that_fails_is_an_error(build: Build, shared_redis: RedisServer) -> None:
    async with build(Broken(), shared_redis) as embedder:
        with pytest.raises((RuntimeError, Unavailable)):
            await embedder.embed_texts(["a", "b"], kind="passage", deadline=soon())
