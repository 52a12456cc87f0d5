"""Load shedding: a search that would come too late is refused before it has cost anything.

At ten times what a server can do, nine of ten requests are refused, and what that costs is taken
from the tenth. The route refuses the same searches (`overload.Pace.place`), but by then a request
has been matched, validated and given its parts, which is most of what a refusal costs. Here only
its deadline is read.
"""

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
        first: Message | HTTPException
        try:
            first = await receive()
            self._require_time(first)
        except Overloaded as refused:
            await response_of(refused, scope["state"]["request_id"])(scope, receive, send)
            return
        except HTTPException as slow:  # answered where all of its kind are
            first = slow
        await self.app(scope, replayed(first, receive), send)

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


def replayed(first: Message | HTTPException, receive: Receive) -> Receive:
    """What has been received already, or has failed, and after it what comes."""
    pending = [first]

    async def again() -> Message:
        if not pending:
            return await receive()
        message = pending.pop()
        if isinstance(message, HTTPException):
            raise message
        return message

    return again
