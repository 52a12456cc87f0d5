"""More at once than the process can do is refused at once: a full house is an answer, no wait.

And an answer that nobody fetches ends, so that it does not take the place of one that somebody
waits for.
"""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.auth import OPEN
from services.api.errors import response_of
from twofold.errors import Overloaded

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
    """

    def __init__(self, app: ASGIApp, places: int) -> None:
        self.app = app
        self.places = places
        self._taken = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 503."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        watching = scope["path"].endswith(WATCHING)
        if self._taken[watching] >= self.places:
            full = Overloaded(places=self.places, seconds=RETRY_S, retry_after=RETRY_S)
            await response_of(full, scope["state"]["request_id"])(scope, receive, send)
            return
        self._taken[watching] += 1
        try:
            await self.app(scope, receive, fetched_in_time(send))
        except NotFetched:
            log.info("gave up an answer that its client did not fetch for %.0f s", FETCH_S)
        finally:
            self._taken[watching] -= 1


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
