"""A search as a collection would answer that kept its vectors smaller, before one is made.

The store gives more of the nearest passages than are wanted, with their whole vectors, and what
smaller vectors would make of them is computed:

    fewer dimensions   the query with zeros behind its beginning is nearest to what has a like
                       beginning; the cosines of the beginnings then order
    quantised          of the nearest, those that copies of a byte or a bit would find; whole
                       vectors then order, as they do in a store that has such copies

Copies of a bit find much that is not near, and it takes the places of what is. What they find is
nearly what is nearest to the signs of the query, so that is looked at as well.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pipelines.dimensions import require_dimensions, shortened
from pipelines.ports import Candidate, Collection, EmbedderFacts, RecallQuery, Store, Vector
from pipelines.quantization import found_by_copies
from twofold.errors import InvalidRequest
from twofold.schema import Quantization, Recall

POOL, SIGNS = 4, 20
"""Passages that are looked at for each that is wanted: near to the query, and to its signs."""
LARGEST = 4_000


class Smaller(NamedTuple):
    """How vectors would be kept."""

    dimensions: int
    quantization: Quantization | None


def smaller(recall: Recall, collection: Collection, embedder: EmbedderFacts) -> Smaller | None:
    """What a request wants to be rehearsed; None: nothing.

    Raises:
        InvalidRequest: The vectors of the collection have no such beginnings.
    """
    if recall.dimensions is None and recall.quantization is None:
        return None
    if recall.dimensions is not None and recall.dimensions > collection.dimensions:
        raise InvalidRequest(
            field="recall.dimensions",
            reason=f"vectors of '{collection.name}' have {collection.dimensions}; only fewer can "
            "be tried",
        )
    if recall.dimensions not in (None, collection.dimensions):
        require_dimensions(embedder, recall.dimensions)
    return Smaller(recall.dimensions or collection.dimensions, recall.quantization)


async def recall(
    store: Store, tenant: str, collection: str, query: RecallQuery, kept: Smaller | None
) -> list[Candidate]:
    """The first stage, as `Store.recall` or as it would be with smaller vectors."""
    if kept is None or query.dense is None:
        return await store.recall(tenant, collection, query)
    near = replace(
        query,
        dense=beginning(query.dense, kept.dimensions),
        limit=min(POOL * query.limit, LARGEST),
        vectors=True,
    )
    pool = await store.recall(tenant, collection, near)
    listed = [each for each in pool if each.dense is not None]
    if kept.quantization == "binary":
        alike = replace(
            near,
            dense=beginning(signs(query.dense), kept.dimensions),
            sparse=None,
            limit=min(SIGNS * query.limit, LARGEST),
        )
        listed += await store.recall(tenant, collection, alike)
    dense = nearest(listed, query.dense, query.limit, kept)
    return union(dense, _best_words(pool, query.limit), kept)


def union(
    dense: Sequence[Candidate], sparse: Sequence[Candidate], kept: Smaller
) -> list[Candidate]:
    """Every candidate of both lists once, with its score in each and its smaller vector."""
    found = {each.chunk.id: each for each in dense}
    for each in sparse:
        known = found.get(each.chunk.id)
        found[each.chunk.id] = (
            replace(known, sparse=each.sparse)
            if known
            else replace(each, dense=None, vector=_shortened(each, kept.dimensions))
        )
    return list(found.values())


def beginning(vector: Vector, dimensions: int) -> Vector:
    """The beginning of a vector with zeros behind: [d] float32, unit length."""
    whole: Vector = np.zeros_like(vector)
    whole[:dimensions] = shortened(vector, dimensions)
    return whole


def signs(vector: Vector) -> Vector:
    """What copies of a bit keep of a vector: [d] float32, unit length."""
    kept: Vector = np.where(vector > 0, 1, -1).astype(np.float32)
    return kept / np.float32(np.sqrt(len(vector)))


def nearest(pool: Sequence[Candidate], query: Vector, limit: int, kept: Smaller) -> list[Candidate]:
    """Those of a pool that smaller vectors would find, with the cosines that these have.

    Args:
        pool: With whole vectors; what is in it twice counts once.
        query: [d] float32, unit length, whole.
        limit: How many at most.
        kept: How vectors would be kept.
    """
    listed = list({each.chunk.id: each for each in pool}.values())
    if not listed:
        return []
    vectors = np.array([_shortened(each, kept.dimensions) for each in listed], dtype=np.float32)
    asked = shortened(query, kept.dimensions)
    places = list(range(len(listed)))
    if kept.quantization is not None:
        places = found_by_copies(vectors, asked, limit, kept.quantization)
    cosines = (vectors @ asked).tolist()
    best = sorted(places, key=lambda place: (-cosines[place], listed[place].chunk.id))[:limit]
    return [
        replace(listed[each], dense=cosines[each], sparse=None, vector=vectors[each])
        for each in best
    ]


def _best_words(pool: Sequence[Candidate], limit: int) -> list[Candidate]:
    listed = [(each.sparse, each) for each in pool if each.sparse is not None]
    listed.sort(key=lambda pair: (-pair[0], pair[1].chunk.id))
    return [each for _, each in listed[:limit]]


def _shortened(candidate: Candidate, dimensions: int) -> Vector:
    if candidate.vector is None:
        raise ValueError("the first stage returned a candidate without its vector")
    return shortened(candidate.vector, dimensions)
