"""Filters of the embedded engine: whose points, which of them, and what a request asks for.

Whatever reads or deletes begins with one of `rows`, `chunks_of`, `visible`: they hold the tenant.

The engine matches a bool against nothing (its binding takes it for an integer), which is one more
reason why equality goes over the strings of `filters.facts`.
"""

from datetime import datetime

import qdrant_edge as engine

from pipelines import filters
from twofold.schema import And, Condition, Filter, Not, Or


def rows(tenant: str) -> engine.Filter:
    """The ledger of a tenant."""
    return every(match("tenant", tenant), match("kind", "document"))


def visible(tenant: str) -> engine.Filter:
    """The chunks that a tenant's searches see."""
    return every(match("tenant", tenant), match("kind", "chunk"))


def chunks_of(tenant: str, document_id: str) -> engine.Filter:
    """The chunks of a document, visible or not."""
    return every(
        match("tenant", tenant), match("document", document_id), match("kind", "chunk", "staged")
    )


def every(*conditions: "engine.ConditionType") -> engine.Filter:
    """All of them hold."""
    return engine.Filter(must=list(conditions))


def some(*conditions: "engine.ConditionType") -> engine.Filter:
    """At least one of them holds."""
    return engine.Filter(should=list(conditions))


def none(*conditions: "engine.ConditionType") -> engine.Filter:
    """None of them holds."""
    return engine.Filter(must_not=list(conditions))


def match(key: str, *values: str) -> engine.FieldCondition:
    """The payload has one of these texts, itself or among its elements, under a key of ours."""
    return engine.FieldCondition(key, match=engine.MatchAny(list(values)))


def integer(key: str, value: int) -> engine.FieldCondition:
    """The payload has this number under a key of ours."""
    return engine.FieldCondition(key, match=engine.MatchValue(value))


def below(key: str, bound: int) -> engine.FieldCondition:
    """The payload has a number under the bound under a key of ours."""
    return engine.FieldCondition(key, range=engine.RangeFloat(lt=bound))


def within(key: str, first: int, last: int) -> engine.FieldCondition:
    """The payload has a number from one to the other under a key of ours."""
    return engine.FieldCondition(key, range=engine.RangeFloat(gte=first, lte=last))


def translate(tree: Filter) -> engine.Filter:
    """The engine's filter that holds for exactly the chunks that `tree` holds for."""
    match tree:
        case And():
            return every(*map(translate, tree.and_))
        case Or():
            return some(*map(translate, tree.or_))
        case Not():
            return none(translate(tree.not_))
        case Condition():
            return every(*_operators(tree))


def _operators(condition: Condition) -> "list[engine.ConditionType]":
    key = condition.key
    asked: list[engine.ConditionType] = []
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
        begins = engine.MatchPrefix(filters.equals(key, condition.prefix))
        asked.append(engine.FieldCondition("facts", match=begins))
    return asked + _ranges(condition)


def _contains(key: str, text: str) -> engine.Filter:
    substring = engine.FieldCondition("text", match=engine.MatchSubstring(text))
    return some(match("facts", filters.equals(key, text)), _field(key, substring))


def _ranges(condition: Condition) -> "list[engine.ConditionType]":
    bounds = {
        "gt": condition.gt,
        "gte": condition.gte,
        "lt": condition.lt,
        "lte": condition.lte,
    }
    numbers = {
        name: filters.to_float(bound)
        for name, bound in bounds.items()
        if bound is not None and not isinstance(bound, datetime)
    }
    times = {
        name: filters.format_time(bound)
        for name, bound in bounds.items()
        if isinstance(bound, datetime)
    }
    asked: list[engine.ConditionType] = []
    if numbers:
        within = engine.FieldCondition("number", range=engine.RangeFloat(**numbers))
        asked.append(_field(condition.key, within))
    if times:
        within = engine.FieldCondition("time", range=engine.RangeDateTime(**times))
        asked.append(_field(condition.key, within))
    return asked


def _field(key: str, condition: engine.FieldCondition) -> engine.NestedCondition:
    """The same element of `fields` has the key and fulfils the condition."""
    return engine.NestedCondition("fields", every(match("key", key), condition))
