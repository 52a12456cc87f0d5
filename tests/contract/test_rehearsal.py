"""A search with smaller vectors finds what a collection with such vectors does, in any store."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipelines import rehearsal
from pipelines.dimensions import shortened
from pipelines.ports import Candidate, Collection, RecallQuery, Store, Vectors
from pipelines.quantization import found_by_copies
from pipelines.rehearsal import Smaller
from tests.support import stored
from tests.support.stored import ready, row

pytestmark = pytest.mark.anyio

WHOLE = Collection("whole", "model-a", 64)
SHORT = Collection("short", "model-a", 16)
TEXTS = [f"text {number} of {number % 7}" for number in range(120)]


async def fill(store: Store, collection: Collection, texts: Sequence[str] = TEXTS) -> None:
    await store.ensure_collection("mine", collection)
    document = row(collection=collection.name)
    await store.put_documents("mine", [document])
    vectors = [
        Vectors(
            shortened(stored.dense_of(text, WHOLE.dimensions), collection.dimensions),
            stored.sparse_of(text),
        )
        for text in texts
    ]
    await store.stage_chunks("mine", document, stored.chunks_of(document, texts), vectors)
    assert await store.publish("mine", ready(document, len(texts)))


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


async def test_copies_of_a_bit_lose_about_as_much_as_a_scan_of_all_of_them(store: Store) -> None:
    texts = [f"passage {number}" for number in range(500)]
    await fill(store, WHOLE, texts)
    vectors = np.array([stored.dense_of(text, 64) for text in texts])
    scanned, tried = [], []
    for number in range(25):
        query = stored.dense_of(f"query {number}", 64)
        near = {texts[place] for place in np.argsort(-(vectors @ query))[:5]}
        places = found_by_copies(vectors, query, 5, "binary")
        scanned.append(len(near & {texts[place] for place in places}))
        asked, smaller = RecallQuery(query, None, limit=5), Smaller(64, "binary")
        found = scores(await rehearsal.recall(store, "mine", WHOLE.name, asked, smaller))
        tried.append(len(near & found.keys()))
    assert sum(scanned) < 0.8 * 5 * 25  # so that something is compared
    assert sum(tried) == pytest.approx(sum(scanned), abs=0.1 * 5 * 25)
