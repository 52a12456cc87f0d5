"""The clients of an adapter live as long as the loop, or the object, that needs them."""

import asyncio
import copy
import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.server import threaded_server
from twofold.clients import Access, Clients


def clients(url: str = "http://127.0.0.1:1") -> Clients:
    return Clients(Access(url, "tf_key", timeout=10, retries=0))


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("clients")
    with threaded_server(folder) as url:
        yield url


def test_all_threads_share_one_client():
    kept = clients()
    start = threading.Barrier(4)

    def take() -> object:
        start.wait(10)
        return kept.blocking()

    with ThreadPoolExecutor(4) as pool:
        taken = [future.result() for future in [pool.submit(take) for _ in range(4)]]
    assert len({id(each) for each in taken}) == 1


def test_a_loop_keeps_its_client_and_the_next_loop_gets_another(url):
    kept = clients(url)
    seen = []

    async def ask() -> None:
        client = await kept.awaiting()
        assert client is await kept.awaiting()
        await client.health()
        seen.append(client)

    for _ in range(3):
        asyncio.run(ask())
    assert len({id(client) for client in seen}) == 3
    assert all(client._http.is_closed for client in seen)
    assert len(kept._kept) <= 1, "loops that have ended are forgotten"


def test_tasks_of_one_loop_share_its_client(url):
    kept = clients(url)

    async def ask() -> int:
        client = await kept.awaiting()
        await client.health()
        return id(client)

    async def ask_all() -> set[int]:
        return set(await asyncio.gather(*(ask() for _ in range(8))))

    assert len(asyncio.run(ask_all())) == 1


def test_clients_are_closed_when_what_needed_them_is_gone(url):
    async def use() -> None:
        kept = clients(url)
        blocking, awaiting = kept.blocking(), await kept.awaiting()
        await awaiting.health()
        del kept
        gc.collect()
        await asyncio.sleep(0.05)
        assert blocking._http.is_closed
        assert awaiting._http.is_closed

    asyncio.run(use())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_begins_anew_with_the_same_access(copied):
    kept = clients()
    first = kept.blocking()
    other = copied(kept)
    assert other == kept
    assert other.blocking() is not first
    assert other.blocking()._headers == {"Authorization": "Bearer tf_key"}
