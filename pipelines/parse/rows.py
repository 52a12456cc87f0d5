"""Tables as text: one line per row, with the names of its columns where they are known.

So a row that is found alone still says what its values are.
"""

from collections.abc import Iterable, Iterator, Sequence

from pipelines.parse.extract import MAX_TEXT, TooMuchText

MAX_CELL = 10_000
"""Longest cell, in code points."""


def render(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Render as `name: value | name: value`, or `value | value` where a column has no name.

    A row without a value is left out, and so is a named cell without one. Where there is no row
    the header is the text.
    """
    names = [_cell(name) for name in header]
    lines = list(_bounded(filter(None, (_line(row, names) for row in rows))))
    return "\n".join(lines) if lines else " | ".join(filter(None, names))


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    room = MAX_TEXT
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            raise TooMuchText
        yield line


def _line(row: Sequence[str], names: Sequence[str]) -> str:
    values = [_cell(value) for value in row]
    if not any(values):
        return ""
    if not any(names):
        return " | ".join(values).strip(" |")
    padded = [*names, *[""] * (len(values) - len(names))]
    cells = zip(padded, values, strict=False)
    return " | ".join(f"{name}: {value}" if name else value for name, value in cells if value)


def _cell(text: str) -> str:
    return " ".join(text.split())[:MAX_CELL]
