"""A Qdrant server that is down, slow or wrong is told apart, survived, and found again."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from pipelines.store import connection
from pipelines.store.catalogue import space_of
from pipelines.store.conditions import every
from pipelines.store.connection import Connection, NoSuchCollection, Server
from pipelines.store.server import QdrantStore
from pipelines.store.server_space import RemoteSpace
from tests.support.qdrant_server import StandIn, drop, unique_prefix
from tests.support.stored import COLLECTION, found, ingest, next_version, ready, row, stage
from twofold.errors import (
    CollectionNotFound,
    Conflict,
    DocumentNotFound,
    NotFound,
    StorageFull,
    Unavailable,
)

pytestmark = pytest.mark.anyio

Respond = Callable[[httpx.Request], httpx.Response]
KEY = "a key of the test"
VIEW_S = 0.02


@pytest.fixture
def stand_in(memory_path: Path):
    server = StandIn(memory_path, api_key=KEY)
    yield server
    server.kill()


@asynccontextmanager
async def store_at(server: Server, **differing: object) -> AsyncIterator[QdrantStore]:
    asked = {"url": server.url, "api_key": server.api_key, "timeout_s": 5.0} | differing
    store = QdrantStore(Server(**asked))  # type: ignore[arg-type]
    try:
        yield store
    finally:
        await store.close()


def state_of(error: pytest.ExceptionInfo[Unavailable]) -> object:
    return error.value.details["state"]


async def test_a_server_that_comes_and_goes_is_found_again(stand_in: StandIn) -> None:
    async with store_at(stand_in.server) as store:
        for _ in range(2):  # it is not there yet, and the process lives on
            with pytest.raises(Unavailable, match="nobody answers") as refused:
                await store.get_collection("mine", COLLECTION.name)
            assert state_of(refused) == "down"
        assert (await store.health()).state == "down"
        stand_in.start()
        assert (await store.health()).state == "ok"
        await store.ensure_collection("mine", COLLECTION)
        await ingest(store, "mine", row(), ["apple"])
        stand_in.kill()
        with pytest.raises(Unavailable):
            await found(store, "mine")
        assert (await store.health()).state == "down"
        stand_in.start()
        assert await found(store, "mine") == {"apple"}
        assert await store.get_document("mine", COLLECTION.name, "d") == ready(row(), 1)


async def test_a_server_that_does_not_answer_is_slow_and_costs_no_more_than_the_timeout(
    stand_in: StandIn,
) -> None:
    stand_in.start()
    async with store_at(stand_in.server) as store:
        await store.ensure_collection("mine", COLLECTION)
    async with store_at(stand_in.server, timeout_s=0.5) as store:
        stand_in.freeze()
        started = time.monotonic()
        with pytest.raises(Unavailable, match=r"did not answer within 0\.5 s") as refused:
            await store.count_documents("mine", COLLECTION.name)
        assert state_of(refused) == "slow"
        assert time.monotonic() - started < 30  # and not the minutes of a socket
        health = await store.health()
        assert (health.state, health.reason is not None) == ("slow", True)
        stand_in.thaw()
    async with store_at(stand_in.server) as store:
        assert await store.count_documents("mine", COLLECTION.name) == {}
        assert (await store.health()).state == "ok"


@pytest.mark.parametrize("key", [None, SecretStr("another key")])
async def test_a_wrong_key_says_which_setting_to_mend(
    stand_in: StandIn, key: SecretStr | None
) -> None:
    stand_in.start()
    async with store_at(stand_in.server, api_key=key) as store:
        with pytest.raises(Unavailable, match="TWOFOLD_QDRANT_API_KEY") as refused:
            await store.list_collections("mine")
        assert state_of(refused) == "wrong"
        health = await store.health()
        assert health.state == "down"
        assert "TWOFOLD_QDRANT_API_KEY" in (health.reason or "")


# --- Answers that a server could give -------------------------------------------------------


def served(respond: Respond, version: str = "1.20.0") -> Connection:
    """A connection to a server that answers every call but the one for its version like this."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            return httpx.Response(200, json={"title": "qdrant", "version": version})
        return respond(request)

    return Connection(Server("http://qdrant", transport=httpx.MockTransport(answer), timeout_s=5))


def failing(times: int, status: int = 503, **content: object) -> Respond:
    """Fails that often, then answers that there are no collections."""
    left = iter(range(times))

    def respond(request: httpx.Request) -> httpx.Response:
        if next(left, None) is not None:
            return httpx.Response(status, **content)  # type: ignore[arg-type]
        return httpx.Response(200, json={"result": {"collections": []}, "status": "ok", "time": 0})

    return respond


async def collections_of(connection: Connection) -> object:
    try:
        return (await connection(lambda client: client.get_collections())).collections
    finally:
        await connection.close()


async def test_a_hiccup_is_not_noticed() -> None:
    assert await collections_of(served(failing(connection.ATTEMPTS - 1))) == []


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_that_keeps_failing_is_down(status: int) -> None:
    with pytest.raises(Unavailable, match=f"status {status}") as refused:
        await collections_of(served(failing(connection.ATTEMPTS, status)))
    assert state_of(refused) == "down"
    assert refused.value.retry_after == 1


async def test_an_overloaded_server_says_when_to_come_back() -> None:
    with pytest.raises(Unavailable, match="overloaded") as refused:
        await collections_of(served(failing(9, 429, headers={"Retry-After": "7"}, json={})))
    assert (state_of(refused), refused.value.retry_after) == ("slow", 7)


@pytest.mark.parametrize(
    "message",
    [
        "Service internal error: No space left on device (os error 28)",
        "Wrong input: No space left on device: WAL buffer size exceeds available disk space",
    ],
)
async def test_a_full_disk_is_called_one(message: str) -> None:
    with pytest.raises(StorageFull, match="http://qdrant"):
        await collections_of(served(failing(9, 500, json={"status": {"error": message}})))


@pytest.mark.parametrize("version", ["1.19.3", "1.9.0", "0.11.0"])
async def test_too_old_a_server_is_refused_by_name(version: str) -> None:
    with pytest.raises(Unavailable, match=rf"version {version}.*needs 1\.20 or newer") as refused:
        await collections_of(served(failing(0), version))
    assert state_of(refused) == "wrong"


@pytest.mark.parametrize("version", ["1.20.0", "1.21.4", "2.0.0-dev"])
async def test_a_newer_server_is_welcome(version: str) -> None:
    assert await collections_of(served(failing(0), version)) == []


@pytest.mark.parametrize("answer", [httpx.Response(200, html="<p>hello"), httpx.Response(404)])
async def test_something_else_at_the_address_is_not_taken_for_qdrant(
    answer: httpx.Response,
) -> None:
    with pytest.raises(Unavailable, match=r"not Qdrant's|not the interface") as refused:
        await collections_of(served(lambda _: answer))
    assert state_of(refused) == "wrong"


async def test_the_key_travels_in_the_header_that_qdrant_reads() -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("api-key"))
        return (
            failing(0)(request)
            if request.url.path != "/"
            else httpx.Response(200, json={"title": "qdrant", "version": "1.20.0"})
        )

    transport = httpx.MockTransport(answer)
    await collections_of(Connection(Server("http://qdrant", SecretStr(KEY), transport=transport)))
    assert seen == [KEY, KEY]


# --- Interrupted writers --------------------------------------------------------------------


class Cut(httpx.AsyncBaseTransport):
    """Lets so many changes through, then loses every request, as a process that has died."""

    def __init__(self, changes: int) -> None:
        self.left = changes
        self._indexes: set[str] = set()
        self._network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method in ("PUT", "DELETE") or path.endswith("/points/batch"):
            # The indexes of a collection count as one: they are alike.
            self.left -= path not in self._indexes
        if path.endswith("/index"):
            self._indexes.add(path)
        if self.left < 0:
            raise httpx.ConnectError("the process has died", request=request)
        return await self._network.handle_async_request(request)

    async def aclose(self) -> None:
        await self._network.aclose()


@asynccontextmanager
async def dying(qdrant: Server, prefix: str, changes: int) -> AsyncIterator[QdrantStore]:
    """A store whose process dies when it has changed something that often."""
    cut = Server(qdrant.url, qdrant.api_key, transport=Cut(changes))
    store = QdrantStore(cut, prefix=prefix, view_s=VIEW_S)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def prefix(qdrant: Server) -> AsyncIterator[str]:
    prefix = unique_prefix()
    yield prefix
    await drop(qdrant, prefix)


PUBLISHED = 1  # changes after which a publish has switched the row


@pytest.mark.parametrize("changes", range(4))
async def test_publishing_is_all_or_nothing_wherever_it_is_cut_off(
    qdrant: Server, prefix: str, changes: int
) -> None:
    old, new = {"old one", "old two", "old three"}, {"new one", "new two"}
    store = QdrantStore(qdrant, prefix=prefix)
    await store.ensure_collection("mine", COLLECTION)
    await ingest(store, "mine", row(), sorted(old))
    second = next_version(row())
    await store.put_documents("mine", [second])
    await stage(store, "mine", second, sorted(new))
    async with dying(qdrant, prefix, changes) as dead:
        if changes < 3:
            with pytest.raises(Unavailable):
                await dead.publish("mine", ready(second, 2))
        else:
            assert await dead.publish("mine", ready(second, 2))
    seen = new if changes > PUBLISHED else old
    assert await found(store, "mine") == seen
    assert {each.text for each in await store.get_chunks("mine", COLLECTION.name, "d")} == seen
    # The worker that comes next does the same again.
    await stage(store, "mine", second, sorted(new))
    assert await store.publish("mine", ready(second, 2))
    assert await found(store, "mine") == new
    assert await store.sweep() == 0
    await store.close()


@pytest.mark.parametrize("changes", range(2))
async def test_a_deletion_that_is_cut_off_is_done_or_not_begun(
    qdrant: Server, prefix: str, changes: int
) -> None:
    store = QdrantStore(qdrant, prefix=prefix)
    await store.ensure_collection("mine", COLLECTION)
    await ingest(store, "mine", row(), ["apple"])
    async with dying(qdrant, prefix, changes) as dead:
        with pytest.raises(Unavailable):
            await dead.delete_document("mine", COLLECTION.name, "d")
    assert await found(store, "mine") == (set() if changes else {"apple"})
    assert await store.sweep() == changes
    assert await store.sweep() == 0
    if changes:
        with pytest.raises(DocumentNotFound):
            await store.delete_document("mine", COLLECTION.name, "d")
        assert await store.vectors_by_sha256("mine", COLLECTION.name, "d") == {}
    await store.close()


async def test_a_sweep_takes_what_nobody_needs_and_nothing_else(
    qdrant: Server, prefix: str
) -> None:
    store = QdrantStore(qdrant, prefix=prefix)
    await store.ensure_collection("mine", COLLECTION)
    await ingest(store, "mine", row("live"), ["apple"])
    await store.put_documents("mine", [next_version(row("live"))])
    await stage(store, "mine", next_version(row("live")), ["in work"])
    await store.put_documents("mine", [row("new")])
    await stage(store, "mine", row("new"), ["in work too"])
    await store.put_documents("mine", [row("overtaken")])
    await stage(store, "mine", row("overtaken"), ["nobody's"])
    await store.put_documents("mine", [next_version(row("overtaken"))])
    assert await store.sweep() == 1
    assert await store.vectors_by_sha256("mine", COLLECTION.name, "overtaken") == {}
    assert await store.publish("mine", ready(next_version(row("live")), 1))
    assert await store.publish("mine", ready(row("new"), 1))
    assert await found(store, "mine") == {"in work", "in work too"}
    await store.close()


# --- Interrupted changes of collections -----------------------------------------------------

SECOND = replace(COLLECTION, chunk_tokens=100)
CHANGES: dict[str, Callable[[QdrantStore], Awaitable[object]]] = {
    "create": lambda store: store.create_collection("third", replace(COLLECTION, dimensions=16)),
    "begin": lambda store: store.begin_generation("mine", replace(COLLECTION, language="de")),
    "switch": lambda store: store.switch_generation("mine", COLLECTION.name, 2),
    "drop": lambda store: store.drop_generation("mine", COLLECTION.name, 2),
    "delete": lambda store: store.delete_collection("mine", COLLECTION.name),
}
LONGEST = 60  # changes on the server of the longest of them, and more


async def built(store: QdrantStore, *, second: bool) -> None:
    """Two tenants with a document each, and perhaps a second generation of one of them."""
    for tenant in ("mine", "other"):
        await store.ensure_collection(tenant, COLLECTION)
        await ingest(store, tenant, row(), [f"{tenant} one"])
    if second:
        begun = await store.begin_generation("mine", SECOND)
        await ingest(store, "mine", row(collection=begun.address), ["mine two"])


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_of_a_collection_is_done_or_not_begun_wherever_it_is_cut_off(
    qdrant: Server, prefix: str, name: str
) -> None:
    """The process ends before each of the writes that a change consists of.

    Whatever it leaves, searches go on, the same can be done again, and a sweep leaves nothing.
    """
    for changes in range(LONGEST):
        here = f"{prefix}{changes}-"
        store = QdrantStore(qdrant, prefix=here, view_s=VIEW_S)
        await built(store, second=name not in ("create", "begin"))
        async with dying(qdrant, here, changes) as dead:
            try:
                await CHANGES[name](dead)
                finished = True
            except Unavailable:
                finished = False
        assert await found(store, "other") == {"other one"}
        if name == "delete":
            left = [each.name for each in await store.list_collections("mine")]
            assert left in ([], [COLLECTION.name])
            if left:
                assert await found(store, "mine") == {"mine one"}
        else:
            seen = await found(store, "mine")
            assert seen in ([{"mine one"}, {"mine two"}] if name == "switch" else [{"mine one"}])
        with suppress(Conflict, NotFound):  # it was done already
            await CHANGES[name](store)
        await store.sweep()
        await store.sweep()
        await nothing_is_left_over(store, qdrant, here)
        await store.close()
        await drop(qdrant, here)
        if finished:
            assert changes > 0
            return
    raise AssertionError("it never came to its end")


async def nothing_is_left_over(store: QdrantStore, qdrant: Server, prefix: str) -> None:
    """Every place that is written down exists, and nothing else does."""
    views = await store._catalogue.entries()
    kept = [(view.tenant, each) for view in views for each in view.entry.generations]
    assert {each.state for _, each in kept} <= {"live", "building", "former"}
    client = qdrant.client()
    there = {each.name for each in (await client.get_collections()).collections}
    await client.close()
    ours = {each.removeprefix(prefix) for each in there if each.startswith(prefix)}
    assert ours == {"collections", *(each.home for _, each in kept)}
    assert {each.name for each in await store._catalogue.homes("open")} == ours - {"collections"}
    spaces: set[str] = set()
    for home in ours - {"collections"}:
        spaces |= set(await (await store._catalogue.home(home)).count_by("space", every()))
    assert spaces <= {space_of(tenant, each.collection) for tenant, each in kept}


async def test_what_a_process_writes_that_has_slept_through_a_deletion_is_swept(
    qdrant: Server, prefix: str
) -> None:
    store = QdrantStore(qdrant, prefix=prefix, view_s=VIEW_S)
    await built(store, second=True)
    view = await store._catalogue.view("mine", COLLECTION.name)
    asleep = await store._space(view, view.entry.at(SECOND.name + "@2"), SECOND.name + "@2")
    await store.drop_generation("mine", COLLECTION.name, 2)
    unknown = RemoteSpace(
        await store._catalogue.home("notes@1"), "nobody/notes@1", COLLECTION, "notes"
    )
    for each in (asleep, unknown):
        with suppress(NoSuchCollection):
            await each.put_documents([row()], None)
    assert [tenant async for tenant, _ in store.unfinished()] == []
    await store.sweep()
    home = await store._catalogue.home("notes@1")
    # What nothing at all is written down of may belong to an entry that a restore has lost.
    assert set(await home.count_by("space", every())) == {
        "mine/notes@1",
        "other/notes@1",
        "nobody/notes@1",
    }
    await store.close()


async def test_a_home_that_is_given_up_is_not_entered(qdrant: Server, prefix: str) -> None:
    """Tenants come and go, each in a process of its own; nobody's home goes with another."""
    stores = [QdrantStore(qdrant, prefix=prefix, view_s=VIEW_S) for _ in range(3)]

    async def come_and_go(store: QdrantStore, tenant: str) -> None:
        for number in range(4):
            await store.create_collection(tenant, COLLECTION)
            await ingest(store, tenant, row(), [f"{tenant} {number}"])
            assert await found(store, tenant) == {f"{tenant} {number}"}
            await store.delete_collection(tenant, COLLECTION.name)

    await asyncio.gather(*(come_and_go(store, f"t{number}") for number, store in enumerate(stores)))
    await stores[0].sweep()
    await nothing_is_left_over(stores[0], qdrant, prefix)
    for store in stores:
        await store.close()


async def test_a_collection_that_somebody_removed_is_not_found(qdrant: Server, prefix: str) -> None:
    store = QdrantStore(qdrant, prefix=prefix)
    await store.ensure_collection("mine", COLLECTION)
    await drop(qdrant, prefix)
    with pytest.raises(CollectionNotFound):
        await found(store, "mine")
    await store.ensure_collection("mine", COLLECTION)
    await ingest(store, "mine", row(), ["apple"])
    assert await found(store, "mine") == {"apple"}
    await store.close()
