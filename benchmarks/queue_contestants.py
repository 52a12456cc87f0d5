"""The contestants of B6: one way each to have passages scored by another process over one Redis.

    .venv/bin/python benchmarks/queue_contestants.py NAME URL        serves as the worker of one

Every client is asynchronous, with one task that takes the replies, and every worker is one thread
with a model that costs nothing. The bodies are the same bytes: MessagePack, checked by schema on
arrival. The raw ones do nothing else: no deadline, no admission, no second worker that takes over.
Celery is used as its documentation shows, with JSON, a result backend and one process.
"""

import asyncio
import itertools
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import celery
import msgspec
import numpy as np
import redis
import redis.asyncio as aioredis

from pipelines.ports import Pairs, PairScores, RerankProfile, RerankRequest
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.reranker import RedisReranker
from pipelines.rerank.streams.worker import RedisWorker

NAME = "benchmark"
REQUESTS, GROUP = "bench:requests", "workers"
DEADLINE_S = 60.0
MOST_PAIRS = 1_000_000

Call = Callable[[Sequence[str]], Any]


class Request(msgspec.Struct):
    """What the raw contestants send."""

    id: str
    to: str
    query: str
    passages: list[str]


_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Request).decode


def score(passages: Sequence[str]) -> bytes:
    """The work: none."""
    return np.zeros(len(passages), np.float32).tobytes()


class Device:
    """A rerank model that takes so many seconds a token of four characters."""

    name = "device"
    profile = RerankProfile(depth=50, weight=0.5, calibrated=True)

    def __init__(self, per_token_s: float = 0.0) -> None:
        self._per_token_s = per_token_s

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        """Zeros, after a while."""
        if self._per_token_s:
            time.sleep(
                self._per_token_s * sum(len(text) // 4 + 16 for p in batch for text in p.passages)
            )
        return [
            PairScores(np.zeros(len(p.passages), np.float32), np.zeros(len(p.passages), np.bool_))
            for p in batch
        ]


# --- Workers --------------------------------------------------------------------------------


def serve_streams(url: str) -> None:
    """XREADGROUP, then reply, XACK and XDEL in one pipeline."""
    client = redis.Redis.from_url(url, protocol=2, socket_timeout=None)
    with suppress(redis.ResponseError):
        client.xgroup_create(REQUESTS, GROUP, id="0", mkstream=True)
    while True:
        found: Any = client.xreadgroup(GROUP, "one", {REQUESTS: ">"}, count=1, block=0)
        for entry, fields in found[0][1]:
            request = _decode(fields[b"body"])
            pipeline = client.pipeline(transaction=False)
            pipeline.xadd(request.to, {"id": request.id, "scores": score(request.passages)})
            pipeline.xack(REQUESTS, GROUP, entry)
            pipeline.xdel(REQUESTS, entry)
            pipeline.execute()


def serve_blpop(url: str) -> None:
    """BLPOP, then RPUSH: what is in a worker's hands when it dies is lost."""
    client = redis.Redis.from_url(url, protocol=2, socket_timeout=None)
    while True:
        found: Any = client.blpop([REQUESTS])
        request = _decode(found[1])
        client.rpush(request.to, request.id.encode() + b" " + score(request.passages))


def serve_pubsub(url: str) -> None:
    """Subscribe and publish: what comes while nobody listens is lost."""
    client = redis.Redis.from_url(url, protocol=2, socket_timeout=None)
    channel = client.pubsub(ignore_subscribe_messages=True)
    channel.subscribe(REQUESTS)
    for message in channel.listen():
        request = _decode(message["data"])
        client.publish(request.to, request.id.encode() + b" " + score(request.passages))


def celery_app(url: str) -> celery.Celery:
    """An app with the one task."""
    app = celery.Celery(NAME, broker=url, backend=url)
    app.conf.update(worker_prefetch_multiplier=1, result_expires=60)

    @app.task(name="score")
    def _score(query: str, passages: list[str]) -> list[float]:  # noqa: ARG001
        return [0.0] * len(passages)

    return app


def serve_celery(url: str) -> None:
    """One process that runs tasks one by one, without what it would say to other workers."""
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR")
    celery_app(url).worker_main(["worker", "--pool=solo", "--concurrency=1", *quiet])


def serve_twofold(url: str, per_token_s: float = 0.0) -> None:
    """The worker of the product."""
    scheduler = Scheduler(max_pairs=MOST_PAIRS)
    RedisWorker(url, reranker=(NAME, Device(per_token_s)), scheduler=scheduler).run()


# --- Clients --------------------------------------------------------------------------------


class Waiting:
    """Calls that wait for their replies, by id."""

    def __init__(self) -> None:
        self.inbox = f"bench:replies:{uuid.uuid4().hex}"
        self._ids = map(str, itertools.count())
        self._futures: dict[str, asyncio.Future[bytes]] = {}

    def request(self, passages: Sequence[str]) -> tuple[bytes, asyncio.Future[bytes]]:
        """A body to send, and what its scores will be in."""
        number = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._futures[number] = future
        return _encode(Request(number, self.inbox, "query", list(passages))), future

    def answer(self, number: bytes, scores: bytes) -> None:
        """The scores of a call are there."""
        future = self._futures.pop(number.decode())
        if not future.done():
            future.set_result(scores)


@asynccontextmanager
async def _receiving(url: str, receive: Callable[..., Any]) -> AsyncIterator[tuple[Any, Waiting]]:
    waiting = Waiting()
    sending = aioredis.Redis.from_url(url, protocol=2, socket_timeout=None, max_connections=256)
    reading = aioredis.Redis.from_url(url, protocol=2, socket_timeout=None)
    task = asyncio.create_task(receive(reading, waiting))
    yield sending, waiting
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await sending.aclose()
    await reading.aclose()


@asynccontextmanager
async def streams(url: str) -> AsyncIterator[Call]:
    """Calls over raw streams."""

    async def receive(client: Any, waiting: Waiting) -> None:
        last = b"0"
        while True:
            [[_, entries]] = await client.xread({waiting.inbox: last}, count=100, block=0)
            for _, fields in entries:
                waiting.answer(fields[b"id"], fields[b"scores"])
            last = entries[-1][0]

    async with _receiving(url, receive) as (client, waiting):

        async def call(passages: Sequence[str]) -> None:
            body, answer = waiting.request(passages)
            await client.xadd(REQUESTS, {"body": body})
            np.frombuffer(await answer, np.float32)

        yield call


@asynccontextmanager
async def blpop(url: str) -> AsyncIterator[Call]:
    """Calls over lists."""

    async def receive(client: Any, waiting: Waiting) -> None:
        while True:
            _, reply = await client.blpop([waiting.inbox])
            number, _, scores = reply.partition(b" ")
            waiting.answer(number, scores)

    async with _receiving(url, receive) as (client, waiting):

        async def call(passages: Sequence[str]) -> None:
            body, answer = waiting.request(passages)
            await client.rpush(REQUESTS, body)
            np.frombuffer(await answer, np.float32)

        yield call


@asynccontextmanager
async def pubsub(url: str) -> AsyncIterator[Call]:
    """Calls over channels."""

    async def receive(client: Any, waiting: Waiting) -> None:
        channel = client.pubsub(ignore_subscribe_messages=True)
        await channel.subscribe(waiting.inbox)
        async for message in channel.listen():
            number, _, scores = message["data"].partition(b" ")
            waiting.answer(number, scores)

    async with _receiving(url, receive) as (client, waiting):

        async def call(passages: Sequence[str]) -> None:
            body, answer = waiting.request(passages)
            await client.publish(REQUESTS, body)
            np.frombuffer(await answer, np.float32)

        yield call


@asynccontextmanager
async def celery_task(url: str) -> AsyncIterator[Call]:
    """Calls as tasks whose results are waited for, which Celery does on threads."""
    app = celery_app(url)
    task = app.tasks["score"]
    with ThreadPoolExecutor(128) as threads:

        def one(passages: Sequence[str]) -> None:
            task.delay("query", list(passages)).get(timeout=DEADLINE_S)

        async def call(passages: Sequence[str]) -> None:
            await asyncio.get_running_loop().run_in_executor(threads, one, passages)

        yield call
    app.close()


@asynccontextmanager
async def twofold(url: str) -> AsyncIterator[Call]:
    """Calls of the product: admission, deadline, partial replies and all."""
    link = Link(url)
    reranker = RedisReranker(link, NAME, max_pairs=MOST_PAIRS)

    async def call(passages: Sequence[str]) -> None:
        outcome = await reranker.rerank(
            RerankRequest("query", passages, time.monotonic() + DEADLINE_S)
        )
        if outcome.status != "applied":
            raise RuntimeError(f"{outcome.status}: {outcome.reason}")

    yield call
    await reranker.close()
    await link.close()


CLIENTS = {
    "raw streams": streams,
    "raw BLPOP": blpop,
    "raw pub/sub": pubsub,
    "celery": celery_task,
    "twofold": twofold,
}
WORKERS: dict[str, Callable[..., None]] = {
    "raw streams": serve_streams,
    "raw BLPOP": serve_blpop,
    "raw pub/sub": serve_pubsub,
    "celery": serve_celery,
    "twofold": serve_twofold,
}

if __name__ == "__main__":
    WORKERS[sys.argv[1]](sys.argv[2], *map(float, sys.argv[3:]))
