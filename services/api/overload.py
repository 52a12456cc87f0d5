"""More at once than the process can do is refused at once: a full house is an answer, no wait.

And an answer that nobody fetches ends, so that it does not take the place of one that somebody
waits for.
"""

import asyncio
import logging
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.auth import OPEN
from services.api.errors import response_of
from twofold.errors import Overloaded, TooManyRequests, TwofoldError

log = logging.getLogger(__name__)

FETCH_S = 60.0  # longest time that a client may leave what has been sent unfetched
RETRY_S = 1
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
        if scope["type"] != "http" or scope["path"] in OPEN:
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
            raise Overloaded(places=self.places, seconds=RETRY_S, retry_after=RETRY_S)
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
