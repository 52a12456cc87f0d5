"""What every memory of rankings promises. An implementation joins by one entry in BUILD."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis.asyncio import Redis

from pipelines.paging.memory import MemoryRankings
from pipelines.paging.redis import RedisRankings
from pipelines.ports import Rankings
from tests.support.redis import RedisServer

pytestmark = pytest.mark.anyio

TTL_S = 0.4


@asynccontextmanager
async def in_memory(_: RedisServer) -> AsyncIterator[Rankings]:
    yield MemoryRankings(max_bytes=10_000, ttl_s=TTL_S)


@asynccontextmanager
async def in_redis(server: RedisServer) -> AsyncIterator[Rankings]:
    async with Redis.from_url(server.url, socket_timeout=None, socket_connect_timeout=2.0) as redis:
        yield RedisRankings(redis, ttl_s=TTL_S, max_bytes=10_000)


BUILD: dict[str, Callable[[RedisServer], AbstractAsyncContextManager[Rankings]]] = {
    "memory": in_memory,
    "redis": in_redis,
}


@pytest.fixture(params=BUILD)
async def rankings(
    request: pytest.FixtureRequest, shared_redis: RedisServer
) -> AsyncIterator[Rankings]:
    async with BUILD[request.param](shared_redis) as built:
        yield built


async def kept(rankings: Rankings, tenant: str, ranking: bytes) -> str:
    name = await rankings.keep(tenant, ranking)
    assert name is not None
    return name


async def test_what_was_kept_is_found_as_often_as_it_is_asked_for(rankings: Rankings) -> None:
    name = await kept(rankings, "mine", b"\x00order\xff")
    assert await rankings.find("mine", name) == b"\x00order\xff"
    assert await rankings.find("mine", name) == b"\x00order\xff"


async def test_each_has_a_name_that_nobody_guesses(rankings: Rankings) -> None:
    names = {await kept(rankings, "mine", b"same") for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) >= 20 for name in names)


async def test_nobody_finds_what_another_tenant_kept(rankings: Rankings) -> None:
    name = await kept(rankings, "mine", b"order")
    assert await rankings.find("other", name) is None


async def test_a_name_that_never_was_finds_nothing(rankings: Rankings) -> None:
    assert await rankings.find("mine", "n" * 22) is None


async def test_it_is_gone_after_its_time(rankings: Rankings) -> None:
    name = await kept(rankings, "mine", b"order")
    await asyncio.sleep(2 * TTL_S)
    assert await rankings.find("mine", name) is None


async def test_asking_for_it_keeps_it_longer(rankings: Rankings) -> None:
    name = await kept(rankings, "mine", b"order")
    for _ in range(4):
        await asyncio.sleep(TTL_S / 2)
        assert await rankings.find("mine", name) == b"order"


async def test_what_is_too_long_is_not_kept(rankings: Rankings) -> None:
    assert await rankings.keep("mine", b"x" * 10_001) is None


async def test_without_redis_there_are_no_pages_and_no_errors(redis: RedisServer) -> None:
    async with in_redis(redis) as rankings:
        name = await kept(rankings, "mine", b"order")
        redis.kill()
        assert await rankings.keep("mine", b"order") is None
        assert await rankings.find("mine", name) is None


async def test_a_redis_that_is_silent_is_not_waited_for(redis: RedisServer) -> None:
    async with Redis.from_url(redis.url, socket_timeout=None) as client:
        rankings = RedisRankings(client, ttl_s=60.0, timeout_s=0.2)
        name = await kept(rankings, "mine", b"order")
        redis.pause()
        assert await rankings.keep("mine", b"order") is None
        assert await rankings.find("mine", name) is None
        redis.resume()
        assert await rankings.find("mine", name) == b"order"


async def test_the_memory_of_a_process_is_bounded() -> None:
    rankings = MemoryRankings(max_bytes=1_000, ttl_s=60.0)
    names = [await kept(rankings, "mine", b"x" * 400) for _ in range(10)]
    found = [await rankings.find("mine", name) for name in names]
    assert [ranking is not None for ranking in found] == [False] * 8 + [True] * 2
