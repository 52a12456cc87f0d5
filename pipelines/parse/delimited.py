"""CSV and its kin: delimiter and header are told from the content, every row keeps its header."""

import csv
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter

from pipelines.parse import rows
from pipelines.parse.encoding import decode
from pipelines.parse.extract import MAX_TEXT, Builder, Extract, clean

MEDIA_TYPE = "text/csv"

DELIMITERS = ",;\t|"
SAMPLE_LINES = 100
MAX_FIELD = 1_000_000
"""Longest field; a longer one means a quotation mark that was never closed."""


def parse(data: bytes) -> Extract:
    """Read a table; rows may be of unequal length and no cell is lost."""
    text = clean(decode(data))
    lines = text.split("\n")
    table = _table(lines, _delimiter(lines[:SAMPLE_LINES]))
    header = table[0] if _is_header(table) else []
    builder = Builder()
    builder.add(rows.render(table[1:] if header else table, header), "table")
    return builder.extract(MEDIA_TYPE)


def _delimiter(sample: list[str]) -> str:
    """The one that divides most lines into the same number of fields, and that into most."""

    def score(delimiter: str) -> tuple[int, int]:
        try:
            widths = Counter(map(len, filter(None, csv.reader(sample, delimiter=delimiter))))
        except csv.Error:  # a field that is too long: not with this one
            return (0, 0)
        width, count = max(widths.items(), key=itemgetter(1), default=(0, 0))
        return (count, width) if width > 1 else (0, 0)

    return max(DELIMITERS, key=score)


def _table(lines: list[str], delimiter: str) -> list[list[str]]:
    csv.field_size_limit(MAX_FIELD)
    try:
        return _filled(csv.reader((line + "\n" for line in lines), delimiter=delimiter))
    except csv.Error:
        csv.field_size_limit(MAX_TEXT)  # there are no quotation marks now that could be open
        return _filled(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))


def _filled(table: Iterator[list[str]]) -> list[list[str]]:
    return [row for row in table if any(row)]


def _is_header(table: list[list[str]]) -> bool:
    """A first row of different names, none of them a number or empty."""
    if len(table) < 2:
        return False
    names = [name.strip() for name in table[0]]
    return len(set(names)) == len(names) and not any(
        not name or name.replace(".", "").replace(",", "").lstrip("+-").isdigit() for name in names
    )
