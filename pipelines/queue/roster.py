"""What ingestion workers tell each other in Redis: who is there, who reconciles, what waits.

Everything has a time to live and is said again before it ends, so that a Redis that was emptied
fills again by itself, and a worker that was killed is forgotten.
"""

import json
from collections.abc import Awaitable
from typing import Final, TypedDict, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipelines.queue.broker import QUEUE
from twofold.errors import Unavailable

_T = TypeVar("_T")

TTL_S = 15.0
"""Seconds after which a worker that says nothing is gone."""

_WORKERS: Final = f"{QUEUE}:worker:"
_LEADER: Final = f"{QUEUE}:reconciler"

_LEAD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


class WorkerState(TypedDict):
    """What a worker says of itself.

    Attributes:
        in_hand: Documents that it is working on.
        concurrency: Documents that it can have in hand.
        done: Documents that it has finished since it started.
    """

    in_hand: int
    concurrency: int
    done: int


class Roster:
    """The workers and their queue, as Redis knows them.

    Every call raises Unavailable when Redis does not answer in time.
    """

    def __init__(self, redis_url: str, *, timeout_s: float = 2.0) -> None:
        self._redis = Redis.from_url(
            redis_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )

    async def waiting(self) -> int:
        """Announcements that no worker has taken yet."""
        return await _answer(self._redis.llen(QUEUE))

    async def lead(self, worker: str) -> bool:
        """Become or stay the one worker that reconciles; the others take over when it is gone."""
        script = self._redis.eval(_LEAD, 1, _LEADER, worker, str(int(TTL_S * 1e3)))
        return bool(await _answer(cast("Awaitable[int]", script)))

    async def say(self, worker: str, state: WorkerState) -> None:
        """Announce a worker that takes in what comes."""
        await _answer(self._redis.set(_WORKERS + worker, json.dumps(state), px=int(TTL_S * 1e3)))

    async def leave(self, worker: str) -> None:
        """Take a worker's name off, and let another one reconcile."""
        leader = await _answer(self._redis.get(_LEADER))
        keys = [_WORKERS + worker, *([_LEADER] if leader == worker.encode() else [])]
        await _answer(self._redis.delete(*keys))

    async def workers(self) -> dict[str, WorkerState]:
        """Those that have said lately that they take in what comes, by name."""
        return await _answer(self._read_workers())

    async def _read_workers(self) -> dict[str, WorkerState]:
        keys = [bytes(key) async for key in self._redis.scan_iter(_WORKERS + "*")]
        states = await self._redis.mget(keys) if keys else []
        return {
            key.decode().removeprefix(_WORKERS): cast("WorkerState", json.loads(state))
            for key, state in zip(keys, states, strict=True)
            if state is not None
        }

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()


async def _answer(reply: Awaitable[_T]) -> _T:
    try:
        return await reply
    except (RedisError, OSError) as error:
        raise Unavailable(
            what="The queue in Redis", reason=f"{type(error).__name__}: {error}", seconds=5
        ) from error
