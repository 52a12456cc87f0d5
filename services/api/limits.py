"""What every request passes first: an id to quote, and a cap on the bytes of its body."""

import asyncio
import re
import time
import uuid
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.errors import response_of
from twofold.errors import MalformedRequest, TooLarge, TooSlow

LENGTH_DIGITS = 18  # more bytes than there are on Earth, and few enough for `int`
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Gives each request an id, the caller's own where it is harmless, and echoes it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `request.state.request_id` set."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)


class BodyLimit:
    """Refuses a body over its cap, by its declared length or, at the latest, as it arrives.

    And one that hardly arrives: whoever trickles bytes would hold a connection and a file.

    Args:
        app: What comes behind.
        cap: Bytes that the body of this request may have.
        patience_s: Seconds that any body may take.
        slowest: Bytes a second, on the whole, that a body has to come with after that.
    """

    def __init__(
        self,
        app: ASGIApp,
        cap: Callable[[Scope], int],
        *,
        patience_s: float = 30.0,
        slowest: float = 10_000.0,
    ) -> None:
        self.app = app
        self.cap = cap
        self.patience_s = patience_s
        self.slowest = slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its body counted."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cap = self.cap(scope)
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or len(declared) > LENGTH_DIGITS:
            refusal = MalformedRequest(reason="the Content-Length header is no number of bytes")
            await response_of(refusal, scope["state"]["request_id"])(scope, receive, send)
            return
        if int(declared) > cap:
            refused = too_large(int(declared), cap)
            await response_of(refused, scope["state"]["request_id"])(scope, receive, send)
            return
        arrived, more, began = 0, True, time.monotonic()

        async def counted() -> Message:
            nonlocal arrived, more
            due = began + self.patience_s + arrived / self.slowest
            try:
                # After the body only a disconnection is waited for, and for as long as it takes.
                async with asyncio.timeout(due - time.monotonic() if more else None):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408) from TooSlow(
                    received=arrived, seconds=round(time.monotonic() - began)
                )
            more = more and message.get("more_body", False)
            arrived += len(message.get("body", b""))
            if arrived > cap:
                # The framework lets only its own exception through while it reads a body.
                raise HTTPException(413) from too_large(arrived, cap)
            return message

        await self.app(scope, counted, send)


def too_large(size: int, cap: int) -> TooLarge:
    """The refusal of a whole body."""
    return TooLarge(
        what="The request body", size=size, limit=cap, advice="send it in several requests."
    )
