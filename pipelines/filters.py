"""What a filter means, and how metadata is laid out so that an index can answer it. Pure.

A key's values are the elements of its list, or the single value, or none when it is absent or
null. A condition holds when its operators all hold:

- `eq`, `in`: some value equals (one of) the operand. Numbers compare as numbers, 1 is 1.0, and a
  boolean equals only a boolean.
- `gt`, `gte`, `lt`, `lte`: some value lies within all the bounds. A numeric bound compares with
  numbers, a datetime bound with texts in ISO 8601; without an offset both are UTC.
- `exists`: there is a value, or with `false` there is none.
- `prefix`: some value is a text that begins with the operand.
- `contains`: a list of texts has the operand as an element, or a text has it as a substring.

Metadata keys come from callers, so they never become keys of a stored payload: a document with
the metadata `{"tenant": "other"}` shall not read as another tenant's. They are laid out as values
of two keys of ours instead, which also need only one index each, whatever the callers think of:
`facts`, a list of strings that stand for equality, and `fields`, a list of objects for the rest.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypedDict

from twofold.schema import Metadata, MetadataValue, Scalar


class Field(TypedDict, total=False):
    """One value of one metadata key, as ranges and substrings find it."""

    key: str
    number: float
    time: str
    text: str


def facts(metadata: Metadata) -> list[str]:
    """Strings that stand for `key exists` and `key has this value`."""
    return [
        fact
        for key, value in metadata.items()
        if (values := values_of(value))
        for fact in (exists(key), *(equals(key, each) for each in values))
    ]


def exists(key: str) -> str:
    """The fact that a key has a value."""
    return key


def equals(key: str, value: Scalar) -> str:
    """The fact that a key has this value; equal values give equal facts, others never do."""
    match value:
        case bool():
            return f"{key}=b{value}"
        case str():
            return f"{key}=s{value}"
        case float() if value.is_integer():
            return f"{key}=n{int(value)}"
        case _:
            return f"{key}=n{value!r}"


def fields(metadata: Metadata) -> list[Field]:
    """Every value that a range or a substring could ask for."""
    return [field for key, value in metadata.items() for field in _fields(key, value)]


def _fields(key: str, value: MetadataValue) -> Iterator[Field]:
    for each in values_of(value):
        match each:
            case bool():
                pass
            case str():
                field = Field(key=key)
                if (time := parse_time(each)) is not None:
                    field["time"] = format_time(time)
                if not isinstance(value, list):
                    field["text"] = each
                if len(field) > 1:
                    yield field
            case _:
                yield Field(key=key, number=to_float(each))


def values_of(value: MetadataValue) -> list[Scalar]:
    """The values that conditions look at: none, one, or the elements of a list."""
    match value:
        case None:
            return []
        case list():
            return list(value)
        case _:
            return [value]


def parse_time(text: str) -> datetime | None:
    """A date or time in ISO 8601, in UTC; None when the text is something else."""
    try:
        return to_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def to_utc(time: datetime) -> datetime:
    """The same moment in UTC; a time without an offset is taken as UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC to the microsecond; orders as the times do."""
    return to_utc(time).isoformat(timespec="microseconds")


def to_float(number: float) -> float:
    """As an index compares numbers; an integer too long for it is as great as a float can be."""
    limit = sys.float_info.max
    return float(max(-limit, min(number, limit)))
