"""The rerank queue with real processes, which are killed, stopped and started again."""

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from pipelines.ports import RerankOutcome, RerankRequest
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.reranker import RedisReranker
from pipelines.rerank.streams.wire import GROUP, Stream
from tests.support.redis import RedisServer
from tests.support.worker_process import BEAT_S, CRASH, WorkerProcess

pytestmark = pytest.mark.anyio

ANSWER_MARGIN_S = 0.1
HEALED_S = 10.0
START_S = 30.0

Start = Callable[..., WorkerProcess]


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def start(redis: RedisServer, name: str, tmp_path: Path) -> Iterator[Start]:
    """Starts workers of the stream; they end with the test."""
    workers: list[WorkerProcess] = []

    def start_worker(**options: float) -> WorkerProcess:
        log = tmp_path / f"worker-{len(workers)}.log"
        workers.append(WorkerProcess(redis.url, name, log, **options))
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.close()


@pytest.fixture
async def reranker(redis: RedisServer, name: str) -> AsyncIterator[RedisReranker]:
    link = Link(redis.url, beat_s=BEAT_S)
    reranker = RedisReranker(link, name, tokens=lambda _: 1, drain_s=1.0)
    yield reranker
    await reranker.close()
    await link.close()


def ask(passages: int = 1, *, seconds: float = 30.0, label: str = "red") -> RerankRequest:
    texts = tuple(f"{label} {number}" for number in range(passages))
    return RerankRequest("red", texts, time.monotonic() + seconds)


async def ready(reranker: RedisReranker, workers: int = 1) -> None:
    async with asyncio.timeout(START_S):
        while len(reranker.workers) < workers:
            await reranker.trouble()
            await asyncio.sleep(0.05)


async def pending(redis: RedisServer, name: str) -> None:
    """Wait until a worker has taken something up."""
    stream = Stream.rerank(name)
    with redis.client() as client:
        async with asyncio.timeout(START_S):
            while not client.xpending(stream.key, GROUP)["pending"]:
                await asyncio.sleep(0.02)


async def healed(reranker: RedisReranker) -> RerankOutcome:
    """Ask, until there is an answer in full; no longer than a fault may last."""
    async with asyncio.timeout(HEALED_S):
        while (outcome := await reranker.rerank(ask(seconds=2.0))).status != "applied":
            await asyncio.sleep(0.05)
        return outcome


async def test_another_worker_takes_over_from_one_that_was_killed(
    reranker: RedisReranker, redis: RedisServer, name: str, start: Start
) -> None:
    first = start(seconds=0.3)
    await ready(reranker)
    asked = asyncio.create_task(reranker.rerank(ask(10)))
    await pending(redis, name)
    start()
    await ready(reranker, workers=2)
    first.send(signal.SIGKILL)
    assert (await asked).status == "applied"
    with redis.client() as client:
        assert client.xlen(Stream.rerank(name).key) == 0


async def test_a_request_that_kills_every_worker_is_given_up_with_a_dead_letter(
    reranker: RedisReranker, redis: RedisServer, name: str, start: Start
) -> None:
    workers = [start() for _ in range(4)]
    await ready(reranker, workers=4)
    outcome = await reranker.rerank(ask(1, label=CRASH))
    assert outcome.status == "error"
    assert "given up after 3" in (outcome.reason or "")
    assert sum(worker.process.poll() is None for worker in workers) == 1
    with redis.client() as client:
        assert client.xlen(Stream.rerank(name).dead) == 1
    assert (await healed(reranker)).scored == 1


async def test_a_stopped_worker_makes_a_search_late_by_no_more_than_the_margin(
    reranker: RedisReranker, start: Start
) -> None:
    worker = start()
    await ready(reranker)
    assert (await reranker.rerank(ask())).status == "applied"
    worker.send(signal.SIGSTOP)
    for _ in range(3):
        request = ask(seconds=0.3)
        outcome = await reranker.rerank(request)
        assert time.monotonic() <= request.deadline + ANSWER_MARGIN_S
        assert outcome.status in {"timeout", "overloaded", "unavailable"}
    worker.send(signal.SIGCONT)
    await healed(reranker)


async def test_what_a_worker_scored_before_it_was_stopped_is_kept(
    reranker: RedisReranker, start: Start
) -> None:
    worker = start(seconds=0.02)
    await ready(reranker)
    asked = asyncio.create_task(reranker.rerank(ask(200, seconds=3.0)))
    await asyncio.sleep(1.0)
    worker.send(signal.SIGSTOP)
    outcome = await asked
    assert outcome.status == "partial"
    assert 0 < outcome.scored < 200
    worker.send(signal.SIGCONT)
    await healed(reranker)


async def test_redis_killed_and_restarted(
    reranker: RedisReranker, redis: RedisServer, name: str, start: Start
) -> None:
    start(seconds=0.3)
    await ready(reranker)
    asked = asyncio.create_task(reranker.rerank(ask(10)))
    await pending(redis, name)
    redis.kill()
    async with asyncio.timeout(HEALED_S):
        while (outcome := await reranker.rerank(ask())).status != "unavailable":
            await asyncio.sleep(0.05)
    assert "Redis" in (outcome.reason or "")
    redis.start()
    await healed(reranker)
    assert (await asked).status == "applied", "what was under way is answered after all"


async def test_a_redis_that_hangs_makes_no_answer_late(
    reranker: RedisReranker, redis: RedisServer, start: Start
) -> None:
    start()
    await ready(reranker)
    redis.pause()
    try:
        for _ in range(3):
            request = ask(seconds=0.4)
            outcome = await reranker.rerank(request)
            assert time.monotonic() <= request.deadline + ANSWER_MARGIN_S
            assert outcome.status in {"timeout", "unavailable"}
    finally:
        redis.resume()
    await healed(reranker)


async def test_a_flush_in_mid_run_loses_nothing(
    reranker: RedisReranker, redis: RedisServer, name: str, start: Start
) -> None:
    start(seconds=0.1)
    await ready(reranker)
    asked = [asyncio.create_task(reranker.rerank(ask(10))) for _ in range(4)]
    await pending(redis, name)
    redis.flush()
    await healed(reranker)
    assert [(await each).status for each in asked] == ["applied"] * 4


async def test_sigterm_finishes_what_was_read_and_leaves_the_rest_to_others(
    reranker: RedisReranker, redis: RedisServer, name: str, start: Start
) -> None:
    worker = start(seconds=0.1)
    await ready(reranker)
    asked = [asyncio.create_task(reranker.rerank(ask(10))) for _ in range(5)]
    await pending(redis, name)
    worker.send(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0
    start()
    assert [(await each).status for each in asked] == ["applied"] * 5


async def test_a_model_that_does_not_come_back_is_left_when_the_time_to_drain_is_over(
    reranker: RedisReranker, redis: RedisServer, name: str, start: Start
) -> None:
    worker = start(seconds=60.0, drain_s=0.2)
    await ready(reranker)
    asked = asyncio.create_task(reranker.rerank(ask(1)))
    await pending(redis, name)
    worker.send(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 0
    assert "handed back" in worker.log.read_text()
    start()
    assert (await asked).status == "applied"


async def test_a_second_signal_ends_a_worker_at_once(
    reranker: RedisReranker, redis: RedisServer, name: str, start: Start
) -> None:
    worker = start(seconds=60.0, drain_s=60.0)
    await ready(reranker)
    asked = asyncio.create_task(reranker.rerank(ask(1, seconds=5.0)))
    await pending(redis, name)
    worker.send(signal.SIGTERM)
    await asyncio.sleep(0.5)
    worker.send(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait) == 128 + signal.SIGTERM
    asked.cancel()


async def test_a_worker_waits_for_a_redis_that_is_not_up_yet(
    reranker: RedisReranker, redis: RedisServer, start: Start
) -> None:
    redis.kill()
    worker = start()
    await asyncio.sleep(1.0)
    assert worker.process.poll() is None
    redis.start()
    await ready(reranker)
    await healed(reranker)


async def test_a_dead_api_process_leaves_nothing_for_ever(
    reranker: RedisReranker, redis: RedisServer, start: Start
) -> None:
    start()
    await ready(reranker)
    await reranker.rerank(ask())
    with redis.client() as client:
        [replies] = client.scan_iter("twofold:replies:*")
        assert 0 < client.ttl(replies) <= 60
