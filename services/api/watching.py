"""Server-sent events about something that changes, for as long as a client may watch."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fastapi.sse import ServerSentEvent
from pydantic import BaseModel

from twofold.errors import NotFound

WATCH_S = 3_600.0  # seconds after which a stream of events ends; the client may open another

M = TypeVar("M", bound=BaseModel)


async def changes(
    event: str,
    first: M,
    *,
    again: Callable[[], Awaitable[M]],
    over: Callable[[M], bool],
    gone: type[NotFound],
    look_s: float,
) -> AsyncIterator[ServerSentEvent]:
    """What is watched at each change, until it is over or gone.

    Args:
        event: Name of the events.
        first: As it is now.
        again: Looks once more.
        over: Whether nothing more happens to it.
        gone: What `again` raises when it is not there any more.
        look_s: Seconds between two looks.
    """
    end = time.monotonic() + WATCH_S
    now, shown = first, None
    while time.monotonic() < end:
        if now != shown:
            yield ServerSentEvent(event=event, data=now.model_dump(mode="json"))
            shown = now
        if over(now):
            return
        await asyncio.sleep(look_s)
        try:
            now = await again()
        except gone:
            return
