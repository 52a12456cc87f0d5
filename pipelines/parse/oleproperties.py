"""Title and author of an old Office file, from its summary information ([MS-OLEPS])."""

import codecs
import struct
from datetime import UTC, datetime, timedelta

from pipelines.parse.compound import Compound

_STREAM = "\x05SummaryInformation"
_NAMES = {2: "title", 3: "subject", 4: "author", 5: "keywords", 12: "created", 13: "modified"}
_CODE_PAGE, _ANSI, _WIDE, _FILETIME = 1, 0x1E, 0x1F, 0x40
_CODECS = {1200: "utf-16-le", 65_001: "utf-8", 10_000: "mac_roman"}


def summary(file: Compound) -> dict[str, str]:
    """What the file says of itself; nothing where that is damaged."""
    data = file.read(_STREAM)
    try:
        return _read(data)
    except (struct.error, LookupError, OverflowError):
        return {}


def _read(data: bytes) -> dict[str, str]:
    if len(data) < 48:
        return {}
    (start,) = struct.unpack_from("<I", data, 44)
    (count,) = struct.unpack_from("<I", data, start + 4)
    places: dict[int, int] = {}
    for index in range(min(count, 100)):
        number, offset = struct.unpack_from("<II", data, start + 8 + 8 * index)
        places[number] = start + offset
    encoding = "cp1252"
    if _CODE_PAGE in places:
        (page,) = struct.unpack_from("<H", data, places[_CODE_PAGE] + 4)
        encoding = _CODECS.get(page) or _known(f"cp{page}")
    values = {name: _value(data, places[n], encoding) for n, name in _NAMES.items() if n in places}
    return {name: value for name, value in values.items() if value}


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except (LookupError, OSError):  # OSError: not imported before the child was sealed
        return "cp1252"


def _value(data: bytes, place: int, encoding: str) -> str:
    kind, size = struct.unpack_from("<II", data, place)
    if kind == _ANSI:
        return data[place + 8 : place + 8 + size].decode(encoding, "replace").rstrip("\0")
    if kind == _WIDE:
        return data[place + 8 : place + 8 + 2 * size].decode("utf-16-le", "replace").rstrip("\0")
    if kind == _FILETIME:
        (ticks,) = struct.unpack_from("<Q", data, place + 4)
        moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
        return moment.isoformat(timespec="seconds") if ticks else ""
    return ""
