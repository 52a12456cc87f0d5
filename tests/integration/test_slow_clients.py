"""Clients that send a letter now and then, or never read: their connections end."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.api import connections, overload
from services.api.auth import Caller
from services.api.overload import InFlight
from tests.support.keys import make_key
from tests.support.server import threaded_server

LONG_S = 30.0  # after which a test gives up on a server that does not close


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Of a server with keys and little patience."""
    monkeypatch.setattr(connections, "HEAD_S", 1.0)
    make_key(tmp_path / "keys.json")
    with threaded_server(tmp_path / "data", api_keys_file=tmp_path / "keys.json") as url:
        host, port = url.removeprefix("http://").split(":")
        yield host, int(port)


def trickle(connection: socket.socket, letter: bytes) -> bytes:
    """Send the letter again and again until the server closes; returns what it had to say."""
    received = b""
    connection.settimeout(0.1)
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        try:
            connection.sendall(letter)
            answer = connection.recv(65_536)
        except TimeoutError:
            continue
        except OSError:  # reset, which is one way to be closed
            return received
        if not answer:
            return received
        received += answer
    raise AssertionError(f"the connection is still open; it said {received!r}")


def test_a_connection_that_says_nothing_is_closed(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=LONG_S) as connection:
        assert connection.recv(1) == b""


def test_a_head_that_trickles_is_cut_off(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=LONG_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert trickle(connection, b"a") == b""


def test_a_second_head_that_trickles_is_cut_off_too(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=LONG_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert whole_answer(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert trickle(connection, b"a") == b""


@pytest.mark.parametrize(
    "opening",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ",
        b"GET /",
        # The extension of a chunk, and a trailer.
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
)  # fmt: skip
def test_what_comes_without_coming_to_a_point_is_refused_before_it_fills_the_memory(
    address: tuple[str, int], opening: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 10 * LONG_S)  # not for its slowness
    with socket.create_connection(address, timeout=LONG_S) as connection:
        connection.sendall(opening)
        said = trickle(connection, b"a" * 16_384)
    assert not said or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))


def test_the_body_of_a_stranger_cannot_trickle_on_after_the_refusal(
    address: tuple[str, int],
) -> None:
    with socket.create_connection(address, timeout=LONG_S) as connection:
        head = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        connection.sendall(head)
        assert trickle(connection, b"a").startswith(b"HTTP/1.1 401 ")


def test_a_connection_that_is_used_stays_open_beyond_the_patience(
    address: tuple[str, int],
) -> None:
    with socket.create_connection(address, timeout=LONG_S) as connection:
        for pause in (0.0, 1.3, 1.3):  # longer than a head may take
            time.sleep(pause)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert whole_answer(connection).startswith(b"HTTP/1.1 200 ")


def whole_answer(connection: socket.socket) -> bytes:
    """Up to the end of a small JSON object, or of the connection."""
    received = b""
    while not received.endswith(b"}") and (more := connection.recv(4096)):
        received += more
    return received


def scope(path: str, tenant: str = "local") -> Scope:
    caller = Caller(tenant, frozenset({"read"}))
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "state": {"request_id": "r", "caller": caller},
    }


async def nothing() -> Message:
    raise AssertionError("nobody reads this body")


async def status(
    app: InFlight, path: str = "/search", tenant: str = "local"
) -> tuple[int, dict[bytes, bytes]]:
    started: list[Message] = []

    async def note(message: Message) -> None:
        started.append(message)

    await app(scope(path, tenant), nothing, note)
    return started[0]["status"], dict(started[0]["headers"])


@pytest.mark.anyio
async def test_more_requests_than_places_are_refused_at_once_and_the_others_answered() -> None:
    go = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    app = InFlight(slow, places=2, share=2)
    running = [asyncio.create_task(status(app)) for _ in range(2)]
    watching = asyncio.create_task(status(app, "/documents/a/events"))
    alive = asyncio.create_task(status(app, "/healthz"))
    await asyncio.sleep(0)
    refused, headers = await status(app)
    assert (refused, headers[b"retry-after"]) == (503, b"1")
    assert not any(each.done() for each in (*running, watching, alive))
    go.set()
    answers = await asyncio.gather(*running, watching, alive, status(app))
    assert [answer[0] for answer in answers] == [200] * 5


@pytest.mark.anyio
async def test_a_tenant_that_has_its_share_leaves_places_for_the_others() -> None:
    go = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    app = InFlight(slow, places=4, share=2)
    running = [asyncio.create_task(status(app, tenant="busy")) for _ in range(2)]
    await asyncio.sleep(0)
    refused, headers = await status(app, tenant="busy")
    assert (refused, headers[b"retry-after"]) == (429, b"1")
    other = asyncio.create_task(status(app, tenant="calm"))
    await asyncio.sleep(0)
    assert not other.done()
    go.set()
    assert [answer[0] for answer in await asyncio.gather(*running, other)] == [200] * 3
    assert not app._taken


@pytest.mark.anyio
async def test_a_place_is_free_again_when_its_request_fails_or_its_client_leaves() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    app = InFlight(broken, places=1, share=1)
    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011 - its own
            await status(app)

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    app = InFlight(endless, places=1, share=1)
    for _ in range(3):
        left = asyncio.create_task(status(app))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left


@pytest.mark.anyio
async def test_an_answer_that_nobody_fetches_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overload, "FETCH_S", 0.1)

    async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def deaf(message: Message) -> None:
        await asyncio.Event().wait()

    app = InFlight(talkative, places=1, share=1)
    for _ in range(3):
        await app(scope("/search"), nothing, deaf)
    assert (await status(app))[0] == 200
