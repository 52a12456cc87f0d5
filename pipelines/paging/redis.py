"""Rankings in Redis, where every API process finds them."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable
from hashlib import blake2b
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


class RedisRankings:
    """`ports.Rankings` for several processes. Redis bounds them by their time alone.

    Without Redis there are no pages: a search answers all the same, and has no cursor.

    Args:
        redis: Without a socket timeout, under which redis-py 8 swallows cancellations before
            Python 3.12.
        ttl_s: Seconds that one is kept after it was last asked for.
        max_bytes: Longest ranking that is kept.
        timeout_s: Longest wait for Redis.
    """

    def __init__(
        self, redis: Redis, *, ttl_s: float, max_bytes: int = 1_000_000, timeout_s: float = 2.0
    ) -> None:
        self._redis = redis
        self._ttl_ms = round(ttl_s * 1000)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def keep(self, tenant: str, ranking: bytes) -> str | None:
        if len(ranking) > self._max_bytes:
            return None
        name = secrets.token_urlsafe(16)
        try:
            await self._in_time(self._redis.set(_key(tenant, name), ranking, px=self._ttl_ms))
        except (RedisError, TimeoutError) as error:
            log.warning("a ranking could not be kept for its next page: %s", error)
            return None
        return name

    async def find(self, tenant: str, name: str) -> bytes | None:
        try:
            ranking = await self._in_time(self._redis.getex(_key(tenant, name), px=self._ttl_ms))
        except (RedisError, TimeoutError) as error:
            log.warning("a ranking could not be read: %s", error)
            return None
        return ranking if isinstance(ranking, bytes) else None

    async def _in_time(self, answer: object) -> object:
        async with asyncio.timeout(self._timeout_s):
            return await cast("Awaitable[object]", answer)


def _key(tenant: str, name: str) -> str:
    """A name that holds the tenant: nobody finds what another has asked."""
    owner = blake2b(tenant.encode(), digest_size=16).hexdigest()
    return f"twofold:ranking:{owner}:{name}"
