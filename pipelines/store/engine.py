"""Qdrant's REST notation in the words of the embedded engine's binding (qdrant-edge-py).

Only what this project says in that notation is known here; anything else is a KeyError or a
TypeError, never a condition that silently holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import qdrant_edge as engine
from pydantic import JsonValue

from pipelines.store.conditions import Clause

_MATCHES: "Mapping[str, Callable[[Any], engine.MatchType]]" = {
    "any": engine.MatchAny,
    "value": engine.MatchValue,
    "prefix": engine.MatchPrefix,
    "substring": engine.MatchSubstring,
}
_INDEXES: "Mapping[str, type[engine.PayloadSchemaParams]]" = {
    "keyword": engine.KeywordIndexParams,
    "integer": engine.IntegerIndexParams,
    "float": engine.FloatIndexParams,
    "datetime": engine.DatetimeIndexParams,
}


def filter_of(clause: Clause) -> engine.Filter:
    """The filter that a clause with `must`, `should` or `must_not` means."""
    known: dict[str, Any] = {name: _conditions(each) for name, each in clause.items()}
    return engine.Filter(**known)


def index_of(schema: Mapping[str, JsonValue]) -> "engine.PayloadSchemaParams":
    """The payload index that a schema such as `{"type": "keyword"}` asks for."""
    params: dict[str, Any] = dict(schema)
    return _INDEXES[params.pop("type")](**params)


def query_of(request: Mapping[str, Any]) -> engine.QueryRequest:
    """The search that a body of `/points/query` asks for."""
    return engine.QueryRequest(
        limit=request["limit"],
        with_payload=request.get("with_payload"),
        with_vector=request.get("with_vector"),
        **_search(request),
    )


def _search(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a search and each of its prefetches have in common."""
    return {
        "query": engine.Query.Nearest(_vector(request["query"]), using=request["using"]),
        "filter": filter_of(request["filter"]) if request.get("filter") else None,
        "params": _params(request.get("params") or {}),
        "prefetches": [
            engine.Prefetch(limit=each["limit"], **_search(each))
            for each in request.get("prefetch") or ()
        ],
    }


def _vector(query: Any) -> "engine.NamedVector":
    """A dense vector from a list, a sparse one from an object; `nearest` may say what to do."""
    if isinstance(query, Mapping) and "nearest" in query:
        return _vector(query["nearest"])
    if isinstance(query, Mapping):
        return engine.SparseVector(query["indices"], query["values"])
    return cast("list[float]", query)


def _params(params: Mapping[str, Any]) -> engine.SearchParams:
    idf, quantization = params.get("idf"), params.get("quantization")
    return engine.SearchParams(
        hnsw_ef=params.get("hnsw_ef"),
        exact=params.get("exact", False),
        idf=engine.IdfParams(filter_of(idf["corpus"])) if idf else None,
        quantization=engine.QuantizationSearchParams(**quantization) if quantization else None,
    )


def _conditions(clauses: JsonValue) -> "list[engine.ConditionType]":
    return [_condition(each) for each in cast("Sequence[Clause]", clauses)]


def _condition(clause: Mapping[str, Any]) -> "engine.ConditionType":
    match clause:
        case {"key": str(key), "match": match_, **rest} if not rest:
            [(kind, operand)] = match_.items()
            return engine.FieldCondition(key, match=_MATCHES[kind](operand))
        case {"key": str(key), "range": bounds, **rest} if not rest:
            texts = any(isinstance(bound, str) for bound in bounds.values())
            kind = engine.RangeDateTime if texts else engine.RangeFloat
            return engine.FieldCondition(key, range=kind(**bounds))
        case {"nested": {"key": str(key), "filter": inner}}:
            return engine.NestedCondition(key, filter_of(inner))
        case {"has_id": ids}:
            return engine.HasIdCondition(set(ids))
        case _:
            return filter_of(dict(clause))
