"""What every QueryEmbedder promises, wherever the model is."""

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
import pytest

from pipelines.models.query import LocalQueryEmbedder
from pipelines.ports import Embedder, QueryEmbedder, Vector
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.queued_embedder import QueuedQueryEmbedder
from pipelines.rerank.streams.worker import RedisWorker
from tests.support.models import WordEmbedder
from tests.support.redis import RedisServer
from tests.support.rerank_workers import BEAT_S, supervised
from twofold.errors import TwofoldError

pytestmark = pytest.mark.anyio

ANSWER_MARGIN_S = 0.1
POISON = "poison"


class GatedEmbedder(WordEmbedder):
    """Stands still while its gate is shut, fails on poison, and notes what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.told: list[tuple[str, str | None]] = []

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        self.entered.set()
        assert self.gate.wait(30), "a test left the gate shut"
        self.told += [(text, instruction) for text in texts]
        if any(POISON in text for text in texts):
            raise RuntimeError("poisoned")
        return super().embed_queries(texts)


@asynccontextmanager
async def local(model: Embedder, _: RedisServer) -> AsyncIterator[QueryEmbedder]:
    yield LocalQueryEmbedder(model)


@asynccontextmanager
async def queued(model: Embedder, server: RedisServer) -> AsyncIterator[QueryEmbedder]:
    """A worker on a thread of this process, and a stream of its own."""
    name = uuid.uuid4().hex
    link = Link(server.url, beat_s=BEAT_S)
    embedder = QueuedQueryEmbedder(link, name)
    with supervised(lambda: RedisWorker(server.url, embedders={name: model}, beat_s=BEAT_S)):
        async with asyncio.timeout(10.0):
            while await embedder.trouble():
                await asyncio.sleep(0.01)
        yield embedder
    await link.close()


@pytest.fixture
def model() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture(params=[local, queued])
async def embedder(
    request: pytest.FixtureRequest, model: GatedEmbedder, shared_redis: RedisServer
) -> AsyncIterator[QueryEmbedder]:
    build: Callable[[Embedder, RedisServer], AbstractAsyncContextManager[QueryEmbedder]]
    build = request.param
    async with build(model, shared_redis) as embedder:
        yield embedder
        model.gate.set()


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


async def test_the_vector_is_the_models_own(embedder: QueryEmbedder) -> None:
    vector = await embedder.embed("red green", deadline=soon())
    assert (vector.shape, vector.dtype) == ((64,), np.float32)
    np.testing.assert_array_equal(vector, WordEmbedder().embed_queries(["red green"])[0])


async def test_it_is_known_whose_vectors_they_are(
    embedder: QueryEmbedder, model: GatedEmbedder
) -> None:
    assert (embedder.name, embedder.dimensions) == (model.name, model.dimensions)


async def test_the_instruction_reaches_the_model(
    embedder: QueryEmbedder, model: GatedEmbedder
) -> None:
    await embedder.embed("red", instruction="find colours", deadline=soon())
    await embedder.embed("green", deadline=soon())
    assert model.told == [("red", "find colours"), ("green", None)]


async def test_a_hundred_callers_each_get_their_own_vector(embedder: QueryEmbedder) -> None:
    queries = [f"word{number}" for number in range(100)]
    vectors = await asyncio.gather(*(embedder.embed(q, deadline=soon()) for q in queries))
    np.testing.assert_array_equal(vectors, WordEmbedder().embed_queries(queries))


async def test_what_waited_past_its_deadline_never_reaches_the_model(
    embedder: QueryEmbedder, model: GatedEmbedder
) -> None:
    model.gate.clear()
    first = asyncio.create_task(embedder.embed("red", deadline=soon()))
    assert await asyncio.to_thread(model.entered.wait, 10)
    late = [embedder.embed(f"late{number}", deadline=soon(0.2)) for number in range(8)]
    outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert [type(each) for each in outcomes] == [TimeoutError] * 8
    model.gate.set()
    await first
    await embedder.embed("green", deadline=soon())
    assert [text for text, _ in model.told] == ["red", "green"]


async def test_the_deadline_comes_first_while_the_model_hangs(
    embedder: QueryEmbedder, model: GatedEmbedder
) -> None:
    model.gate.clear()
    deadline = soon(0.2)
    with pytest.raises(TimeoutError):
        await embedder.embed("red", deadline=deadline)
    assert time.monotonic() <= deadline + ANSWER_MARGIN_S
    model.gate.set()
    assert (await embedder.embed("green", deadline=soon())).shape == (64,)


async def test_a_deadline_in_the_past_is_a_timeout(embedder: QueryEmbedder) -> None:
    with pytest.raises(TimeoutError):
        await embedder.embed("red", deadline=soon(-1.0))


async def test_a_poisonous_query_fails_alone(embedder: QueryEmbedder, model: GatedEmbedder) -> None:
    model.gate.clear()
    stuck = asyncio.create_task(embedder.embed("red", deadline=soon()))
    assert await asyncio.to_thread(model.entered.wait, 10)
    queries = ["green", POISON, "blue"]
    asked = [asyncio.create_task(embedder.embed(query, deadline=soon())) for query in queries]
    await asyncio.sleep(0.05)
    model.gate.set()
    before, poisoned, after = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(before, np.ndarray)
    assert isinstance(poisoned, RuntimeError | TwofoldError)
    assert isinstance(after, np.ndarray)
    assert (await stuck).shape == (64,)


async def test_a_query_that_is_not_unicode_is_an_error(embedder: QueryEmbedder) -> None:
    try:
        await embedder.embed("half a pair: \ud83d", deadline=soon())
    except (TwofoldError, UnicodeError):
        return
    # A model that does not mind is welcome to it.
    assert isinstance(embedder, LocalQueryEmbedder)
