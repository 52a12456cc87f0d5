"""Rankings in the memory of this process."""

import secrets
import time
from collections.abc import Callable

from cachetools import TTLCache


class MemoryRankings:
    """`ports.Rankings` for one process; the least recently used go first. For one event loop.

    Args:
        max_bytes: Of all together.
        ttl_s: Seconds that one is kept after it was last asked for.
        clock: Seconds.
    """

    def __init__(
        self, *, max_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept: TTLCache[tuple[str, str], bytes] = TTLCache(
            max_bytes, ttl_s, timer=clock, getsizeof=len
        )

    async def keep(self, tenant: str, ranking: bytes) -> str | None:
        if len(ranking) > self._kept.maxsize:
            return None
        name = secrets.token_urlsafe(16)
        self._kept[tenant, name] = ranking
        return name

    async def find(self, tenant: str, name: str) -> bytes | None:
        ranking = self._kept.get((tenant, name))
        if ranking is not None:
            self._kept[tenant, name] = ranking  # its time begins anew
        return ranking
