"""Searches in one thread while documents are published in another."""

import asyncio
import threading
from pathlib import Path

from pipelines.store.edge import EdgeStore
from tests.support.stored import COLLECTION, ingest, query, row

VERSIONS, CHUNKS = 40, 12


def test_no_search_ever_sees_two_versions_of_a_document_or_none(tmp_path: Path) -> None:
    store = EdgeStore.open(tmp_path)

    async def publish_versions(first: int, last: int) -> None:
        for version in range(first, last):
            texts = [f"word v{version} {ordinal}" for ordinal in range(CHUNKS)]
            await ingest(store, "mine", row(version=version), texts)

    asyncio.run(store.ensure_collection("mine", COLLECTION))
    asyncio.run(publish_versions(1, 2))
    writer = threading.Thread(target=lambda: asyncio.run(publish_versions(2, VERSIONS)))
    writer.start()
    seen: list[int] = []
    while writer.is_alive():
        found = asyncio.run(store.recall("mine", COLLECTION.name, query("word", limit=1000)))
        assert len(found) == CHUNKS
        [version] = {candidate.chunk.version for candidate in found}
        seen.append(version)
    writer.join()
    asyncio.run(store.close())
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
