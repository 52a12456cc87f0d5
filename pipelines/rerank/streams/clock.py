"""The clock of Redis, which is the one that all processes share."""

import time
from collections.abc import Callable


class RedisClock:
    """What TIME said last, carried on by the local clock; right within a round trip.

    Nobody has to believe another host's clock: an entry says by its id when Redis took it.

    Args:
        local: Seconds on any clock that runs forward.
    """

    def __init__(self, local: Callable[[], float] = time.monotonic) -> None:
        self.local = local
        self._offset: float | None = None

    def set(self, answer: tuple[int, int]) -> None:
        """Note the answer to TIME: unix seconds and microseconds, just now."""
        seconds, micros = answer
        self._offset = seconds + micros / 1e6 - self.local()

    def now(self) -> float:
        """Unix seconds on the clock of Redis."""
        if self._offset is None:
            raise RuntimeError("ask Redis for the time first")
        return self.local() + self._offset

    def left(self, entry_id: str, *, budget_s: float, deadline_s: float) -> float:
        """Seconds until nobody waits for an entry any more.

        The earlier of two bounds: the budget counts from when Redis took the entry, and outlives
        a step of its clock; the deadline also covers what the entry waited for on its way.
        """
        now = self.now()
        age = max(0.0, now - int(entry_id.partition("-")[0]) / 1000)
        return min(budget_s - age, deadline_s - now)
