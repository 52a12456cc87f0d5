import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from pipelines.ports import RerankRequest
from pipelines.rerank.cached import CachedReranker
from pipelines.rerank.inprocess import InProcessReranker
from tests.support.reranking import POISON, OverlapModel

pytestmark = pytest.mark.anyio


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def model() -> OverlapModel:
    return OverlapModel()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def reranker(model: OverlapModel, clock: Clock) -> AsyncIterator[CachedReranker]:
    cached = CachedReranker(InProcessReranker(model), entries=100, ttl_s=60.0, clock=clock)
    yield cached
    model.gate.set()
    await cached.close()


def ask(
    *passages: str,
    query: str = "red green",
    tenant: str = "mine",
    instruction: str | None = None,
    seconds: float = 20.0,
) -> RerankRequest:
    return RerankRequest(query, passages, time.monotonic() + seconds, instruction, tenant)


async def test_the_same_question_reaches_the_model_once(reranker, model):
    first = await reranker.rerank(ask("red", "none", "red green"))
    second = await reranker.rerank(ask("red", "none", "red green"))
    assert len(model.seen) == 3
    assert (first.cached, second.cached) == (0, 3)
    np.testing.assert_array_equal(second.scores, first.scores)
    assert (second.status, second.reason) == ("applied", None)


async def test_only_what_is_new_reaches_the_model_and_every_score_finds_its_place(reranker, model):
    await reranker.rerank(ask("red", "none"))
    outcome = await reranker.rerank(ask("green red", "none", "x" * 2_000, "red"))
    assert model.seen[2:] == ["green red", "x" * 2_000]
    assert outcome.scores.tolist() == [1.0, 0.0, 0.0, 0.5]
    assert outcome.truncated.tolist() == [False, False, True, False]
    assert outcome.cached == 2
    again = await reranker.rerank(ask("x" * 2_000))
    assert again.truncated.tolist() == [True], "that it was cut is remembered too"


@pytest.mark.parametrize(
    "other", [{"tenant": "other"}, {"query": "red"}, {"instruction": "find"}, {"instruction": ""}]
)
async def test_another_tenant_query_or_instruction_is_another_question(reranker, model, other):
    await reranker.rerank(ask("red"))
    outcome = await reranker.rerank(ask("red", **other))
    assert outcome.cached == 0
    assert len(model.seen) == 2


async def test_parts_of_a_question_are_not_confused_by_where_they_end(reranker):
    await reranker.rerank(ask("c", query="b", tenant="a"))
    assert (await reranker.rerank(ask("c", query="", tenant="ab"))).cached == 0


async def test_a_score_is_computed_again_when_its_time_is_over(reranker, clock):
    await reranker.rerank(ask("red"))
    clock.now = 61.0
    assert (await reranker.rerank(ask("red"))).cached == 0


async def test_the_memory_is_bounded(model):
    cached = CachedReranker(InProcessReranker(model), entries=10, ttl_s=60.0)
    await cached.rerank(ask(*(f"red {number}" for number in range(50))))
    assert (await cached.rerank(ask("red 0", "red 49"))).cached == 1
    await cached.close()


async def test_what_failed_is_not_remembered(reranker, model):
    failed = await reranker.rerank(ask(POISON))
    assert failed.status == "error"
    assert (await reranker.rerank(ask(POISON))).status == "error"
    assert len(model.batches) >= 2


async def test_known_scores_stand_when_the_model_does_not_answer_in_time(reranker, model):
    await reranker.rerank(ask("red", "red green"))
    model.gate.clear()
    outcome = await reranker.rerank(ask("red", "green", "red green", seconds=0.2))
    assert outcome.status == "partial"
    np.testing.assert_array_equal(outcome.scores, np.float32([0.5, np.nan, 1.0]))
    assert outcome.reason.startswith("2 of 3 passages have a score from before")


async def test_nothing_to_score_is_applied(reranker):
    assert (await reranker.rerank(ask())).status == "applied"


async def test_callers_at_once_each_get_their_scores(reranker):
    outcomes = await asyncio.gather(*(reranker.rerank(ask("red", f"n{n}")) for n in range(20)))
    assert all(outcome.scores.tolist() == [0.5, 0.0] for outcome in outcomes)
