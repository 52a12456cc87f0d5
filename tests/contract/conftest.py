"""The stores that the contract holds for. An implementation joins by a fixture and its name."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from pipelines.ports import Store
from pipelines.store.connection import Server
from pipelines.store.edge import EdgeStore
from pipelines.store.server import QdrantStore
from tests.support.qdrant_server import drop, unique_prefix
from tests.support.stored import COLLECTION

Open = Callable[[], AbstractAsyncContextManager[Store]]

STORES = ("edge", "server")
VIEW_S = 0.1


@pytest.fixture
def edge(memory_path: Path) -> Open:
    return lambda: closing(EdgeStore.open(memory_path))


@pytest.fixture
async def server(qdrant: Server) -> AsyncIterator[Open]:
    prefix = unique_prefix()
    yield lambda: closing(QdrantStore(qdrant, prefix=prefix, view_s=VIEW_S))
    await drop(qdrant, prefix)


@asynccontextmanager
async def closing(store: Store) -> AsyncIterator[Store]:
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens the same store again and again: what was written is there at the next opening."""
    opens: Open = request.getfixturevalue(request.param)
    return opens


@pytest.fixture
async def store(open_store: Open) -> AsyncIterator[Store]:
    """With one collection that exists for two tenants."""
    async with open_store() as opened:
        for tenant in ("mine", "other"):
            await opened.ensure_collection(tenant, COLLECTION)
        yield opened
