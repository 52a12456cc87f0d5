"""Metadata filters of LlamaIndex as filters of Twofold; what has no equivalent is refused."""

from collections.abc import Callable
from typing import TypeAlias

from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from twofold.errors import InvalidRequest

Tree: TypeAlias = dict[str, object]


def translated(filters: MetadataFilters) -> Tree | None:
    """A tree of conditions as it goes over the wire; None for no condition at all.

    Raises:
        InvalidRequest: An operator, or a value for it, that Twofold has no equivalent of.
    """
    trees = [
        tree
        for each in filters.filters
        if (tree := translated(each) if isinstance(each, MetadataFilters) else _condition(each))
    ]
    if not trees:
        return None
    match filters.condition:
        case FilterCondition.OR:
            return {"or": trees}
        case FilterCondition.NOT:  # none of them holds
            return {"not": {"or": trees}}
        case _:
            return {"and": trees}


def _condition(asked: MetadataFilter) -> Tree:
    make = _CONDITIONS.get(asked.operator)
    if make is None:
        raise _refused(asked, "Twofold has no such operator")
    return make(asked)


def _holds(operator: str) -> Callable[[MetadataFilter], Tree]:
    """A condition on one value."""

    def condition(asked: MetadataFilter) -> Tree:
        if asked.value is None or isinstance(asked.value, list):
            raise _refused(asked, "it takes one value")
        return {"key": asked.key, operator: asked.value}

    return condition


def _holds_text(operator: str) -> Callable[[MetadataFilter], Tree]:
    """A condition on a text."""

    def condition(asked: MetadataFilter) -> Tree:
        if not isinstance(asked.value, str):
            raise _refused(asked, "it takes a text")
        return {"key": asked.key, operator: asked.value}

    return condition


def _contains(asked: MetadataFilter) -> Tree:
    """A list holds a text, or a number, which `eq` asks of lists."""
    return (_holds_text("contains") if isinstance(asked.value, str) else _holds("eq"))(asked)


def _any(asked: MetadataFilter) -> Tree:
    """The value is one of several, or a list that holds one of them."""
    return {"key": asked.key, "in": _several(asked)}


def _all(asked: MetadataFilter) -> Tree:
    return {"and": [{"key": asked.key, "eq": value} for value in _several(asked)]}


def _several(asked: MetadataFilter) -> list[str] | list[int]:
    values = asked.value
    if not isinstance(values, list) or not values:
        raise _refused(asked, "it takes a list of values")
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int)]
    if len(values) not in (len(texts), len(numbers)):
        raise _refused(asked, "lists are of texts or of whole numbers; for others, use '==' and OR")
    return texts or numbers


def _not(condition: Callable[[MetadataFilter], Tree]) -> Callable[[MetadataFilter], Tree]:
    return lambda asked: {"not": condition(asked)}


def _is_empty(asked: MetadataFilter) -> Tree:
    return {"or": [{"key": asked.key, "exists": False}, {"key": asked.key, "eq": ""}]}


_CONDITIONS: dict[FilterOperator, Callable[[MetadataFilter], Tree]] = {
    FilterOperator.EQ: _holds("eq"),
    FilterOperator.NE: _not(_holds("eq")),
    FilterOperator.GT: _holds("gt"),
    FilterOperator.GTE: _holds("gte"),
    FilterOperator.LT: _holds("lt"),
    FilterOperator.LTE: _holds("lte"),
    FilterOperator.IN: _any,
    FilterOperator.NIN: _not(_any),
    FilterOperator.ANY: _any,
    FilterOperator.ALL: _all,
    FilterOperator.CONTAINS: _contains,
    FilterOperator.TEXT_MATCH: _holds_text("contains"),
    FilterOperator.IS_EMPTY: _is_empty,
}


def _refused(asked: MetadataFilter, reason: str) -> InvalidRequest:
    return InvalidRequest(
        field=f"filters.{asked.key}", reason=f"operator '{asked.operator.value}': {reason}"
    )
