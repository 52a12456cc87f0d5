"""However a collection lies on the server, it finds the same."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
from qdrant_client import models

from pipelines.ports import Collection, RecallQuery, Vectors
from pipelines.store.connection import Server
from pipelines.store.remote import Layout
from pipelines.store.server import QdrantStore
from tests.support import stored
from tests.support.qdrant_server import drop, fresh_store, unique_prefix
from tests.support.stored import ready, row

pytestmark = pytest.mark.anyio
WIDE = Collection("notes", "model-a", 64)
LAYOUTS = {
    "plain": Layout(),
    "int8": Layout(quantization="int8"),
    "binary": Layout(quantization="binary"),
    "prefix": Layout(prefix_dimensions=16),
    "both, in shards": Layout(quantization="int8", prefix_dimensions=16, shards=2, replicas=1),
    "prefix as long as the vector": Layout(prefix_dimensions=64),
}


@pytest.fixture(params=LAYOUTS)
async def store(request: pytest.FixtureRequest, qdrant: Server) -> AsyncIterator[QdrantStore]:
    async with fresh_store(qdrant, LAYOUTS[request.param]) as opened:
        yield opened


async def test_scores_and_vectors_are_those_of_whole_vectors(store: QdrantStore) -> None:
    await store.ensure_collection("mine", WIDE)
    await store.put_documents("mine", [row()])
    texts = [f"text {number}" for number in range(40)]
    chunks = stored.chunks_of(row(), texts)
    dense = [stored.dense_of(text, 64) for text in texts]
    vectors = [
        Vectors(each, stored.sparse_of(text)) for each, text in zip(dense, texts, strict=True)
    ]
    await store.stage_chunks("mine", row(), chunks, vectors)
    assert await store.publish("mine", ready(row(), 40))
    asked = RecallQuery(dense[7], stored.sparse_of("7"), limit=10, vectors=True)
    candidates = await store.recall("mine", WIDE.name, asked)
    by_list = {each.chunk.text: each for each in candidates if each.dense is not None}
    nearest = sorted(texts, key=lambda text: -stored.dense_of(text, 64) @ dense[7])[:10]
    assert set(by_list) == set(nearest)
    for text, each in by_list.items():
        assert each.dense == pytest.approx(stored.dense_of(text, 64) @ dense[7], abs=1e-5)
        assert each.vector is not None
        np.testing.assert_array_equal(each.vector, stored.dense_of(text, 64))
    assert [each.chunk.text for each in candidates if each.sparse is not None] == ["text 7"]
    kept = await store.vectors_by_sha256("mine", WIDE.name, "d")
    np.testing.assert_array_equal(kept[stored.digest("text 7")].dense, dense[7])


async def test_the_layout_is_what_the_server_was_asked_for(qdrant: Server) -> None:
    layout = Layout(quantization="int8", prefix_dimensions=16, shards=2, replicas=1)
    async with fresh_store(qdrant, layout) as store:
        await store.ensure_collection("mine", WIDE)
        client = qdrant.client()
        info = await client.get_collection(store._catalogue._prefix + WIDE.address)
        await client.close()
    params = info.config.params
    prefix, dense = params.vectors["prefix"], params.vectors["dense"]
    assert (prefix.size, dense.size) == (16, 64)
    assert prefix.quantization_config.scalar.type == "int8"
    assert (dense.quantization_config, dense.hnsw_config.m) == (None, 0)
    assert (params.shard_number, params.replication_factor) == (2, 1)
    assert info.config.metadata == {"twofold": {"embedder": "model-a", "dimensions": 64}}


async def test_copies_are_made_and_removed_for_a_collection_that_exists(qdrant: Server) -> None:
    prefix = unique_prefix()

    async def opened(layout: Layout) -> models.VectorParams:
        """What the collection has once a process with this layout has looked at it."""
        store = QdrantStore(qdrant, layout, prefix=prefix)
        await store.ensure_collection("mine", WIDE)
        await store.count_passages("mine", WIDE.name)
        await store.close()
        client = qdrant.client()
        info = await client.get_collection(prefix + WIDE.address)
        await client.close()
        return info.config.params.vectors["dense"]

    try:
        assert (await opened(Layout())).quantization_config is None
        binary = await opened(Layout(quantization="binary"))
        assert isinstance(binary.quantization_config, models.BinaryQuantization)
        assert binary.on_disk
        int8 = await opened(Layout(quantization="int8", prefix_dimensions=16))
        assert int8.quantization_config.scalar.type == "int8"
        kept = await opened(Layout())
        assert kept.quantization_config == int8.quantization_config
        none = await opened(Layout(quantization="none"))
        assert (none.quantization_config, none.on_disk) == (None, False)
    finally:
        await drop(qdrant, prefix)
