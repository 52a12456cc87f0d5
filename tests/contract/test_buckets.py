"""Token buckets: the same promises in one process and over Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.api import buckets as module
from services.api.buckets import Buckets, LocalBuckets, RedisBuckets
from tests.support.redis import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["local", "redis"])
async def buckets(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Buckets]:
    if request.param == "local":
        yield LocalBuckets()
        return
    server: RedisServer = request.getfixturevalue("shared_redis")
    monkeypatch.setattr(module, "REDIS_S", 20.0)  # a busy machine is no Redis that is away
    shared = RedisBuckets(Redis.from_url(server.url), prefix=f"test:{request.node.name}:")
    yield shared
    assert shared._away_until == 0.0
    await shared.close()


async def test_a_minutes_worth_may_come_at_once_and_then_one_waits(buckets: Buckets) -> None:
    for _ in range(3):
        assert await buckets.spend("a", 1, per_minute=3) == 0
    assert 0 < await buckets.spend("a", 1, per_minute=3) <= 20


async def test_a_refusal_costs_nothing(buckets: Buckets) -> None:
    assert await buckets.spend("a", 1, per_minute=1) == 0
    waits = [await buckets.spend("a", 1, per_minute=1) for _ in range(5)]
    assert all(0 < wait <= 60 for wait in waits)
    assert waits == sorted(waits, reverse=True)


async def test_what_is_owed_is_paid_by_waiting(buckets: Buckets) -> None:
    assert await buckets.spend("a", 0, per_minute=10) == 0
    assert await buckets.spend("a", 50, per_minute=10, owing=True) == 0
    wait = await buckets.spend("a", 0, per_minute=10)
    assert 180 < wait <= 246  # 41 tokens at one in six seconds
    assert await buckets.spend("a", 5, per_minute=10, owing=True) == 0


async def test_a_bucket_is_no_business_of_another(buckets: Buckets) -> None:
    assert await buckets.spend("a", 1, per_minute=1) == 0
    assert await buckets.spend("b", 1, per_minute=1) == 0


async def test_many_at_once_get_exactly_what_there_is(buckets: Buckets) -> None:
    waits = await asyncio.gather(*(buckets.spend("a", 1, per_minute=2) for _ in range(50)))
    assert waits.count(0) == 2


async def test_a_bucket_fills_with_time_and_not_above_its_rim() -> None:
    now = 0.0
    buckets = LocalBuckets(clock=lambda: now)
    assert await buckets.spend("a", 1, per_minute=2) == 0
    assert await buckets.spend("a", 1, per_minute=2) == 0
    now = 29.0
    assert await buckets.spend("a", 1, per_minute=2) == pytest.approx(1.0)
    now = 30.0
    assert await buckets.spend("a", 1, per_minute=2) == 0
    now = 10_000.0
    assert [await buckets.spend("a", 1, per_minute=2) for _ in range(3)] == [0, 0, 30]


async def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BUCKETS", 3)
    now = iter(range(100))
    buckets = LocalBuckets(clock=lambda: float(next(now)))
    for name in "abcde":
        await buckets.spend(name, 1, per_minute=1)
    assert set(buckets._buckets) == {"c", "d", "e"}


async def test_processes_that_share_a_redis_count_together(shared_redis: RedisServer) -> None:
    first, second = (
        RedisBuckets(Redis.from_url(shared_redis.url), prefix="together:") for _ in range(2)
    )
    assert await first.spend("a", 1, per_minute=1) == 0
    assert await second.spend("a", 1, per_minute=1) > 0
    with shared_redis.client() as client:
        assert 0 < client.ttl("together:a") <= 62
    for each in (first, second):
        await each.close()


async def test_while_redis_is_away_a_process_counts_by_itself(redis: RedisServer) -> None:
    buckets = RedisBuckets(Redis.from_url(redis.url))
    assert await buckets.spend("a", 1, per_minute=1) == 0
    redis.pause()
    try:
        assert await buckets.spend("a", 1, per_minute=1) == 0  # its own bucket is full
        assert await buckets.spend("a", 1, per_minute=1) > 0
    finally:
        redis.resume()
    redis.kill()
    buckets._away_until = 0.0
    assert await buckets.spend("a", 1, per_minute=1) > 0
    await buckets.close()


async def test_a_redis_that_comes_back_is_asked_again(redis: RedisServer) -> None:
    buckets = RedisBuckets(Redis.from_url(redis.url))
    redis.kill()
    assert await buckets.spend("a", 1, per_minute=1) == 0
    redis.start()
    buckets._away_until = 0.0  # as after AWAY_S
    assert await buckets.spend("a", 1, per_minute=1) == 0
    with redis.client() as client:
        assert client.exists("twofold:quota:a")
    await buckets.close()
