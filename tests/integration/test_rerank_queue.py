"""The rerank queue over Redis, with workers on threads: what others send, who takes what, when."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from pipelines.ports import RerankRequest
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.streams.consumer import Consumer
from pipelines.rerank.streams.link import DEAD_REPLIES, Link
from pipelines.rerank.streams.queued_embedder import QueuedQueryEmbedder
from pipelines.rerank.streams.reranker import RedisReranker
from pipelines.rerank.streams.wire import GROUP, VERSION, RerankCall, Stream, seal
from pipelines.rerank.streams.worker import RedisWorker
from tests.support.models import WordEmbedder
from tests.support.redis import RedisServer
from tests.support.rerank_workers import BEAT_S, SupervisedWorker
from tests.support.reranking import OverlapModel
from twofold.errors import ConfigurationError

pytestmark = pytest.mark.anyio

Work = Callable[..., OverlapModel]


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def stream(name: str) -> Stream:
    return Stream.rerank(name)


@pytest.fixture
def work(shared_redis: RedisServer, name: str) -> Iterator[Work]:
    """Starts workers on threads; each has a model of its own, which the call returns."""
    running: list[tuple[SupervisedWorker, OverlapModel]] = []

    def start(**options: Any) -> OverlapModel:
        model = OverlapModel()
        arguments: dict[str, Any] = {
            "reranker": (name, model),
            "embedders": {name: WordEmbedder()},
            "tokens": lambda _: 1,
            "beat_s": BEAT_S,
            **options,
        }

        def build() -> RedisWorker:
            scheduler = Scheduler(budget=10, quantum=50)
            return RedisWorker(shared_redis.url, scheduler=scheduler, **arguments)

        running.append((SupervisedWorker(build), model))
        return model

    yield start
    for worker, model in running:
        model.gate.set()
        worker.stop()


@pytest.fixture
async def link(shared_redis: RedisServer) -> AsyncIterator[Link]:
    link = Link(shared_redis.url, beat_s=BEAT_S)
    yield link
    await link.close()


@pytest.fixture
async def reranker(link: Link, name: str) -> AsyncIterator[RedisReranker]:
    reranker = RedisReranker(link, name, tokens=lambda _: 1, drain_s=0.2)
    yield reranker
    await reranker.close()


def ask(*passages: str, seconds: float = 20.0) -> RerankRequest:
    return RerankRequest("red", passages, time.monotonic() + seconds)


async def ready(reranker: RedisReranker, workers: int = 1) -> None:
    async with asyncio.timeout(10.0):
        while await reranker.trouble() or len(reranker.workers) != workers:
            await asyncio.sleep(0.01)


async def entered(model: OverlapModel) -> None:
    assert await asyncio.to_thread(model.entered.wait, 10)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():
            await asyncio.sleep(0.01)


# --- What others send -----------------------------------------------------------------------

GARBAGE: list[dict[Any, Any]] = [
    {"x": "y"},
    {"v": "1", "id": "1", "body": b"\xff\xfe", "to": "twofold:replies:nobody"},
    {"v": "1", "id": b"\xff", "body": b"", "to": b"\xff"},
    {"v": "1", "id": "1", "body": b"\x80", "to": "twofold:rerank:elsewhere"},
    {f"field {number}": "x" * 10_000 for number in range(100)},
]


async def test_garbage_in_the_request_stream_is_put_aside_and_stops_nobody(
    reranker: RedisReranker,
    shared_redis: RedisServer,
    stream: Stream,
    work: Work,
    caplog: pytest.LogCaptureFixture,
) -> None:
    work()
    await ready(reranker)
    with shared_redis.client() as client:
        for fields in GARBAGE * 20:
            client.xadd(stream.key, fields)
        assert (await reranker.rerank(ask("red"))).status == "applied"
        assert client.xlen(stream.key) == 0
        assert client.xlen(stream.dead) == len(GARBAGE) * 20
        assert client.exists("twofold:rerank:elsewhere") == 0
        longest = max(len(v) for _, fields in client.xrange(stream.dead) for v in fields.values())
        assert longest <= 4_096
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(lines) <= 3, "the log is not filled by what others send"


async def test_garbage_in_the_reply_stream_is_put_aside_and_stops_nobody(
    reranker: RedisReranker, link: Link, shared_redis: RedisServer, work: Work
) -> None:
    work()
    await ready(reranker)
    with shared_redis.client() as client:
        for fields in GARBAGE:
            client.xadd(link.inbox, fields)
        assert (await reranker.rerank(ask("red"))).status == "applied"
        await until(lambda: client.xlen(DEAD_REPLIES) >= len(GARBAGE))
        assert (await reranker.rerank(ask("red"))).status == "applied"
        await until(lambda: client.xlen(link.inbox) == 0)


async def test_a_worker_says_so_to_a_caller_of_another_version(
    reranker: RedisReranker, link: Link, shared_redis: RedisServer, stream: Stream, work: Work
) -> None:
    work()
    await ready(reranker)
    call = RerankCall("red", ["red"], 0, 20.0, time.time() + 20.0)
    replies: list[Any] = []
    call_id = link.expect(replies.append)
    fields = seal(call_id, call, to=link.inbox)
    pairs = dict(zip(fields[::2], fields[1::2], strict=True)) | {"v": "0"}
    with shared_redis.client() as client:
        client.xadd(stream.key, pairs)
    await until(lambda: len(replies) == 1)
    assert replies[0].status == "error"
    assert f"wire version 0 and this process speaks {VERSION}" in replies[0].reason


async def test_a_reply_of_another_version_is_an_error_that_says_so(
    reranker: RedisReranker, link: Link, shared_redis: RedisServer, name: str, work: Work
) -> None:
    model = work()
    await ready(reranker)
    model.gate.clear()
    asked = asyncio.create_task(reranker.rerank(ask("red")))
    await entered(model)
    with shared_redis.client() as client:
        client.xadd(link.inbox, {"v": "9", "id": "0", "body": b"?"})
    outcome = await asked
    assert outcome.status == "error"
    assert "wire version 9" in (outcome.reason or "")


async def test_workers_of_another_version_alone_are_unavailable_at_once(
    reranker: RedisReranker, shared_redis: RedisServer, stream: Stream
) -> None:
    with shared_redis.client() as client:
        client.sadd(stream.workers, "stranger")
        client.set(stream.worker("stranger"), b"9 whatever that version says")
        outcome = await reranker.rerank(ask("red"))
        assert outcome.status == "unavailable"
        assert "another version" in (outcome.reason or "")
        assert client.xlen(stream.key) == 0


async def test_no_worker_is_unavailable_at_once_and_nothing_is_sent(
    reranker: RedisReranker, shared_redis: RedisServer, stream: Stream
) -> None:
    outcome = await reranker.rerank(ask("red"))
    assert outcome.status == "unavailable"
    assert "services.reranker" in (outcome.reason or "")
    with shared_redis.client() as client:
        assert client.xlen(stream.key) == 0


async def test_text_that_is_not_unicode_is_an_error_and_no_exception(
    reranker: RedisReranker, work: Work
) -> None:
    work()
    await ready(reranker)
    outcome = await reranker.rerank(ask("red", "half a pair: \ud83d"))
    assert outcome.status == "error"
    assert "surrogate" in (outcome.reason or "")


def test_a_url_that_is_none_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="TWOFOLD_REDIS_URL"):
        Link("http://nowhere")
    with pytest.raises(ConfigurationError, match="TWOFOLD_REDIS_URL"):
        RedisWorker("nowhere", reranker=("name", OverlapModel()))


async def test_a_key_that_somebody_else_has_spoilt_is_unavailable_until_it_is_mended(
    reranker: RedisReranker, link: Link, shared_redis: RedisServer, stream: Stream, work: Work
) -> None:
    work()
    await ready(reranker)
    with shared_redis.client() as client:
        client.delete(stream.epoch)
        client.lpush(stream.epoch, "not a string")
        await until(lambda: link.down is not None)
        spoilt = await reranker.rerank(ask("red"))
        assert spoilt.status == "unavailable"
        assert "WRONGTYPE" in (spoilt.reason or "")
        client.delete(stream.epoch)
    await ready(reranker)
    assert (await reranker.rerank(ask("red"))).status == "applied"


# --- Who takes what -------------------------------------------------------------------------


async def test_a_large_request_is_spread_over_the_workers(
    reranker: RedisReranker, work: Work
) -> None:
    models = [work(), work()]
    await ready(reranker, workers=2)
    for model in models:
        model.gate.clear()
    asked = asyncio.create_task(reranker.rerank(ask(*(f"red {n}" for n in range(1_000)))))
    for model in models:
        await entered(model)
        model.gate.set()
    assert (await asked).status == "applied"
    assert sorted(models[0].seen + models[1].seen) == sorted(f"red {n}" for n in range(1_000))


async def test_a_busy_worker_leaves_to_idle_ones_what_it_has_no_room_for(
    reranker: RedisReranker, work: Work
) -> None:
    stuck = work()
    await ready(reranker)
    stuck.gate.clear()
    first = asyncio.create_task(reranker.rerank(ask("red stuck")))
    await entered(stuck)
    idle = work()
    await ready(reranker, workers=2)
    asked = await asyncio.gather(*(reranker.rerank(ask(f"red {n}")) for n in range(40)))
    assert {outcome.status for outcome in asked} == {"applied"}
    assert len(idle.seen) == 40
    stuck.gate.set()
    assert (await first).status == "applied"


async def test_many_large_requests_at_once_do_not_take_the_link_down(
    reranker: RedisReranker, link: Link, work: Work
) -> None:
    work()
    await ready(reranker)
    text = "red " * 100_000
    outcomes = await asyncio.gather(*(reranker.rerank(ask(text)) for _ in range(64)))
    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert link.down is None


async def test_several_models_run_side_by_side(
    reranker: RedisReranker, link: Link, work: Work
) -> None:
    other = uuid.uuid4().hex
    another = RedisReranker(link, other, tokens=lambda _: 1)
    here, there = work(), OverlapModel()
    work(reranker=(other, there), embedders=None)
    await ready(reranker)
    await ready(another)
    outcomes = await asyncio.gather(reranker.rerank(ask("here")), another.rerank(ask("there")))
    assert [outcome.status for outcome in outcomes] == ["applied", "applied"]
    assert (here.seen, there.seen) == (["here"], ["there"])
    await another.close()


async def test_queries_overtake_the_passages_that_wait(
    reranker: RedisReranker, link: Link, name: str, work: Work
) -> None:
    model = work()
    embedder = QueuedQueryEmbedder(link, name)
    await ready(reranker)
    model.gate.clear()
    model.free = 0
    asked = asyncio.create_task(reranker.rerank(ask(*(f"red {n}" for n in range(200)))))
    await entered(model)
    query = asyncio.create_task(embedder.embed("red", deadline=time.monotonic() + 20.0))
    await asyncio.sleep(0.2)
    model.free = len(model.batches) + 1
    model.gate.set()
    await query
    assert len(model.seen) < 200, "one batch at most came before it"
    assert (await asked).status == "applied"


async def test_what_nobody_waits_for_any_more_leaves_the_stream(
    reranker: RedisReranker, shared_redis: RedisServer, stream: Stream, work: Work
) -> None:
    model = work()
    await ready(reranker)
    model.gate.clear()
    stuck = asyncio.create_task(reranker.rerank(ask("red")))
    await entered(model)
    late = await reranker.rerank(ask(*(f"late {n}" for n in range(100)), seconds=0.2))
    assert late.status in {"timeout", "overloaded"}
    with shared_redis.client() as client:
        await until(lambda: client.xlen(stream.key) == 1)
        model.gate.set()
        assert (await stuck).status == "applied"
        await until(lambda: client.xlen(stream.key) == 0)
        assert client.xpending(stream.key, GROUP)["pending"] == 0


async def test_the_work_of_other_api_processes_counts_at_admission(
    reranker: RedisReranker, shared_redis: RedisServer, name: str, work: Work
) -> None:
    model = work()
    theirs = Link(shared_redis.url, beat_s=BEAT_S)
    other = RedisReranker(theirs, name, tokens=lambda _: 1, max_pairs=1_000, drain_s=0.1)
    await ready(reranker)
    await ready(other)
    await reranker.rerank(ask(*(f"red {n}" for n in range(500))))
    model.gate.clear()
    asked = [
        asyncio.create_task(reranker.rerank(ask(*(f"red {n}" for n in range(500)))))
        for _ in range(3)
    ]
    await entered(model)
    await asyncio.sleep(5 * BEAT_S)
    refused = await other.rerank(ask(*(f"red {n}" for n in range(500))))
    assert refused.status == "overloaded"
    model.gate.set()
    assert {(await each).status for each in asked} == {"applied"}
    await other.close()
    await theirs.close()


# --- When -----------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_host_whose_clock_is_wrong_works_as_well_as_any(
    reranker: RedisReranker, work: Work, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    skew = hours * 3_600
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + skew)
    model = work(clock=lambda: time.monotonic() + skew)
    await ready(reranker)
    assert (await reranker.rerank(ask("red", seconds=2.0))).status == "applied"
    model.gate.clear()
    stuck = asyncio.create_task(reranker.rerank(ask("stuck", seconds=5.0)))
    await until(lambda: "stuck" in model.seen)
    late = await reranker.rerank(ask("late", seconds=0.2))
    model.gate.set()
    assert late.status in {"timeout", "overloaded"}
    assert (await stuck).status == "applied"
    assert "late" not in model.seen


async def test_what_expired_on_its_way_never_reaches_the_model(
    reranker: RedisReranker, link: Link, shared_redis: RedisServer, stream: Stream, work: Work
) -> None:
    """Its API process is dead, so nobody has taken it back."""
    replies: list[Any] = []
    ids = [link.expect(replies.append) for _ in range(2)]
    await link.start()
    now = link.clock.now()
    with shared_redis.client() as client:
        spent = RerankCall("red", ["budget spent"], 0, 0.05, now + 1_000.0)
        over = RerankCall("red", ["deadline over"], 0, 1_000.0, now - 1.0)
        for call_id, call in zip(ids, (spent, over), strict=True):
            client.execute_command("XADD", stream.key, "*", *seal(call_id, call, to=link.inbox))
    await asyncio.sleep(0.2)
    model = work()
    await until(lambda: len(replies) == 2)
    assert [reply.status for reply in replies] == ["timeout", "timeout"]
    assert model.seen == []


async def test_what_a_dead_worker_held_is_taken_over(
    reranker: RedisReranker, link: Link, shared_redis: RedisServer, stream: Stream, work: Work
) -> None:
    ghost = RedisWorker(shared_redis.url, reranker=(stream.key.split(":")[-1], OverlapModel()))
    consumer: Consumer = ghost._consumer
    consumer.join()
    replies: list[Any] = []
    await link.start()
    call = RerankCall("red", ["red"], 0, 20.0, link.clock.now() + 20.0)
    with shared_redis.client() as client:
        fields = seal(link.expect(replies.append), call, to=link.inbox)
        client.execute_command("XADD", stream.key, "*", *fields)
    assert len(consumer.read({stream: 1})) == 1
    consumer.close()
    work()
    await until(lambda: len(replies) == 1)
    assert replies[0].unpacked().scores.tolist() == [1.0]
