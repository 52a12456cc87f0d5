"""How often and until when a call is tried: no network and no sleep, only the decisions."""

import random
import time
from collections.abc import Iterator

import httpx

from twofold.errors import (
    ConnectionFailed,
    TooManyRequests,
    TwofoldError,
    Unavailable,
    UnexpectedResponse,
)

LONGEST_PAUSE_S = 10.0
_GATEWAY = frozenset({502, 503, 504})  # said by a proxy whose server is away or restarting


class Tries:
    """The tries of one call, with a pause between them that doubles and is jittered.

    Args:
        url: The server, for the error message.
        retries: Tries after the first; 0 for a call that must not be repeated.
        backoff_s: The first pause. A pause is drawn from the upper half of its range, so that
            many clients do not come back at the same moment.
        timeout_s: For all tries together.
    """

    def __init__(self, url: str, *, retries: int, backoff_s: float, timeout_s: float) -> None:
        self._url = url
        self._retries = retries
        self._backoff_s = backoff_s
        self._deadline = time.monotonic() + timeout_s

    @property
    def remaining_s(self) -> float:
        """What a try may take."""
        return max(0.001, self._deadline - time.monotonic())

    def pause_after(self, error: TwofoldError | httpx.RequestError) -> float:
        """Seconds to sleep before the next try.

        Raises:
            TwofoldError: The error itself, when another try is useless or comes too late.
        """
        failure = error if isinstance(error, TwofoldError) else connection_failed(self._url, error)
        pause = max(
            min(self._backoff_s, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0),  # noqa: S311
            failure.retry_after or 0.0,
        )
        if not self._retries or not _passing(failure) or pause >= self.remaining_s:
            raise failure
        self._retries -= 1
        self._backoff_s *= 2
        return pause


def connection_failed(url: str, error: httpx.RequestError) -> ConnectionFailed:
    """Any failure of the transport, as the one error that a caller has to know."""
    return ConnectionFailed(url=url, reason=str(error) or type(error).__name__)


def polls(timeout_s: float) -> Iterator[float]:
    """Pauses between looks at something that will change, until the time is up."""
    deadline = time.monotonic() + timeout_s
    pause = 0.05
    while (left := deadline - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(pause * 1.5, 1.0)


def _passing(failure: TwofoldError) -> bool:
    if isinstance(failure, UnexpectedResponse):
        return failure.details["status"] in _GATEWAY
    return isinstance(failure, ConnectionFailed | TooManyRequests | Unavailable)
