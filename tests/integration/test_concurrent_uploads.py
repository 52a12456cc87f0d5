"""Replicas that take in the same document at once: true verdicts, and no accepted byte is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines import keys
from pipelines.documents import Documents, Upload
from pipelines.ports import Store
from pipelines.store.blobs import LocalBlobs
from pipelines.store.connection import Server
from pipelines.store.edge import EdgeStore
from pipelines.store.server import QdrantStore
from tests.support.ingesting import founder
from tests.support.models import WordEmbedder
from tests.support.qdrant_server import drop, unique_prefix
from twofold.errors import DocumentNotFound
from twofold.schema import AcceptedDocument, Document

pytestmark = pytest.mark.anyio
TENANT, COLLECTION = "mine", "default"


class Announced:
    """An ingest queue that only remembers."""

    def __init__(self) -> None:
        self.rows: list[Document] = []

    async def submit(self, tenant: str, documents: Sequence[Document]) -> None:
        self.rows += documents


@dataclass
class Replicas:
    """Two API processes, as far as documents go."""

    all: list[Documents]
    blobs: LocalBlobs

    async def upload(self, replica: int, text: str) -> AcceptedDocument:
        content = text.encode()
        [accepted] = await self.all[replica % 2].accept(
            TENANT,
            COLLECTION,
            [
                Upload(
                    name="note.txt",
                    content=content,
                    size=len(content),
                    sha256=sha256(content).hexdigest(),
                    media_type="text/plain",
                )
            ],
        )
        return accepted

    async def row(self) -> Document | None:
        document_id = keys.derived_uuid(TENANT, COLLECTION, "note.txt")
        try:
            return await self.all[0].store.get_document(TENANT, COLLECTION, document_id)
        except DocumentNotFound:
            return None

    async def files(self, kind: str) -> list[str]:
        return [key async for key in self.blobs.keys("") if f"/{kind}-" in key]


@asynccontextmanager
async def edge(folder: Path, _: Callable[[], Server]) -> AsyncIterator[list[Store]]:
    store = EdgeStore.open(folder / "store")
    yield [store, store]
    await store.close()


@asynccontextmanager
async def server(_: Path, running: Callable[[], Server]) -> AsyncIterator[list[Store]]:
    prefix = unique_prefix()
    stores = [QdrantStore(running(), prefix=prefix) for _ in range(2)]
    yield list(stores)
    for store in stores:
        await store.close()
    await drop(running(), prefix)


@pytest.fixture(params=[edge, server], ids=["edge", "server"])
async def replicas(request: pytest.FixtureRequest, memory_path: Path) -> AsyncIterator[Replicas]:
    blobs = LocalBlobs(memory_path / "files")
    async with AsyncExitStack() as stack:
        opened = request.param(memory_path, lambda: request.getfixturevalue("qdrant"))
        stores = await stack.enter_async_context(opened)
        new = founder(WordEmbedder())
        documents = [Documents(store, blobs, Announced(), new) for store in stores]
        yield Replicas(documents, blobs)


async def test_different_bytes_at_once_are_versions_of_one_document(replicas: Replicas) -> None:
    texts = [f"text {number}" for number in range(8)]
    accepted = await asyncio.gather(
        *(replicas.upload(number, text) for number, text in enumerate(texts))
    )
    assert sorted(each.version for each in accepted) == list(range(1, 9))
    assert Counter(each.verdict for each in accepted) == {"created": 1, "updated": 7}
    assert len({each.created_at for each in accepted}) == 1
    row = await replicas.row()
    assert row is not None
    assert row.version == 8
    for each in accepted:
        content = await replicas.blobs.get(keys.original(TENANT, each))
        assert sha256(content).hexdigest() == each.sha256
    # What lost a round has left nothing behind.
    assert len(await replicas.files("original")) == len(await replicas.files("document")) == 8
    announced = [row for each in replicas.all for row in each.queue.rows]
    assert sorted(each.version for each in announced) == list(range(1, 9))


async def test_the_same_bytes_at_once_are_one_upload(replicas: Replicas) -> None:
    accepted = await asyncio.gather(*(replicas.upload(number, "text") for number in range(6)))
    assert Counter(each.verdict for each in accepted) == {"created": 1, "unchanged": 5}
    row = await replicas.row()
    assert row is not None
    assert await replicas.blobs.get(keys.original(TENANT, row)) == b"text"
    assert len(await replicas.files("original")) == 1


async def test_a_deletion_takes_no_bytes_of_an_upload_that_comes_after_it(
    replicas: Replicas,
) -> None:
    async def delete(replica: int, document_id: str) -> None:
        with suppress(DocumentNotFound):
            await replicas.all[replica].delete(TENANT, COLLECTION, document_id)

    for turn in range(6):
        first = await replicas.upload(turn, "text 0")
        await asyncio.gather(
            replicas.upload(1, "text 1"),
            delete(0, first.id),
            replicas.upload(0, "text 0"),
            delete(1, first.id),
        )
        row = await replicas.row()
        if row is None:
            assert await replicas.files("original") == await replicas.files("document") == []
        else:
            content = await replicas.blobs.get(keys.original(TENANT, row))
            assert sha256(content).hexdigest() == row.sha256
            assert keys.identity(TENANT, row) in await replicas.files("document")
            await delete(0, first.id)
