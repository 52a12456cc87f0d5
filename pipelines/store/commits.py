"""Durable writes of many callers, made durable together.

A flush of the log takes milliseconds, whatever it covers. So callers hand in what they change, and
one thread makes all changes that wait, with one flush behind them: nothing waits for a group to
fill, and while the disk is at work the next one gathers by itself. The lock is held until the disk
has answered, so that nobody reads what a power loss could still take back.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from pipelines.store.shard import Shard

T = TypeVar("T")
Change: TypeAlias = Callable[[set[Shard]], T]
"""Called with the lock held; adds the shards that are to be flushed before its answer counts."""

TOGETHER = 16
"""Changes behind which a flush comes at the latest: searches wait for the lock meanwhile."""


class Commits:
    """Makes changes one after the other, and each group of them durable at once.

    What waits is bounded by its callers: each waits for its answer before it comes again.

    Args:
        lock: Of the store.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._waiting: deque[tuple[Change[Any], Future[Any]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commits")

    async def __call__(self, change: Change[T]) -> T:
        """Have it made; durable when this returns. Raises what it raises.

        A caller that is cancelled may find that it was made, or that it was not.
        """
        answer: Future[T] = Future()
        self._waiting.append((change, answer))
        self._thread.submit(self._commit)
        return await asyncio.wrap_future(answer)

    def close(self) -> None:
        """Make what waits, and end the thread."""
        self._thread.shutdown()

    def _commit(self) -> None:
        """Make what waits; those who came meanwhile find nothing left to do."""
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
        made: list[tuple[Future[Any], Any]] = []
        flushed: set[Shard] = set()
        with self._lock:
            for change, answer in group:
                if not answer.set_running_or_notify_cancel():
                    continue
                try:
                    made.append((answer, change(flushed)))
                except BaseException as error:  # what the engine calls a panic is no Exception
                    answer.set_exception(error)
            try:
                for shard in flushed:
                    shard.sync()
            except BaseException as error:
                for answer, _ in made:
                    answer.set_exception(error)
                return
        for answer, found in made:
            answer.set_result(found)
