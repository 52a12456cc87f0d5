"""Searches that would come too late are refused before anything behind is asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import NamedTuple

import pytest
import uvicorn
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from services.api.overload import ALWAYS, Pace
from services.api.shedding import HELD_BYTES, SheddingProtocol

pytestmark = pytest.mark.anyio

DONE = 299
SECONDS = 0.5  # what a search costs here
PATIENCE_S = 10.0


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


class Behind:
    """An application that answers with the body that it has received."""

    def __init__(self, pace: Pace) -> None:
        self.state = State({"pace": pace})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        length = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": DONE, "headers": length})
        await send({"type": "http.response.body", "body": body})


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """Somebody with a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self._writer.write(part)
            await asyncio.sleep(0.02)  # a packet of its own

    async def answer(self) -> Answer:
        async with asyncio.timeout(PATIENCE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self._reader.readexactly(int(headers["content-length"]))
            return Answer(int(status.split()[1]), headers, body)

    async def asks(self, content: bytes, *headers: str, line: str = "POST /search") -> Answer:
        await self.send(request(content, *headers, line=line))
        return await self.answer()


def request(content: bytes, *headers: str, line: str = "POST /search") -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: here", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


@asynccontextmanager
async def calling(pace: Pace) -> AsyncIterator[Caller]:
    config = uvicorn.Config(Behind(pace), log_level="warning", interface="asgi3")
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    server = await asyncio.get_running_loop().create_server(
        lambda: SheddingProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield Caller(reader, writer)
        writer.close()
        await writer.wait_closed()
        while state.connections:
            await asyncio.sleep(0.01)


def search(**wanted: object) -> bytes:
    return json.dumps({"query": "q", **wanted}).encode()


IN_A_HURRY = search(deadline_ms=1_000)


async def test_a_search_that_has_no_time_is_refused_and_says_what_every_answer_says(
    busy: Pace,
) -> None:
    async with calling(busy) as caller:
        answer = await caller.asks(IN_A_HURRY)
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"] == str(error["details"]["seconds"])
        assert answer.headers["x-request-id"] == error["request_id"]
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["date"] == "today"
        again = await caller.asks(IN_A_HURRY)
        assert again.status == 503
        assert again.headers["x-request-id"] != error["request_id"]
        assert (await caller.asks(search())).status == DONE


@pytest.mark.parametrize(
    "let_in",
    [
        search(deadline_ms=10_000),
        search(),  # has the time that searches have by default
        search(deadline_ms=1_000, cursor="c"),
        # Somebody else says what is wrong with these.
        b"{",
        b'{"query": "\xff"}',
        search(deadline_ms="soon"),
        b"[]",
        b"",
    ],
)
async def test_what_may_be_done_in_time_or_is_no_search_passes_unchanged(
    busy: Pace, let_in: bytes
) -> None:
    async with calling(busy) as caller:
        answer = await caller.asks(let_in)
        assert (answer.status, answer.body) == (DONE, let_in)


@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: http://elsewhere"],
        ["X-Request-ID: mine"],
        ["Connection: close"],
    ],
)
async def test_what_its_answer_depends_on_is_known_behind(
    busy: Pace, headers: Sequence[str]
) -> None:
    async with calling(busy) as caller:
        assert (await caller.asks(IN_A_HURRY, *headers)).status == DONE


@pytest.mark.parametrize(
    "line", ["GET /search", "POST /search/batch", "POST /search?x=1", "PUT /search"]
)
async def test_other_requests_are_not_looked_into(busy: Pace, line: str) -> None:
    async with calling(busy) as caller:
        answer = await caller.asks(IN_A_HURRY, line=line)
        assert (answer.status, answer.body) == (DONE, IN_A_HURRY)


async def test_a_body_in_parts_is_judged_when_it_is_there(busy: Pace) -> None:
    async with calling(busy) as caller:
        for content, status in ((IN_A_HURRY, 503), (search(note="x" * 5_000), DONE)):
            whole = request(content)
            await caller.send(whole[:20], whole[20:-30], whole[-30:-1], whole[-1:])
            answer = await caller.answer()
            assert answer.status == status
            assert status == 503 or answer.body == content


async def test_a_long_body_passes_before_it_is_there(busy: Pace) -> None:
    content = search(deadline_ms=1_000, note="x" * 2 * HELD_BYTES)
    async with calling(busy) as caller:
        await caller.send(request(content)[: -HELD_BYTES // 2])
        await caller.send(request(content)[-HELD_BYTES // 2 :])
        answer = await caller.answer()
        assert (answer.status, answer.body) == (DONE, content)


async def test_requests_in_a_row_are_answered_in_order(busy: Pace) -> None:
    async with calling(busy) as caller:
        await caller.send(request(search()) + request(IN_A_HURRY) + request(search(x=1)))
        answers = [await caller.answer() for _ in range(3)]
        assert [each.body for each in answers] == [search(), IN_A_HURRY, search(x=1)]


async def test_a_process_that_is_not_full_refuses_nobody() -> None:
    async with calling(Pace()) as caller:
        answer = await caller.asks(IN_A_HURRY)
        assert (answer.status, answer.body) == (DONE, IN_A_HURRY)
