"""What the embedder of queries in this process does beside its contract: it refuses in time."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from pipelines.models.query import LocalQueryEmbedder
from pipelines.ports import Vector
from tests.support.models import WordEmbedder
from twofold.errors import Overloaded

pytestmark = pytest.mark.anyio


class SlowEmbedder(WordEmbedder):
    """Takes a second of a clock that stands still otherwise; stops at its gate."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.gate = threading.Event()
        self.gate.set()

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        assert self.gate.wait(30)
        self.now += 1.0
        return super().embed_queries(texts)


async def test_a_query_that_would_wait_too_long_is_refused_at_once() -> None:
    model = SlowEmbedder()
    queries = LocalQueryEmbedder(model, clock=lambda: model.now)
    await queries.embed("learn how long one takes", deadline=10.0)
    model.gate.clear()
    waiting = [asyncio.create_task(queries.embed(f"word{n}", deadline=21.0)) for n in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match=r"4 queries wait to be embedded, about 4\.0 s") as refused:
        await queries.embed("in a hurry", deadline=6.0)
    assert refused.value.retry_after == 1
    patient = asyncio.create_task(queries.embed("patient", deadline=21.0))
    model.gate.set()
    assert len(await asyncio.gather(*waiting, patient)) == 5


async def test_one_that_nobody_is_before_is_let_in_however_slow_the_model_was() -> None:
    model = SlowEmbedder()
    queries = LocalQueryEmbedder(model, clock=lambda: model.now)
    await queries.embed("slow", deadline=10.0)
    vector = await queries.embed("in a hurry", deadline=model.now + 0.5)
    assert vector.shape == (64,)
