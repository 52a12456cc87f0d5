"""A walk over two ledgers comes to its end, however the collection is changed meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from pipelines.catchup import CatchUp
from pipelines.ports import DocumentPage
from pipelines.store.blobs import LocalBlobs
from pipelines.store.edge import EdgeStore
from tests.support.stored import COLLECTION, ingest, row
from twofold.schema import Document, DocumentStatus

pytestmark = pytest.mark.anyio

TENANT = "mine"
STEADY = {f"d{number}" for number in range(5)}
OLD, NEW = f"{COLLECTION.name}@1", f"{COLLECTION.name}@2"


class RestlessStore(EdgeStore):
    """Whenever a page of a ledger was read, what has passed by is deleted and another comes.

    It comes as a worker brings it while a collection is rebuilt: first to the new generation.
    """

    numbers = count()

    async def list_documents(
        self,
        tenant: str,
        collection: str,
        *,
        status: Sequence[DocumentStatus] = (),
        cursor: str | None = None,
        limit: int = 100,
    ) -> DocumentPage:
        page = await super().list_documents(
            tenant, collection, status=status, cursor=cursor, limit=limit
        )
        for document in page.documents:
            if document.id not in STEADY:
                await self.delete_document(tenant, COLLECTION.name, document.id)
        number = next(self.numbers)
        for address in (NEW, OLD):
            await ingest(self, tenant, row(f"new{number}", collection=address), ["passing by"])
        return page


class Workers:
    """`ports.IngestQueue` whose documents are ready at once."""

    def __init__(self, store: EdgeStore) -> None:
        self._store = store

    async def submit(self, tenant: str, documents: Sequence[Document]) -> None:
        for document in documents:
            await ingest(self._store, tenant, document, [document.id])


async def test_a_collection_that_changes_at_every_step_is_caught_up_with(tmp_path: Path) -> None:
    store = RestlessStore.open(tmp_path / "store")
    await store.ensure_collection(TENANT, COLLECTION)
    for document_id in STEADY:
        await ingest(store, TENANT, row(document_id), [document_id])
    old = await store.get_collection(TENANT, COLLECTION.name)
    new = await store.begin_generation(TENANT, replace(COLLECTION, chunk_tokens=100))
    assert (old.address, new.address) == (OLD, NEW)
    ledgers = CatchUp(store, LocalBlobs(tmp_path / "files"), Workers(store), TENANT, old, new)
    first = await ledgers.follow()
    assert first.moved == len(STEADY)
    second = await ledgers.follow()
    assert (second.settled, second.failures) == (True, [])
    there = [await EdgeStore.list_documents(store, TENANT, address) for address in (OLD, NEW)]
    ids = [{each.id for each in page.documents} for page in there]
    assert ids[0] == ids[1] >= STEADY
    assert {each.status for page in there for each in page.documents} == {"ready"}
    await store.close()
