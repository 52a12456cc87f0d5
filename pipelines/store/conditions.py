"""Whose points, which of them, and what a request asks for: filters in Qdrant's own notation.

The notation is the JSON of Qdrant's REST interface. A server takes it as it is; the embedded
engine, which has no door for JSON, takes what `engine.filter_of` makes of it. So both search by
the same words.

Whatever reads or deletes begins with one of `rows`, `row`, `chunks_of`, `visible`: they hold the
space, which belongs to one tenant and one generation (`catalogue.space_of`). A bool is matched by
neither engine's index, which is one more reason why equality goes over the strings of
`filters.facts`.
"""

from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from pydantic import JsonValue

from pipelines import filters
from twofold.schema import And, Condition, Filter, Not, Or

Clause: TypeAlias = dict[str, JsonValue]
"""A filter or a condition; see "Filtering" in the Qdrant documentation."""


def rows(space: str) -> Clause:
    """The ledger of a space."""
    return every(match("space", space), match("kind", "document"))


def row(space: str, point: UUID) -> Clause:
    """One row of the ledger of a space, by the id of its point."""
    return every({"has_id": [str(point)]}, rows(space))


def visible(space: str) -> Clause:
    """The chunks that searches of a space look at.

    One condition for both: each is looked up for every chunk that is compared, and with two of
    them the embedded engine needs as long for the filter as for the vectors.
    """
    return every(match("findable", space))


def chunks_of(space: str, document_id: str) -> Clause:
    """The chunks of a document, visible or not."""
    return every(
        match("space", space), match("document", document_id), match("kind", "chunk", "staged")
    )


def every(*conditions: Clause) -> Clause:
    """All of them hold."""
    return {"must": list(conditions)}


def some(*conditions: Clause) -> Clause:
    """At least one of them holds."""
    return {"should": list(conditions)}


def none(*conditions: Clause) -> Clause:
    """None of them holds."""
    return {"must_not": list(conditions)}


def match(key: str, *values: str) -> Clause:
    """The payload has one of these texts, itself or among its elements, under a key of ours."""
    return {"key": key, "match": {"any": list(values)}}


def below(key: str, bound: int) -> Clause:
    """The payload has a number under the bound under a key of ours."""
    return {"key": key, "range": {"lt": bound}}


def within(key: str, first: int, last: int) -> Clause:
    """The payload has a number from one to the other under a key of ours."""
    return {"key": key, "range": {"gte": first, "lte": last}}


def translate(tree: Filter) -> Clause:
    """The clause that holds for exactly the chunks that `tree` holds for."""
    match tree:
        case And():
            return every(*map(translate, tree.and_))
        case Or():
            return some(*map(translate, tree.or_))
        case Not():
            return none(translate(tree.not_))
        case Condition():
            return every(*_operators(tree))


def _operators(condition: Condition) -> list[Clause]:
    key = condition.key
    asked: list[Clause] = []
    if condition.eq is not None:
        asked.append(match("facts", filters.equals(key, condition.eq)))
    if condition.in_ is not None:
        asked.append(match("facts", *(filters.equals(key, each) for each in condition.in_)))
    if condition.exists is not None:
        there = match("facts", filters.exists(key))
        asked.append(there if condition.exists else none(there))
    if condition.contains is not None:
        asked.append(_contains(key, condition.contains))
    if condition.prefix is not None:
        begins = filters.equals(key, condition.prefix)
        asked.append({"key": "facts", "match": {"prefix": begins}})
    return asked + _ranges(condition)


def _contains(key: str, text: str) -> Clause:
    substring: Clause = {"key": "text", "match": {"substring": text}}
    return some(match("facts", filters.equals(key, text)), _field(key, substring))


def _ranges(condition: Condition) -> list[Clause]:
    bounds = {
        "gt": condition.gt,
        "gte": condition.gte,
        "lt": condition.lt,
        "lte": condition.lte,
    }
    numbers: Clause = {
        name: filters.to_float(bound)
        for name, bound in bounds.items()
        if bound is not None and not isinstance(bound, datetime)
    }
    times: Clause = {
        name: filters.format_time(bound)
        for name, bound in bounds.items()
        if isinstance(bound, datetime)
    }
    asked: list[Clause] = []
    if numbers:
        asked.append(_field(condition.key, {"key": "number", "range": numbers}))
    if times:
        asked.append(_field(condition.key, {"key": "time", "range": times}))
    return asked


def _field(key: str, condition: Clause) -> Clause:
    """The same element of `fields` has the key and fulfils the condition."""
    return {"nested": {"key": "fields", "filter": every(match("key", key), condition)}}
