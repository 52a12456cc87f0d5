"""XLSX, XLSB and XLS by calamine: a heading for each sheet, its tables row by row.

calamine lays a sheet out as a full rectangle from its first to its last cell, so two cells far
apart cost what all between them would. How far they are is looked up before.
"""

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    WorksheetNotFound,
    ZipError,
)

from pipelines.parse import compound, office, sheet
from pipelines.parse.compound import Compound
from pipelines.parse.extract import Builder, Extract, Unreadable
from pipelines.parse.zipped import Container

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OLD_MEDIA_TYPE = "application/vnd.ms-excel"

MAX_CELLS = 8_000_000
"""Cells of the rectangle around a sheet; what the child's memory has room for."""

MAX_COLUMN, MAX_ROW = 16_384, 1_048_576

FIRST_RECORDS = 10
_FILEPASS = b"\x2f\x00"

_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br=\"([A-Z]{1,40})(\d{1,40})\"")
_OVERLAP = 200

Value = int | float | str | bool | date | datetime | time | timedelta


def parse(data: bytes) -> Extract:
    """Read the values of every sheet, formulas as they were last computed."""
    about: dict[str, str] = {}
    media_type = OLD_MEDIA_TYPE
    if data.startswith(b"PK"):
        container = Container(data)
        _refuse_wide_sheets(container)
        about, media_type = office.properties(container), MEDIA_TYPE
    elif _is_locked(data):
        raise _locked()
    builder = Builder()
    for name, cells in _sheets(data):
        sheet.add(builder, name, cells)
    return builder.extract(media_type, title=about.pop("title", None), metadata=about)


def _sheets(data: bytes) -> Iterator[tuple[str, Iterator[list[str]]]]:
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        for name in workbook.sheet_names:
            try:
                found = workbook.get_sheet_by_name(name)
            except WorksheetNotFound:  # a chart, or a sheet of macros
                continue
            _refuse_many_cells(found.width * found.height)
            yield name, ([_text(value) for value in row] for row in found.iter_rows())
    except PasswordError:
        raise _locked() from None
    except (CalamineError, ZipError, OSError, ValueError):
        raise compound.damaged() from None
    except BaseException as fault:  # calamine's own faults are no Exception in Python's sense
        if type(fault).__name__ == "PanicException":
            raise compound.damaged() from None
        raise


def _is_locked(data: bytes) -> bool:
    """Whether a FILEPASS record follows the beginning of an XLS ([MS-XLS] 2.4.117)."""
    stream = Compound(data).read("Workbook")
    position = 0
    for _ in range(FIRST_RECORDS):
        kind, length = stream[position : position + 2], stream[position + 2 : position + 4]
        if kind == _FILEPASS:
            return True
        position += 4 + int.from_bytes(length, "little")
    return False


def _locked() -> Unreadable:
    return Unreadable(
        "encrypted", "The workbook needs a password; remove the password and upload it again."
    )


def _text(value: Value) -> str:
    """A value as people write it: whole numbers without a point, dates in ISO 8601."""
    match value:
        case bool():
            return str(value).lower()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime() if not (value.hour or value.minute or value.second):
            return value.date().isoformat()
        case datetime():
            return value.isoformat(" ", "seconds")
        case float():
            return f"{value:.15g}"
        case _:
            return str(value).strip()


def _refuse_wide_sheets(container: Container) -> None:
    for name in container.names:
        if _SHEET.fullmatch(name):
            _refuse_wide_sheet(container, name)


def _refuse_wide_sheet(container: Container, name: str) -> None:
    """Look for the outermost cells; what the sheet says of its own dimension may be a lie."""
    columns: set[bytes] = set()
    first, last = MAX_ROW, 1
    rest = b""
    for piece in container.read(name):
        window = rest + piece
        for column, row in _CELL.findall(window):
            columns.add(column)
            number = int(row)
            first, last = min(first, number), max(last, number)
        rest = window[-_OVERLAP:]
    if not columns:
        return
    numbers = [_column(each) for each in columns]
    if max(numbers) > MAX_COLUMN or last > MAX_ROW:
        raise compound.damaged()
    _refuse_many_cells((max(numbers) - min(numbers) + 1) * (last - first + 1))


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _refuse_many_cells(cells: int) -> None:
    if cells > MAX_CELLS:
        raise Unreadable(
            "too_large",
            f"A sheet spans more than {MAX_CELLS:,} cells; delete what stands far out, or "
            "split it.",
        )
