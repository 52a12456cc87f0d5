"""More at once than the process can do is refused at once: a full house is an answer, no wait.

And an answer that nobody fetches ends, so that it does not take the place of one that somebody
waits for.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.auth import is_open
from services.api.errors import response_of
from twofold.errors import DeadlineExceeded, Overloaded, TooManyRequests, TwofoldError

log = logging.getLogger(__name__)

FETCH_S = 60.0  # longest time that a client may leave what has been sent unfetched
RETRY_S = 1
ALWAYS = 2  # searches that are let in whatever is expected, so that it is learnt when that is wrong
SURE = 0.7  # part of its deadline that a search may be expected to take: some take longer
TICK_S = 0.02
TURNS = 4  # of the loop that a search waits for: accepted, read, recalled, answered
WEIGHT = 0.1  # of the last search in what is expected to be the cost of the next
WATCHING = (
    "/events"  # how paths end under which a client watches, for up to an hour, and costs little
)


class InFlight:
    """Bounds the requests that are being answered; those who watch have places of their own.

    Args:
        app: What comes behind.
        places: How many at once, of either kind.
        share: How many of them one tenant may take, so that there are some for the others.
    """

    def __init__(self, app: ASGIApp, places: int, share: int) -> None:
        self.app = app
        self.places = places
        self.share = share
        self._taken: Counter[object] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 503 or 429."""
        if scope["type"] != "http" or is_open(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        kind = "watching" if scope["path"].endswith(WATCHING) else "asking"
        places = (kind, (kind, scope["state"]["caller"].tenant))
        try:
            self._take(*places)
        except TwofoldError as full:
            await response_of(full, scope["state"]["request_id"])(scope, receive, send)
            return
        try:
            await self.app(scope, receive, fetched_in_time(send))
        except NotFetched:
            log.info("gave up an answer that its client did not fetch for %.0f s", FETCH_S)
        finally:
            self._taken.subtract(places)
            self._taken = +self._taken  # keep none of those who have gone

    def _take(self, everybodys: str, tenants: tuple[str, str]) -> None:
        if self._taken[everybodys] >= self.places:
            reason = f"it answers {self.places} requests at once"
            raise Overloaded(reason=reason, seconds=RETRY_S, retry_after=RETRY_S)
        if self._taken[tenants] >= self.share:
            raise TooManyRequests(
                reason=f"{self.share} of your tenant are being answered, which is its share",
                seconds=RETRY_S,
                retry_after=RETRY_S,
            )
        self._taken.update((everybodys, tenants))


class NotFetched(Exception):
    """The client does not read what it has asked for."""


def fetched_in_time(send: Send) -> Send:
    """The same, with an end to its patience."""

    async def hurried(message: Message) -> None:
        try:
            async with asyncio.timeout(FETCH_S):
                await send(message)
        except TimeoutError:
            raise NotFetched from None

    return hurried


class Lag:
    """How late the event loop is: what a request waits before anybody looks at it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s = 0.0
        self._due: float | None = None

    @property
    def seconds(self) -> float:
        """Of the last tick, or of the one that is due, whichever is later."""
        overdue = 0.0 if self._due is None else self._clock() - self._due
        return max(0.0, self._last_s, overdue)

    async def watch(self) -> None:
        """Tick until cancelled."""
        try:
            while True:
                self._due = self._clock() + TICK_S
                await asyncio.sleep(TICK_S)
                self._last_s = self._clock() - self._due
        finally:
            self._due, self._last_s = None, 0.0


class Pace:
    """Knows from the searches before how long the next one takes, and refuses it if too long.

    Searches that run side by side share the process, so of each moment in which N of them run
    each has the N-th part (processor sharing). What a search had of all its moments is its cost;
    the next one takes as much for itself and for each that is there, and some turns of the event
    loop. Without this, more searches than can be done in time take the time of all: at ten times
    what the process can do, none would meet its deadline.

    Args:
        shared: Whether searches compute in this process. Where workers do it for them, more of
            them side by side take no longer, and the queues of the workers refuse what is late.
        lag: Of the event loop.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        *,
        shared: bool = True,
        lag: Lag | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lag = lag or Lag(clock)
        self._shared = shared
        self._clock = clock
        self._busy = 0
        self._cost_s = 0.0
        self._shared_s = 0.0  # what a search would have had that had been there all the time
        self._at = clock()

    @contextmanager
    def place(self, deadline_s: float) -> Iterator[None]:
        """Hold a place for one search while the block runs.

        Raises:
            Overloaded: It would not be done by its deadline.
        """
        self.require_time(deadline_s)
        begin = self._share()
        self._busy += 1
        try:
            yield
        except DeadlineExceeded:
            self._learn(self._share() - begin)
            raise
        else:  # and not after an error, which is no search that was done
            self._learn(self._share() - begin)
        finally:
            self._share()
            self._busy -= 1

    @property
    def full(self) -> bool:
        """Whether so many searches run that the next may be refused."""
        return self._busy >= ALWAYS

    def require_time(self, deadline_s: float) -> None:
        """Make sure that a search that began now would be done in time.

        Raises:
            Overloaded: It would not.
        """
        expected_s = TURNS * self.lag.seconds
        if self._shared:
            expected_s += self._cost_s * (self._busy + 1)
        if self.full and expected_s > deadline_s * SURE:
            seconds = max(1, round(expected_s - deadline_s * SURE))
            reason = f"a search would take about {expected_s:.1f} s and has {deadline_s:.1f} s"
            raise Overloaded(reason=reason, seconds=seconds, retry_after=seconds)

    def _share(self) -> float:
        """Divide the time since the last call among those who were there."""
        now = self._clock()
        if self._busy:
            self._shared_s += (now - self._at) / self._busy
        self._at = now
        return self._shared_s

    def _learn(self, cost_s: float) -> None:
        self._cost_s += (cost_s - self._cost_s) * WEIGHT if self._cost_s else cost_s
