"""The first stage in the embedded engine: two searches in, one set of candidates out."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict

import numpy as np
import qdrant_edge as engine

from pipelines.ports import Candidate, RecallQuery, Vector
from pipelines.store.conditions import every, translate, visible
from pipelines.store.records import DENSE, SPARSE, Payload, chunk_of

List: TypeAlias = Literal["dense", "sparse"]

EXPLORE = 256  # candidates that the graph search keeps; has no effect on an exact scan


class _Found(TypedDict, total=False):
    dense: float
    sparse: float
    vector: Vector


def searches(tenant: str, query: RecallQuery) -> dict[List, engine.QueryRequest]:
    """The searches that a query asks for; its filter works inside each of them."""
    mine = visible(tenant)
    where = every(mine, translate(query.filter)) if query.filter else mine
    asked: dict[List, engine.QueryRequest] = {}
    if query.dense is not None:
        asked["dense"] = engine.QueryRequest(
            limit=query.limit,
            query=engine.Query.Nearest(query.dense.tolist(), using=DENSE),
            filter=where,
            params=engine.SearchParams(hnsw_ef=max(EXPLORE, query.limit)),
            with_payload=["record"],
            with_vector=[DENSE] if query.vectors else False,
        )
    if query.sparse is not None and query.sparse.indices:
        words = engine.SparseVector(query.sparse.indices, query.sparse.values)
        asked["sparse"] = engine.QueryRequest(
            limit=query.limit,
            query=engine.Query.Nearest(words, using=SPARSE),
            filter=where,
            # Over the tenant's visible chunks: rare words of others stay theirs.
            params=engine.SearchParams(idf=engine.IdfParams(mine)),
            with_payload=["record"],
            with_vector=[DENSE] if query.vectors else False,
        )
    return asked


def union(hits: Mapping[List, Sequence[engine.ScoredPoint]]) -> list[Candidate]:
    """Every chunk that one of the lists holds, once, with its score in each."""
    found: dict[engine.PointId, tuple[Payload, _Found]] = {}
    for name, points in hits.items():
        for point in points:
            _, known = found.setdefault(point.id, (point.payload or {}, _Found()))
            known[name] = point.score
            if isinstance(point.vector, dict):
                known["vector"] = np.array(point.vector[DENSE], dtype=np.float32)
    return [Candidate(chunk_of(payload), **known) for payload, known in found.values()]
