"""Token buckets: so much a minute, all at once or spread out.

A bucket holds a minute's worth and fills evenly. Whoever finds one token in it may go on, and may
owe what it then uses: what a search reranks is known afterwards only. Debt is paid by waiting.
https://en.wikipedia.org/wiki/Token_bucket
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

MINUTE_S = 60.0
REDIS_S = 0.25  # longest wait for Redis; a limit is not worth more of a request's time
AWAY_S = 5.0  # how long a Redis that did not answer is left alone
MOST_BUCKETS = 10_000


class Buckets(Protocol):
    """Buckets by name."""

    async def spend(
        self, name: str, amount: float, *, per_minute: int, owing: bool = False
    ) -> float:
        """Take from a bucket, if it holds a whole token or the caller may owe.

        Returns:
            0 when it was taken, else the seconds until the bucket holds a token.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float  # the clock when the tokens were counted


@dataclass
class LocalBuckets:
    """Buckets of this process.

    Attributes:
        clock: Seconds, never going back.
    """

    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    async def spend(
        self, name: str, amount: float, *, per_minute: int, owing: bool = False
    ) -> float:
        now = self.clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            self._make_room()
            bucket = self._buckets[name] = _Bucket(per_minute, now)
        filled = bucket.tokens + (now - bucket.at) * per_minute / MINUTE_S
        bucket.tokens, bucket.at = min(per_minute, filled), now
        if bucket.tokens < 1 and not owing:
            return (1 - bucket.tokens) * MINUTE_S / per_minute
        bucket.tokens -= amount
        return 0.0

    async def close(self) -> None:
        pass

    def _make_room(self) -> None:
        """Forget the bucket that has been left alone the longest, when there are very many."""
        if len(self._buckets) >= MOST_BUCKETS:
            del self._buckets[min(self._buckets, key=lambda name: self._buckets[name].at)]


SPEND = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local amount, most, owing = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local rate = most / 60
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = most
if held[1] then
  tokens = math.min(most, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) * rate)
end
local wait = 0
if tokens < 1 and not owing then
  wait = (1 - tokens) / rate
else
  tokens = tokens - amount
end
local said = {string.format('%.6f', tokens), string.format('%.6f', now)}
redis.call('HSET', KEYS[1], 'tokens', said[1], 'at', said[2])
redis.call('EXPIRE', KEYS[1], math.ceil((most - tokens) / rate) + 1)
return string.format('%.6f', wait)
"""
"""The same arithmetic on Redis's own clock; a bucket that would be full again is forgotten."""


class RedisBuckets:
    """Buckets that all processes share. While Redis is away each process counts by itself.

    Args:
        redis: With `decode_responses` off or on; closed by `close`.
        prefix: Of the keys.
    """

    def __init__(self, redis: Redis, *, prefix: str = "twofold:quota:") -> None:
        self._redis = redis
        self._script = redis.register_script(SPEND)
        self._prefix = prefix
        self._local = LocalBuckets()
        self._away_until = 0.0

    async def spend(
        self, name: str, amount: float, *, per_minute: int, owing: bool = False
    ) -> float:
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(REDIS_S):
                    wait = await self._script(
                        keys=[self._prefix + name], args=[amount, per_minute, int(owing)]
                    )
                return float(wait)
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = time.monotonic() + AWAY_S
                log.warning("quotas are counted by each process for itself: %s", error or "timeout")
        return await self._local.spend(name, amount, per_minute=per_minute, owing=owing)

    async def close(self) -> None:
        await self._redis.aclose()
