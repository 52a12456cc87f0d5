"""The first stage: two searches in, one set of candidates out. In Qdrant's REST notation."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, TypedDict

import numpy as np

from pipelines.ports import Candidate, RecallQuery, Vector
from pipelines.quantization import OVERSAMPLING
from pipelines.store.conditions import Clause, every, translate, visible
from pipelines.store.records import DENSE, PREFIX, SPARSE, Payload, chunk_of
from twofold.schema import Quantization

List: TypeAlias = Literal["dense", "sparse"]
Asked: TypeAlias = dict[List, Clause]

EXPLORE = 256  # candidates that the graph search keeps; has no effect on an exact scan
PREFETCH = 4  # a prefix of the vector finds so many times the limit


class Hit(Protocol):
    """A point that a search has found, as either engine's client returns it."""

    @property
    def id(self) -> object: ...
    @property
    def score(self) -> float: ...
    @property
    def payload(self) -> Payload | None: ...
    @property
    def vector(self) -> object: ...


class _Found(TypedDict, total=False):
    dense: float
    sparse: float
    vector: Vector


def searches(
    space: str,
    query: RecallQuery,
    *,
    prefix: int | None = None,
    copies: Quantization | None = None,
) -> Asked:
    """The searches that a query asks for; its filter works inside each of them.

    Args:
        space: Whose chunks.
        query: What is looked for.
        prefix: Length of the vector that the collection keeps under `PREFIX`, if it does.
        copies: Quantised ones that find what whole vectors order, if it has such.
    """
    mine = visible(space)
    where = every(mine, translate(query.filter)) if query.filter else mine
    common: Clause = {
        "limit": query.limit,
        "filter": where,
        "with_payload": ["record", "document", "upload"],
        "with_vector": [DENSE] if query.vectors else False,
    }
    asked: Asked = {}
    if query.dense is not None:
        asked["dense"] = common | _dense(query.dense, query.limit, where, prefix, copies)
    if query.sparse is not None and query.sparse.indices:
        asked["sparse"] = common | {
            "query": {"indices": [*query.sparse.indices], "values": [*query.sparse.values]},
            "using": SPARSE,
            # Over the visible chunks of the space: rare words of others stay theirs.
            "params": {"idf": {"corpus": mine}},
        }
    return asked


def _dense(
    vector: Vector, limit: int, where: Clause, prefix: int | None, copies: Quantization | None
) -> Clause:
    """Nearest by the whole vector; among those that are nearest by its beginning, if kept."""
    whole: Clause = {"query": vector.tolist(), "using": DENSE}
    if prefix is None:
        return whole | {"params": _params(limit, copies)}
    first: Clause = {
        "query": vector[:prefix].tolist(),
        "using": PREFIX,
        "limit": PREFETCH * limit,
        "filter": where,
        "params": _params(PREFETCH * limit, copies),
    }
    return whole | {"prefetch": [first]}


def _params(limit: int, copies: Quantization | None) -> Clause:
    params: Clause = {"hnsw_ef": max(EXPLORE, limit)}
    if copies is None:
        return params
    return params | {"quantization": {"rescore": True, "oversampling": OVERSAMPLING[copies]}}


def union(hits: Mapping[List, Sequence[Hit]]) -> list[Candidate]:
    """Every chunk that one of the lists holds, once, with its score in each."""
    found: dict[object, tuple[Payload, _Found]] = {}
    for name, points in hits.items():
        for point in points:
            _, known = found.setdefault(point.id, (point.payload or {}, _Found()))
            known[name] = point.score
            if isinstance(point.vector, dict):
                known["vector"] = np.array(point.vector[DENSE], dtype=np.float32)
    return [Candidate(chunk_of(payload), **known) for payload, known in found.values()]
