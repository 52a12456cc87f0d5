"""Bodies of Dify's external knowledge API, and its conditions as filters of ours."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from services.api.dialects.common import Answered, Asked
from twofold.schema import (
    MAX_LIMIT,
    And,
    CollectionName,
    Condition,
    Filter,
    Metadata,
    Not,
    Or,
    QueryText,
    Scalar,
    with_examples,
)

Operator: TypeAlias = Literal[
    "contains", "not contains", "start with", "end with", "is", "is not", "in", "not in",
    "empty", "not empty", "=", "≠", ">", "<", "≥", "≤", "before", "after",
]  # fmt: skip
Value: TypeAlias = Scalar | list[str] | list[FiniteFloat] | None


class DifyCondition(Asked):
    """What a metadata field must satisfy; of several names, any may."""

    name: str | Annotated[list[str], Field(min_length=1, max_length=16)]
    comparison_operator: Operator
    value: Value = None

    def as_filter(self) -> Filter:
        """The same in our words.

        Raises:
            ValueError: Value and operator do not fit, or there is no such filter.
        """
        names = [self.name] if isinstance(self.name, str) else self.name
        operator = self.comparison_operator
        opposite = OPPOSITES.get(operator)
        tests = TESTS[opposite or operator](self.value)
        each: list[Filter] = [Condition.model_validate({"key": name, **tests}) for name in names]
        found = each[0] if len(each) == 1 else Or(or_=each)
        return Not(not_=found) if opposite else found


class DifyConditions(Asked):
    """Conditions that all hold, or of which one does."""

    logical_operator: Literal["and", "or"] | None = "and"
    conditions: Annotated[list[DifyCondition], Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _translatable(self) -> Self:
        try:
            self.as_filter()
        except ValidationError as error:
            raise ValueError(str(error.errors()[0]["msg"])) from None
        return self

    def as_filter(self) -> Filter | None:
        """All of them in our words; raises as `DifyCondition.as_filter`."""
        each = [condition.as_filter() for condition in self.conditions or ()]
        if not each:
            return None
        return Or(or_=each) if self.logical_operator == "or" else And(and_=each)


class RetrievalSetting(Asked):
    """How many records, and how good they have to be; Dify sends 0 for no threshold."""

    top_k: Annotated[int, Field(ge=1, le=MAX_LIMIT)]
    score_threshold: Annotated[float, Field(ge=0.0, le=1.0)] | None = None


class DifyRetrieval(Asked):
    """Body of `POST /retrieval`; `knowledge_id` names the collection."""

    model_config = with_examples(
        {
            "knowledge_id": "default",
            "query": "how hot is the oven?",
            "retrieval_setting": {"top_k": 5, "score_threshold": 0.0},
        }
    )

    knowledge_id: CollectionName
    query: QueryText
    retrieval_setting: RetrievalSetting
    metadata_condition: DifyConditions | None = None


class DifyRecord(Answered):
    """A passage. `metadata` is never null, which Dify could not read."""

    content: str
    score: float
    title: str
    metadata: Metadata


class DifyRecords(Answered):
    """Answer of `POST /retrieval`, best first."""

    records: list[DifyRecord]


# --- The operators --------------------------------------------------------------------------

Tests: TypeAlias = dict[str, object]


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError("the operator compares texts, and 'value' is none")  # noqa: TRY004
    return value


def _same(value: Value) -> Tests:
    if value is None or isinstance(value, list):
        raise ValueError("the operator compares one value, and 'value' is none or a list")
    return {"eq": value}


def _number(value: Value) -> float:
    """Dify's forms send numbers as texts."""
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    raise ValueError("the operator compares numbers, and 'value' is none")


def _moment(value: Value) -> float | datetime:
    """A date in ISO 8601; a number is compared with numbers, as Dify keeps its times."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("the operator compares dates, as 2026-05-31 or with a time") from None
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return _number(value)


def _no_ending(value: Value) -> Tests:  # noqa: ARG001 - as its neighbours
    raise ValueError("no filter looks at the end of a text; use contains")


TESTS: dict[Operator, Callable[[Value], Tests]] = {
    "contains": lambda value: {"contains": _text(value)},
    "start with": lambda value: {"prefix": _text(value)},
    "end with": _no_ending,
    "is": _same,
    "in": lambda value: {"in": value if isinstance(value, list) else [value]},
    "not empty": lambda _: {"exists": True},
    "=": lambda value: {"eq": _number(value)},
    ">": lambda value: {"gt": _number(value)},
    "<": lambda value: {"lt": _number(value)},
    "≥": lambda value: {"gte": _number(value)},
    "≤": lambda value: {"lte": _number(value)},
    "before": lambda value: {"lt": _moment(value)},
    "after": lambda value: {"gt": _moment(value)},
}
OPPOSITES: dict[Operator, Operator] = {
    "not contains": "contains",
    "is not": "is",
    "not in": "in",
    "empty": "not empty",
    "≠": "=",
}
