"""Arguments of the command line that are more than a word or a number."""

import json
from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from twofold.errors import InvalidRequest
from twofold.schema import Filter, Metadata

_FILTER = TypeAdapter[Filter](Filter)
_METADATA = TypeAdapter[Metadata](Metadata)


def parse_filter(text: str) -> Filter:
    """A filter from JSON.

    Raises:
        InvalidRequest: It is not JSON, or not a filter.
    """
    try:
        return _FILTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = first["msg"] if first["type"] == "json_invalid" else "it is not a filter"
        raise InvalidRequest(
            field="--filter",
            reason=f'{reason}; write a condition, such as {{"key": "year", "gte": 2020}}, or an '
            '"and", "or" or "not" of conditions',
        ) from None


def parse_metadata(pairs: Iterable[str]) -> Metadata:
    """KEY=VALUE; a value that reads as JSON, such as a number, is taken as that.

    Raises:
        InvalidRequest: A pair has no `=`, or its key or value is not one that metadata may have.
    """
    values: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidRequest(field="--metadata", reason=f"'{pair}' is not KEY=VALUE")
        try:
            values[key] = json.loads(value, parse_constant=str)
        except ValueError:
            values[key] = value
    try:
        return _METADATA.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidRequest(
            field="--metadata", reason=f"{first['loc'][0]}: {first['msg']}"
        ) from None
