"""What every Reranker promises, whatever lies between the caller and the model."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
import pytest

from pipelines.ports import Reranker, RerankModel, RerankOutcome, RerankRequest
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.inprocess import InProcessReranker
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.reranker import RedisReranker
from pipelines.rerank.streams.worker import RedisWorker
from tests.support.redis import RedisServer
from tests.support.rerank_workers import BEAT_S, supervised
from tests.support.reranking import FATAL, NOT_A_NUMBER, POISON, OverlapModel

pytestmark = pytest.mark.anyio

ANSWER_MARGIN_S = 0.1
# Calls reach the workers, and are withdrawn from them, soon: not before the caller goes on.
ON_ITS_WAY_S = 0.5
QUERY = "red green blue"


def scheduler() -> Scheduler:
    """Batches of about ten passages, so that requests take several."""
    return Scheduler(budget=10, quantum=50, max_pairs=2_000)


@asynccontextmanager
async def in_process(model: RerankModel, _: RedisServer) -> AsyncIterator[Reranker]:
    yield InProcessReranker(model, scheduler=scheduler(), tokens=lambda _: 1, drain_s=1.0)


@asynccontextmanager
async def over_redis(model: RerankModel, server: RedisServer) -> AsyncIterator[Reranker]:
    """A worker on a thread of this process, and a stream of its own."""
    name = uuid.uuid4().hex

    def worker() -> RedisWorker:
        return RedisWorker(
            server.url,
            reranker=(name, model),
            scheduler=scheduler(),
            tokens=lambda _: 1,
            drain_s=1.0,
            beat_s=BEAT_S,
        )

    link = Link(server.url, beat_s=BEAT_S)
    with supervised(worker):
        reranker = RedisReranker(link, name, max_pairs=2_000, tokens=lambda _: 1, drain_s=1.0)
        await until_known(reranker)
        yield reranker
        await reranker.close()
        await link.close()


async def until_known(reranker: RedisReranker) -> None:
    """Wait until the worker has announced itself."""
    deadline = time.monotonic() + 10.0
    while await reranker.trouble():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture(params=[in_process, over_redis])
async def started(
    request: pytest.FixtureRequest, shared_redis: RedisServer
) -> AsyncIterator[tuple[Reranker, OverlapModel]]:
    build: Callable[[RerankModel, RedisServer], AbstractAsyncContextManager[Reranker]]
    build = request.param
    model = OverlapModel()
    async with build(model, shared_redis) as reranker:
        yield reranker, model
        model.gate.set()
        await reranker.close()


@pytest.fixture
def reranker(started: tuple[Reranker, OverlapModel]) -> Reranker:
    return started[0]


@pytest.fixture
def model(started: tuple[Reranker, OverlapModel]) -> OverlapModel:
    return started[1]


def ask(
    *passages: str, seconds: float = 20.0, query: str = QUERY, instruction: str | None = None
) -> RerankRequest:
    return RerankRequest(query, passages, time.monotonic() + seconds, instruction)


def many(n: int, label: str = "passage") -> tuple[str, ...]:
    return tuple(f"{label} {i} red" for i in range(n))


async def reached(model: OverlapModel) -> None:
    assert await asyncio.to_thread(model.entered.wait, 10)


async def test_every_passage_is_scored_in_the_order_it_came(reranker: Reranker) -> None:
    outcome = await reranker.rerank(ask("red green blue", "nothing", "red", "x" * 2_000))
    assert outcome.status == "applied"
    assert outcome.reason is None
    assert outcome.scores.dtype == np.float32
    assert outcome.scores.tolist() == pytest.approx([1.0, 0.0, 1 / 3, 0.0])
    assert outcome.truncated.tolist() == [False, False, False, True]
    assert outcome.queue_s >= 0.0
    assert outcome.compute_s >= 0.0


async def test_names_its_model_and_profile(reranker: Reranker, model: OverlapModel) -> None:
    assert reranker.model == model.name
    assert reranker.profile == model.profile


async def test_no_passages_are_applied_without_the_model(
    reranker: Reranker, model: OverlapModel
) -> None:
    outcome = await reranker.rerank(ask())
    assert (outcome.status, outcome.scores.shape) == ("applied", (0,))
    assert model.batches == []


async def test_query_and_instruction_reach_the_model(
    reranker: Reranker, model: OverlapModel
) -> None:
    await reranker.rerank(ask("red", instruction="find colours"))
    assert model.batches[0][0].query == QUERY
    assert model.batches[0][0].instruction == "find colours"


async def test_a_hundred_callers_each_get_their_own_scores(reranker: Reranker) -> None:
    async def one(number: int) -> RerankOutcome:
        return await reranker.rerank(ask("other", f"word{number}", query=f"word{number}"))

    outcomes = await asyncio.gather(*(one(number) for number in range(100)))
    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert all(outcome.scores.tolist() == [0.0, 1.0] for outcome in outcomes)


async def test_one_query_is_scored_as_one_group_whoever_asks(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    first = asyncio.create_task(reranker.rerank(ask("red")))
    await reached(model)
    waiting = [asyncio.create_task(reranker.rerank(ask(text))) for text in ("green", "none")]
    await asyncio.sleep(0.05)
    model.gate.set()
    outcomes = await asyncio.gather(first, *waiting)
    assert [sorted(pairs.passages) for pairs in model.batches[1]] == [["green", "none"]]
    assert [outcome.scores.tolist() for outcome in outcomes[1:]] == [[pytest.approx(1 / 3)], [0.0]]


async def test_answers_by_the_deadline_while_the_model_hangs(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    request = ask(*many(5), seconds=0.2)
    outcome = await reranker.rerank(request)
    assert time.monotonic() <= request.deadline + ANSWER_MARGIN_S
    assert outcome.status == "timeout"
    assert outcome.scored == 0
    assert outcome.reason


async def test_expired_work_never_reaches_the_model(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    stuck = asyncio.create_task(reranker.rerank(ask("red", seconds=5.0)))
    await reached(model)
    late = await reranker.rerank(ask("late", seconds=0.1))
    model.gate.set()
    assert (await stuck).status == "applied"
    assert (await reranker.rerank(ask("after"))).status == "applied"
    assert late.status in {"timeout", "overloaded"}
    assert model.seen == ["red", "after"]


async def test_what_is_scored_at_the_deadline_is_the_head(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    model.free = 2
    passages = many(200)
    outcome = await reranker.rerank(ask(*passages, seconds=1.0))
    scored = ~np.isnan(outcome.scores)
    assert outcome.status == "partial"
    assert outcome.scored == 20
    assert scored[: outcome.scored].all()
    assert outcome.reason is not None
    assert "20 of 200" in outcome.reason


async def test_a_deadline_in_the_past_is_a_timeout_without_the_model(
    reranker: Reranker, model: OverlapModel
) -> None:
    outcome = await reranker.rerank(ask("red", seconds=-1.0))
    assert outcome.status == "timeout"
    assert model.batches == []


async def test_more_than_the_queue_holds_is_refused_at_once(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    first = asyncio.create_task(reranker.rerank(ask(*many(10))))
    await reached(model)
    second = asyncio.create_task(reranker.rerank(ask(*many(1_985))))
    await asyncio.sleep(0.05)
    refused = await reranker.rerank(ask(*many(20)))
    model.gate.set()
    assert refused.status == "overloaded"
    assert refused.scored == 0
    assert refused.reason
    assert [(await task).status for task in (first, second)] == ["applied", "applied"]


async def test_a_request_that_a_hanging_model_would_miss_is_refused_at_once(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    stuck = asyncio.create_task(reranker.rerank(ask("red", seconds=5.0)))
    await reached(model)
    await asyncio.sleep(0.6)
    refused = await reranker.rerank(ask("green", seconds=0.4))
    model.gate.set()
    assert refused.status == "overloaded"
    assert (await stuck).status == "applied"


async def test_a_caller_that_leaves_takes_its_work_along(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    stuck = asyncio.create_task(reranker.rerank(ask("red")))
    await reached(model)
    leaving = asyncio.create_task(reranker.rerank(ask(*many(100, "left"))))
    staying = asyncio.create_task(reranker.rerank(ask("stays")))
    await asyncio.sleep(ON_ITS_WAY_S)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.sleep(ON_ITS_WAY_S)
    model.gate.set()
    assert [(await task).status for task in (stuck, staying)] == ["applied", "applied"]
    assert model.seen == ["red", "stays"]


@pytest.mark.parametrize("bad", [POISON, NOT_A_NUMBER])
async def test_a_poisonous_request_fails_alone(
    reranker: Reranker, model: OverlapModel, bad: str
) -> None:
    model.gate.clear()
    stuck = asyncio.create_task(reranker.rerank(ask("red")))
    await reached(model)
    asked = [
        asyncio.create_task(reranker.rerank(ask("red", query="red"))),
        asyncio.create_task(reranker.rerank(ask("red", bad, "green"))),
        asyncio.create_task(reranker.rerank(ask("green"))),
    ]
    await asyncio.sleep(0.05)
    model.gate.set()
    before, poisoned, after = await asyncio.gather(*asked)
    assert (await stuck).status == "applied"
    assert (before.status, after.status) == ("applied", "applied")
    assert poisoned.status == "error"
    assert poisoned.scored == 0
    assert poisoned.reason
    assert not np.isfinite(poisoned.scores).any()


async def test_an_error_after_the_head_was_scored_keeps_the_head(
    reranker: Reranker, model: OverlapModel
) -> None:
    outcome = await reranker.rerank(ask(*many(15), POISON))
    assert outcome.status == "partial"
    assert outcome.scored == 10
    assert len(model.seen) < 100


async def test_heals_after_its_worker_died(reranker: Reranker) -> None:
    died = await reranker.rerank(ask(FATAL))
    assert died.status == "unavailable"
    assert died.reason
    meanwhile = await reranker.rerank(ask("red"))
    assert meanwhile.status == "unavailable"
    deadline = time.monotonic() + 10.0
    while (healed := await reranker.rerank(ask("red"))).status != "applied":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert healed.scored == 1


async def test_close_finishes_what_runs_and_refuses_the_rest(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    running = asyncio.create_task(reranker.rerank(ask("red")))
    await reached(model)
    waiting = asyncio.create_task(reranker.rerank(ask("green")))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(reranker.close())
    refused = await waiting
    model.gate.set()
    await closing
    assert refused.status == "unavailable"
    assert (await running).status == "applied"
    assert (await reranker.rerank(ask("blue"))).status == "unavailable"
    assert model.seen == ["red"]


async def test_close_does_not_wait_for_a_model_that_hangs(
    reranker: Reranker, model: OverlapModel
) -> None:
    model.gate.clear()
    running = asyncio.create_task(reranker.rerank(ask("red")))
    await reached(model)
    await asyncio.wait_for(reranker.close(), 5.0)
    assert (await running).status == "unavailable"


async def test_may_be_closed_twice_and_unused(reranker: Reranker) -> None:
    await reranker.close()
    await reranker.close()
