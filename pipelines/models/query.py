"""Queries embedded in this process: the model on a thread, the caller on its loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pipelines.models.local import LocalFacts
from pipelines.ports import Embedder, Vector
from twofold.errors import Overloaded

WEIGHT = 0.1  # of the last query in what the next is expected to take
SURE = 0.5  # part of its time that a query may be expected to wait: recall needs some as well
RETRY_S = 1


class LocalQueryEmbedder(LocalFacts):
    """A QueryEmbedder over a model in this process, for one query at a time.

    A computation has all cores already: side by side, queries would share them, each be done
    later, and hold up the loop that answers. One that would wait too long is refused at once, and
    one that has waited to its deadline is not computed.

    Args:
        embedder: Called from one thread.
        clock: Seconds; deadlines are on it.
    """

    def __init__(self, embedder: Embedder, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(embedder)
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queries")
        self._waiting = 0
        self._query_s = 0.0

    async def embed(self, query: str, *, instruction: str | None = None, deadline: float) -> Vector:
        self._require_time(deadline)
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline - self._clock()):
                # A thread cannot be called back: what it has begun is left to itself.
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._timed, query, instruction
                )
        finally:
            self._waiting -= 1

    def _require_time(self, deadline: float) -> None:
        """Refuse what would be late; a first one is let in, so that a wrong guess is found out."""
        wait_s = self._waiting * self._query_s
        if self._waiting and wait_s > (deadline - self._clock()) * SURE:
            reason = f"{self._waiting} queries wait to be embedded, about {wait_s:.1f} s"
            raise Overloaded(reason=reason, seconds=RETRY_S, retry_after=RETRY_S)

    def _timed(self, query: str, instruction: str | None) -> Vector:
        begin = self._clock()
        vectors = self._embedder.embed_queries([query], instruction=instruction)
        took_s = self._clock() - begin
        self._query_s += (took_s - self._query_s) * (WEIGHT if self._query_s else 1.0)
        vector: Vector = vectors[0]
        return vector
