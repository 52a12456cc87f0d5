"""Log lines about what others send, bounded, however much they send."""

import logging
import time
from collections.abc import Callable

INTERVAL_S = 10.0


class Quiet:
    """Lets one line through in a while and counts the others.

    Args:
        log: Where the lines go, as warnings.
        clock: Seconds.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._next = -1.0
        self._swallowed = 0

    def warning(self, message: str, *arguments: object) -> None:
        """Write the line, unless one was written a moment ago."""
        if self._clock() < self._next:
            self._swallowed += 1
            return
        more = f" (and {self._swallowed} lines like it were left out)" if self._swallowed else ""
        self._log.warning(f"{message}%s", *arguments, more)
        self._swallowed = 0
        self._next = self._clock() + INTERVAL_S
