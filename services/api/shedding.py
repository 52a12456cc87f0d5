"""Load shedding: a search that would come too late is refused before it has cost anything.

At ten times what a server can do, nine of ten requests are refused, and what that costs is taken
from the tenth. The route refuses the same searches (`overload.Pace.place`), but by then a request
has been matched, validated and given its parts, which is most of what a refusal costs. Here only
its deadline is read.
"""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.errors import response_of
from services.api.overload import Pace
from twofold.errors import Overloaded
from twofold.schema import SearchRequest

WHERE = ("POST", "/search")


class Asked(msgspec.Struct):
    """What a search says of its time; whether the rest of it is right, the route knows."""

    deadline_ms: int = SearchRequest.model_fields["deadline_ms"].default
    cursor: str | None = None


class LoadShedding:
    """Answers 503 to searches that the process has no time for.

    Args:
        app: What comes behind.
        pace: How fast this process searches.
    """

    def __init__(self, app: ASGIApp, pace: Pace) -> None:
        self.app = app
        self.pace = pace
        self._asked = msgspec.json.Decoder(Asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        search = scope["type"] == "http" and (scope["method"], scope["path"]) == WHERE
        if not search or not self.pace.full:
            await self.app(scope, receive, send)
            return
        try:
            first = await receive()
            self._require_time(first)
        except Overloaded as refused:
            await response_of(refused, scope["state"]["request_id"])(scope, receive, send)
        except HTTPException as slow:  # answered where all of its kind are
            await self.app(scope, once(raising(slow), receive), send)
        else:
            await self.app(scope, once(returning(first), receive), send)

    def _require_time(self, message: Message) -> None:
        """Refuse by a body that has come whole, as those of searches nearly always do.

        Raises:
            Overloaded: The search would not be done by its deadline.
        """
        if message["type"] != "http.request" or message.get("more_body", False):
            return
        try:
            asked = self._asked.decode(message.get("body", b""))
        except msgspec.MsgspecError:
            return
        if asked.cursor is None:  # what a cursor continues is done already
            self.pace.require_time(asked.deadline_ms / 1_000)


def once(first: Callable[[], Awaitable[Message]], then: Receive) -> Receive:
    """What has been received already, and after it what comes."""
    pending = [first]

    async def receive() -> Message:
        return await (pending.pop() if pending else then)()

    return receive


def returning(message: Message) -> Receive:
    """Receives that message."""

    async def receive() -> Message:
        return message

    return receive


def raising(error: HTTPException) -> Receive:
    """Receives that failure."""

    async def receive() -> Message:
        raise error

    return receive
