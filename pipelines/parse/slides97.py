"""PPT of PowerPoint 97 to 2003 ([MS-PPT]): the texts of each slide, by its tree of records."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.parse import encoding
from pipelines.parse.compound import Compound
from pipelines.parse.extract import Builder, Extract, Unreadable
from pipelines.parse.oleproperties import summary

MEDIA_TYPE = "application/vnd.ms-powerpoint"

MAX_DEPTH = 30
_OF_NO_ONE = re.compile(r"PowerPoint Presentation|(?:Slide|Folie|Diapositive|スライド) ?1")
MAX_RECORDS = 500_000

# Types of records, by their names in the specification.
_SLIDE_LIST, _SLIDE_PERSIST, _TEXT_HEADER = 0x0FF0, 0x03F3, 0x0F9F
_TEXT_CHARS, _TEXT_BYTES, _C_STRING = 0x0FA0, 0x0FA8, 0x0FBA
_SLIDE, _NOTES, _DOCUMENT, _DRAWING = 0x03EE, 0x03F0, 0x03E8, 0x040C
_SLIDES, _MASTERS, _NOTES_LIST = 0, 1, 2
_TITLES = (0, 6)  # a title, and the title of a title slide
_NOTE = 2


prepare = encoding.prepare_legacy


class _Record(NamedTuple):
    kind: int
    instance: int
    is_container: bool
    data: memoryview


def parse(data: bytes) -> Extract:
    """Read the outline of the slides, then the texts that are drawn on them."""
    file = Compound(data)
    if file.has("EncryptedSummary"):
        raise Unreadable("encrypted", "The presentation needs a password; remove it and try again.")
    stream = memoryview(file.read("PowerPoint Document"))
    reader = _Reader()
    reader.read(stream)
    about = summary(file)
    title = about.pop("title", None)
    builder = reader.builder()
    if title is None or _OF_NO_ONE.fullmatch(title):
        title = builder.opening
    return builder.extract(MEDIA_TYPE, title=title, metadata=about)


class _Reader:
    """Collects titles and texts of slides.

    The outline in the document has the texts of placeholders; each slide's own record, the texts
    of its other shapes. Both are in the order of the slides.
    """

    def __init__(self) -> None:
        self._outline: list[list[tuple[int, str]]] = []
        self._drawn: list[list[tuple[int, str]]] = []
        self._notes: list[list[tuple[int, str]]] = []
        self._left = MAX_RECORDS

    def read(self, stream: memoryview) -> None:
        for record in self._records(stream):
            if record.kind == _DOCUMENT:
                self._document(record.data)
            elif record.kind == _SLIDE:
                self._drawn.append(list(self._texts(record.data, 0)))
            elif record.kind == _NOTES:
                self._notes.append(list(self._texts(record.data, 0)))

    def builder(self) -> Builder:
        builder = Builder()
        for index in range(max(len(self._outline), len(self._drawn))):
            outline = self._outline[index] if index < len(self._outline) else []
            drawn = self._drawn[index] if index < len(self._drawn) else []
            page = index + 1
            builder.outline.move(())
            said: set[str] = set()
            texts = [*outline, *drawn]
            title = next((text for kind, text in texts if kind in _TITLES and text), None)
            if title is not None:
                builder.heading(1, title, page=page)
                said.add(title)
            for _, text in texts:
                if text not in said:
                    said.add(text)
                    builder.add(text, "list" if "\n" in text else "text", page=page)
        for notes in self._notes:
            builder.outline.move(())
            for kind, text in notes:
                if kind == _NOTE:
                    builder.add(f"Notes: {text}")
        return builder

    def _document(self, data: memoryview) -> None:
        for record in self._records(data):
            if record.kind == _SLIDE_LIST and record.instance == _SLIDES:
                self._slide_list(record.data)

    def _slide_list(self, data: memoryview) -> None:
        """Texts of each slide follow the record that stands for it."""
        kind = -1
        for record in self._records(data):
            if record.kind == _SLIDE_PERSIST:
                self._outline.append([])
            elif record.kind == _TEXT_HEADER:
                kind = _number(record.data)
            elif self._outline and (text := _text(record)):
                self._outline[-1].append((kind, text))

    def _texts(self, data: memoryview, depth: int) -> Iterator[tuple[int, str]]:
        """The texts in the shapes of a slide, with the kind of each."""
        kind = -1
        for record in self._records(data):
            if record.kind == _TEXT_HEADER:
                kind = _number(record.data)
            elif record.is_container and depth < MAX_DEPTH:
                yield from self._texts(record.data, depth + 1)
            elif record.kind != _C_STRING and (text := _text(record)):
                yield kind, text

    def _records(self, data: memoryview) -> Iterator[_Record]:
        position = 0
        while position + 8 <= len(data) and self._left > 0:
            self._left -= 1
            head, kind, length = struct.unpack_from("<HHI", data, position)
            start = position + 8
            end = min(start + length, len(data))
            # The text boxes of a shape hold records without being marked as containers.
            is_container = head & 0x0F == 0x0F or kind == 0xF00D
            yield _Record(kind, head >> 4, is_container, data[start:end])
            position = end


def _number(data: memoryview) -> int:
    return int.from_bytes(data[:4], "little")


def _text(record: _Record) -> str:
    if record.kind in (_TEXT_CHARS, _C_STRING):
        raw = bytes(record.data).decode("utf-16-le", "replace")
    elif record.kind == _TEXT_BYTES:
        raw = bytes(record.data).decode("latin-1")
    else:
        return ""
    lines = raw.replace("\x0b", "\n").replace("\r", "\n").split("\n")
    return "\n".join(filter(None, (line.strip() for line in lines)))
