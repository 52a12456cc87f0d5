"""Outlook messages (MSG, [MS-OXMSG]): properties in the streams of a compound file."""

import struct
from datetime import UTC, datetime, timedelta

from pipelines.parse import encoding, message, richtext
from pipelines.parse.compound import Compound
from pipelines.parse.extract import Builder, Extract, one_line
from pipelines.parse.message import Contents

MEDIA_TYPE = "application/vnd.ms-outlook"

MAX_RTF = 50_000_000

# Property ids of [MS-OXPROPS].
_SUBJECT, _BODY, _RTF, _HTML, _HEADERS = "0037", "1000", "1009", "1013", "007D"
_SENDER_NAME, _SENDER_SMTP, _SENDER_ADDRESS = "0C1A", "5D01", "0C1F"
_TO, _CC = "0E04", "0E03"
_SENT, _DELIVERED, _CODE_PAGE = 0x0039_0040, 0x0E06_0040, 0x3FFD_0003
_FILE_NAMES = ("3707", "3704", "3001")

_PROPERTIES = "__properties_version1.0"
_ATTACHMENT = "__attach_version1.0_"
_EMBEDDED = "__substg1.0_3701000D"


def prepare(data: bytes) -> None:
    """Import code pages where a text is not in Unicode, and those that RTF may name."""
    if "001E".encode("utf-16-le") in data or "10130102".encode("utf-16-le") in data:
        encoding.prepare(data)
    richtext.prepare(b"")


def parse(data: bytes) -> Extract:
    """Read one message."""
    builder = Builder()
    about = _add(builder, Compound(data), (), level=1)
    return builder.extract(MEDIA_TYPE, title=about.pop("subject", None), metadata=about)


def _add(builder: Builder, file: Compound, place: tuple[str, ...], *, level: int) -> dict[str, str]:
    storage = _Storage(file, place)
    about = {
        "subject": storage.text(_SUBJECT),
        "from": _address(
            storage.text(_SENDER_NAME), storage.text(_SENDER_SMTP) or storage.text(_SENDER_ADDRESS)
        ),
        "to": storage.text(_TO),
        "cc": storage.text(_CC),
        "date": storage.date(),
    }
    about = {key: one_line(value) for key, value in about.items() if value}
    attached, embedded = _attachments(file, place)
    contents = Contents(storage.body(), storage.html(), attached, [], [])
    about = message.add_parts(builder, about, contents, level=level)
    if len(place) < 2 * message.MAX_DEPTH:
        above = builder.outline.path
        for inner in embedded:
            builder.outline.move(above)
            _add(builder, file, inner, level=level + 1)
    return about


def _address(name: str, address: str) -> str:
    if "@" not in address or address == name:
        return name or address
    return f"{name} <{address}>" if name else address


def _attachments(file: Compound, place: tuple[str, ...]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names of attached files, and the places of attached messages."""
    names, messages = [], []
    depth = len(place)
    folders = {
        path[depth]
        for path in file.paths
        if len(path) > depth
        and tuple(path[:depth]) == place
        and path[depth].startswith(_ATTACHMENT)
    }
    for folder in sorted(folders)[: message.MAX_PARTS]:
        storage = _Storage(file, (*place, folder))
        name = next((text for each in _FILE_NAMES if (text := storage.text(each))), "")
        if file.has(*place, folder, _EMBEDDED):
            messages.append((*place, folder, _EMBEDDED))
        elif name:
            names.append(one_line(name))
    return names, messages


class _Storage:
    """The properties of a message or attachment."""

    def __init__(self, file: Compound, place: tuple[str, ...]) -> None:
        self._file = file
        self._place = place
        self._fixed = self._fixed_properties()

    def text(self, number: str) -> str:
        """A property in Unicode or in the message's code page."""
        if wide := self._read(number, "001F"):
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        raw = self._read(number, "001E").rstrip(b"\0")
        page = self._fixed.get(_CODE_PAGE)
        return encoding.decode(raw, f"cp{page}" if page else None) if raw else ""

    def body(self) -> str:
        """The body in plain text, from its RTF form where there is no other."""
        text = self.text(_BODY).replace("\r\n", "\n")
        if text.strip() or self.html():
            return text
        packed = self._read(_RTF, "0102")
        return richtext.parse(unpacked_rtf(packed)).text if packed else ""

    def html(self) -> str:
        """The body as HTML, or nothing."""
        raw = self._read(_HTML, "0102")
        return encoding.decode(raw.rstrip(b"\0")) if raw else self.text(_HTML)

    def date(self) -> str:
        """When it was sent, or delivered, in ISO 8601."""
        ticks = self._fixed.get(_SENT) or self._fixed.get(_DELIVERED) or 0
        try:  # FILETIME: tenths of microseconds since 1601
            moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
        except OverflowError:
            return ""
        return moment.isoformat(timespec="seconds") if ticks else ""

    def _read(self, number: str, kind: str) -> bytes:
        return self._file.read(*self._place, f"__substg1.0_{number}{kind}")

    def _fixed_properties(self) -> dict[int, int]:
        """Tag to value of the properties of fixed length; how long the head is depends on where."""
        data = self._file.read(*self._place, _PROPERTIES)
        last = self._place[-1] if self._place else ""
        head = 32 if not self._place else 24 if last == _EMBEDDED else 8
        return {
            tag: value & 0xFFFF_FFFF if tag & 0xFFFF == 3 else value
            for offset in range(head, len(data) - 15, 16)
            for tag, _, value in [struct.unpack_from("<IIQ", data, offset)]
        }


_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript "
    rb"\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def unpacked_rtf(data: bytes) -> bytes:
    """Unpack the compressed RTF of [MS-OXRTFCP]; what is cut off gives what was read until then."""
    if data[8:12] != b"LZFu":
        return data[16:]
    window = bytearray(4096)
    window[: len(_DICTIONARY)] = _DICTIONARY
    place = len(_DICTIONARY)
    output = bytearray()
    position = 16

    def put(byte: int) -> None:
        nonlocal place
        output.append(byte)
        window[place] = byte
        place = (place + 1) % 4096

    while position < len(data) and len(output) < MAX_RTF:
        control = data[position]
        position += 1
        for bit in range(8):
            if position >= len(data):
                break
            if not control >> bit & 1:
                put(data[position])
                position += 1
                continue
            reference = int.from_bytes(data[position : position + 2], "big")
            position += 2
            offset, length = reference >> 4, (reference & 15) + 2
            if offset == place:
                return bytes(output)
            for step in range(length):
                put(window[(offset + step) % 4096])
    return bytes(output)
