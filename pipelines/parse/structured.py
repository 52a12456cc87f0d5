"""JSON and JSON Lines: every record a block of `key.path: value` lines, under its keys."""

import json
from collections.abc import Iterator
from typing import TypeAlias

from pipelines.parse.encoding import decode
from pipelines.parse.extract import Builder, Extract, Unreadable

MEDIA_TYPE = "application/json"
LINES_MEDIA_TYPE = "application/jsonl"

MAX_DEPTH = 100
LONG_VALUE = 100
"""Values of a list are put on lines of their own when one is longer than this."""

Json: TypeAlias = "dict[str, Json] | list[Json] | str | bool | None"


def parse(data: bytes) -> Extract:
    """Read one JSON value, or one per line."""
    text = decode(data)
    builder = Builder()
    try:
        value = _load(text)
    except ValueError as error:
        for record in _load_lines(text, error):
            _add(builder, record)
        return builder.extract(LINES_MEDIA_TYPE)
    _add(builder, value)
    return builder.extract(MEDIA_TYPE, title=_title(value))


def _load(text: str) -> Json:
    """Numbers stay as they are written."""
    value: Json = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    return value


def _load_lines(text: str, error: ValueError) -> Iterator[Json]:
    """Values line by line; `error` is why the whole is not one, in case the lines are none."""
    read = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _load(line)
        except ValueError as fault:
            raise (_not_json(fault, number) if read else _not_json(error)) from None
        read += 1


def _not_json(error: ValueError, number: int | None = None) -> Unreadable:
    line = number if number is not None else getattr(error, "lineno", 1)
    reason = getattr(error, "msg", str(error))
    return Unreadable(
        "corrupt", f"Line {line} of the file is not JSON ({reason}); mend it and upload it again."
    )


def _title(value: Json) -> str:
    if not isinstance(value, dict):
        return ""
    found = (value.get(key) for key in ("title", "name"))
    return next((each for each in found if isinstance(each, str)), "")


def _add(builder: Builder, value: Json) -> None:
    for path, record in _records(value, (), MAX_DEPTH):
        builder.outline.move(path)
        builder.add("\n".join(_lines(record, "")))


def _records(
    value: Json, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Json]]:
    """What is read as one: a value in which no list of structures is left."""
    if depth == 0:
        raise Unreadable("corrupt", "The JSON nests too deep; flatten it and upload it again.")
    if _is_record(value, depth):
        yield path, value
    elif isinstance(value, list):
        for each in value:
            yield from _records(each, path, depth - 1)
    elif isinstance(value, dict):
        own = {key: each for key, each in value.items() if _is_record(each, depth - 1)}
        if own:
            yield path, own
        label = (_title(value),) if path else ()
        for key, each in value.items():
            if key not in own:
                yield from _records(each, (*path, *label, key), depth - 1)


def _is_record(value: Json, depth: int) -> bool:
    if isinstance(value, list):
        return not any(isinstance(each, dict | list) for each in value)
    if isinstance(value, dict):
        return depth > 0 and all(_is_record(each, depth - 1) for each in value.values())
    return True


def _lines(value: Json, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _lines(each, f"{path}.{key}" if path else key)
        return
    text = _list(value) if isinstance(value, list) else _scalar(value)
    if text:
        yield f"{path}: {text}" if path else text


def _list(values: list[Json]) -> str:
    texts = [text for each in values if (text := _scalar(each))]
    return ("\n" if any(len(text) > LONG_VALUE for text in texts) else ", ").join(texts)


def _scalar(value: Json) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ""
