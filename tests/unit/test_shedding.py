"""Searches that would come too late are refused before anything behind is asked."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from services.api.overload import ALWAYS, Pace
from services.api.shedding import LoadShedding

pytestmark = pytest.mark.anyio

DONE = 299
SECONDS = 0.5  # what a search costs here


@pytest.fixture
def busy() -> Iterator[Pace]:
    """The pace of a process that has learnt what a search costs and is full of them."""
    now = 0.0
    pace = Pace(clock=lambda: now)
    with pace.place(10.0):
        now += SECONDS
    with ExitStack() as kept:
        for _ in range(ALWAYS):
            kept.enter_context(pace.place(10.0))
        yield pace


async def answered(
    pace: Pace, *messages: Message | Exception, method: str = "POST", path: str = "/search"
) -> tuple[int, list[Message | Exception]]:
    """The status, and what the application behind received."""
    coming, sent = list(messages), []
    received: list[Message | Exception] = []

    async def receive() -> Message:
        message = coming.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        while len(received) < len(messages):
            try:
                received.append(await receive())
            except HTTPException as error:
                received.append(error)
        await send({"type": "http.response.start", "status": DONE, "headers": []})

    scope = {"type": "http", "method": method, "path": path, "state": {"request_id": "r"}}
    await LoadShedding(app, pace)(scope, receive, send)
    return sent[0]["status"], received


def body(content: bytes | dict[str, object], *, more: bool = False) -> Message:
    written = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"type": "http.request", "body": written, "more_body": more}


IN_A_HURRY = body({"query": "q", "deadline_ms": 1_000})


async def test_a_search_that_has_no_time_is_refused_and_nothing_behind_is_asked(
    busy: Pace,
) -> None:
    assert await answered(busy, IN_A_HURRY) == (503, [])


@pytest.mark.parametrize(
    "let_in",
    [
        body({"query": "q", "deadline_ms": 10_000}),
        body({"query": "q"}),  # has the time that searches have by default
        body({"query": "q", "deadline_ms": 1_000, "cursor": "c"}),
        # Somebody else says what is wrong with these.
        body(b"{"),
        body(b'{"query": "\xff"}'),
        body({"deadline_ms": "soon"}),
        body([]),  # type: ignore[arg-type]
        {"type": "http.disconnect"},
        HTTPException(408),
    ],
)
async def test_what_may_be_done_in_time_or_is_no_search_passes_unchanged(
    busy: Pace, let_in: Message | Exception
) -> None:
    assert await answered(busy, let_in) == (DONE, [let_in])


async def test_a_body_in_parts_passes_with_all_of_them(busy: Pace) -> None:
    parts = [body(b'{"query": "q",', more=True), body(b'"deadline_ms": 1000}')]
    assert await answered(busy, *parts) == (DONE, parts)


@pytest.mark.parametrize(("method", "path"), [("GET", "/search"), ("POST", "/search/batch")])
async def test_other_requests_are_not_looked_into(busy: Pace, method: str, path: str) -> None:
    assert await answered(busy, IN_A_HURRY, method=method, path=path) == (DONE, [IN_A_HURRY])


async def test_a_process_that_is_not_full_refuses_nobody() -> None:
    assert await answered(Pace(), IN_A_HURRY) == (DONE, [IN_A_HURRY])
