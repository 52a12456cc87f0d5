"""A sheet as people use it: titles, tables with headers, and notes, divided by empty rows."""

from collections.abc import Iterable, Iterator, Sequence

from pipelines.parse import rows
from pipelines.parse.extract import BlockKind, Builder

Row = Sequence[str]


def add(builder: Builder, name: str, sheet: Iterable[Row], *, page: int | None = None) -> None:
    """Add a sheet under its name; a sheet without a value is left out."""
    regions = [region for region in _regions(sheet) if region]
    if not regions:
        return
    builder.outline.move(())
    builder.heading(1, name, page=page)
    for region in regions:
        _add_region(builder, region, page)


def _regions(sheet: Iterable[Row]) -> Iterator[list[Row]]:
    """Runs of rows that have a value."""
    region: list[Row] = []
    for row in sheet:
        if any(row):
            region.append(row)
        elif region:
            yield region
            region = []
    yield region


def _add_region(builder: Builder, region: list[Row], page: int | None) -> None:
    region = list(_without_empty_columns(region))
    # Rows of a single value above a table are its title.
    while len(region) > 1 and _width(region[0]) == 1 and len(region[0]) > 1:
        builder.add("".join(region.pop(0)), page=page)
    header = region[0] if is_header(region) and _all_used(region) else []
    text = rows.render(region[1:] if header else region, header)
    kind: BlockKind = "table" if len(region[0]) > 1 else "text"
    builder.add(text, kind, page=page, first_line_leads=not header and kind == "table")


def _without_empty_columns(region: list[Row]) -> Iterator[Row]:
    width = max(map(len, region))
    used = [any(len(row) > column and row[column] for row in region) for column in range(width)]
    for row in region:
        yield [value for value, keep in zip(row, used, strict=False) if keep]


def _all_used(table: list[Row]) -> bool:
    """Whether every column has a value below its name; the name of an empty one would be lost."""
    return all(
        any(len(row) > column and row[column] for row in table[1:])
        for column in range(len(table[0]))
    )


def _width(row: Row) -> int:
    return sum(1 for value in row if value)


def is_header(table: Sequence[Row]) -> bool:
    """A first row of different names, none of them a number or empty."""
    if len(table) < 2:
        return False
    names = [name.strip() for name in table[0]]
    return (
        len(names) > 1
        and len(set(names)) == len(names)
        and not any(not name or _is_number(name) for name in names)
    )


def _is_number(text: str) -> bool:
    return text.replace(".", "").replace(",", "").lstrip("+-").isdigit()
