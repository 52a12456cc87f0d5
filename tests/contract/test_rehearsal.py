"""A search with smaller vectors finds what a collection with such vectors does, in any store."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines import rehearsal
from pipelines.dimensions import shortened
from pipelines.ports import Candidate, Collection, RecallQuery, Store, Vectors
from pipelines.rehearsal import Smaller
from tests.support import stored
from tests.support.stored import ready, row

pytestmark = pytest.mark.anyio

WHOLE = Collection("whole", "model-a", 64)
SHORT = Collection("short", "model-a", 16)
TEXTS = [f"text {number} of {number % 7}" for number in range(120)]


async def fill(store: Store, collection: Collection) -> None:
    await store.ensure_collection("mine", collection)
    document = row(collection=collection.name)
    await store.put_documents("mine", [document])
    vectors = [
        Vectors(
            shortened(stored.dense_of(text, WHOLE.dimensions), collection.dimensions),
            stored.sparse_of(text),
        )
        for text in TEXTS
    ]
    await store.stage_chunks("mine", document, stored.chunks_of(document, TEXTS), vectors)
    assert await store.publish("mine", ready(document, len(TEXTS)))


def scores(candidates: list[Candidate]) -> dict[str, tuple[float | None, float | None]]:
    return {each.chunk.text: (each.dense, each.sparse) for each in candidates}


async def test_fewer_dimensions_find_what_a_collection_finds_that_has_as_many(store: Store) -> None:
    await fill(store, WHOLE)
    await fill(store, SHORT)
    for text in TEXTS[:6]:
        asked = RecallQuery(stored.dense_of(text, 64), stored.sparse_of(text), limit=10)
        short = replace(asked, dense=shortened(stored.dense_of(text, 64), 16))
        there = scores(await store.recall("mine", SHORT.name, short))
        smaller = Smaller(16, None)
        tried = await rehearsal.recall(store, "mine", WHOLE.name, asked, smaller)
        # Of passages with the same BM25 score any may be in the list, in either collection.
        dense = {text: dense for text, (dense, _) in scores(tried).items() if dense is not None}
        expected = {text: dense for text, (dense, _) in there.items() if dense is not None}
        assert dense == pytest.approx(expected, abs=1e-5)
        words = sorted(each.sparse for each in tried if each.sparse is not None)
        assert words == pytest.approx(sorted(s for _, s in there.values() if s is not None))
        assert all(each.vector is not None and each.vector.shape == (16,) for each in tried)


async def test_copies_of_a_byte_find_the_nearest_and_give_them_their_own_cosines(
    store: Store,
) -> None:
    await fill(store, WHOLE)
    query = stored.dense_of("anything", 64)
    asked = RecallQuery(query, None, limit=10)
    whole = scores(await store.recall("mine", WHOLE.name, asked))
    smaller = Smaller(64, "int8")
    tried = scores(await rehearsal.recall(store, "mine", WHOLE.name, asked, smaller))
    assert tried.keys() == whole.keys()
    np.testing.assert_allclose(
        [tried[text][0] for text in tried], [whole[text][0] for text in tried], atol=1e-5
    )
