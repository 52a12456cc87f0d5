"""DOC of Word 97 to 2003 ([MS-DOC]): the text by its piece table, headings by paragraph style.

The file says where pieces of the text lie and in which encoding; marks in it end paragraphs and
cells. Read by ourselves, an old document needs no office suite and no exception to the sandbox.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from pipelines.parse import encoding, rows
from pipelines.parse.compound import Compound, damaged
from pipelines.parse.extract import Builder, Extract, Unreadable
from pipelines.parse.oleproperties import summary

MEDIA_TYPE = "application/msword"

_WORD_97 = 0x00C1
_ENCRYPTED, _IN_TABLE_1 = 0x0100, 0x0200
_FIB_FLAGS, _FIB_CCP_TEXT = 0x0A, 0x4C
_FC_STSHF, _FC_PLCF_BTE_PAPX, _FC_CLX = 0x00A2, 0x0102, 0x01A2
_PAGE = 512

# Numbers of built-in styles, the same in every language of Word.
_HEADINGS, _TITLE = range(1, 10), 0x3E
_LISTS = frozenset((*range(0x2F, 0x3E), 0xB3))
_NOTHING = 0x0FFF

MAX_STYLES, MAX_STYLE_CHAIN = 4_096, 20
MAX_HEADING = 400

_FIELD = re.compile("\x13[^\x13\x14\x15]*\x14?")
_CONTROL = re.compile("[\x01-\x06\x08\x0e-\x12\x15-\x1d]")


prepare = encoding.prepare_legacy


class _Style(NamedTuple):
    """What a paragraph style is, and what it is based on, by number."""

    kind: int
    base: int


def parse(data: bytes) -> Extract:
    """Read the main text; footnotes and comments lie behind it and are left out."""
    file = Compound(data)
    document = file.read("WordDocument")
    if len(document) < 0x200:
        raise damaged()
    magic, flags = struct.unpack_from("<H", document)[0], _word(document, _FIB_FLAGS)
    if flags & _ENCRYPTED:
        raise Unreadable("encrypted", "The document needs a password; remove it and try again.")
    if magic not in (0xA5EC, 0xA5DC) or _word(document, 2) < _WORD_97:
        raise Unreadable(
            "unsupported_format",
            "The document is from before Word 97; open it in Word or LibreOffice, save it as DOCX "
            "and upload that.",
        )
    table = file.read("1Table" if flags & _IN_TABLE_1 else "0Table")
    try:
        reader = _Reader(document, table)
        builder = reader.read()
    except (struct.error, IndexError):
        raise damaged() from None
    about = summary(file)
    title = about.pop("title", None) or reader.title or builder.opening
    return builder.extract(MEDIA_TYPE, title=title, metadata=about)


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


def _long(data: bytes, offset: int) -> int:
    return int(struct.unpack_from("<I", data, offset)[0])


class _Reader:
    def __init__(self, document: bytes, table: bytes) -> None:
        self._document = document
        self._table = table
        self.title: str | None = None
        self._styles = self._paragraph_styles()
        self._sheet = self._read_styles()

    def read(self) -> Builder:
        builder = Builder()
        cells: list[str] = []
        lines: list[list[str]] = []
        limit = _long(self._document, _FIB_CCP_TEXT)
        for text, mark, style in self._paragraphs(limit):
            if mark == "\x07":
                if text or not cells:
                    cells.append(text)
                    continue
                # An empty mark after cells ends the row; one more cell could be empty itself.
                lines.append(cells)
                cells = []
                continue
            if cells:
                cells[-1] += f" {text}"
                continue
            self._end_table(builder, lines)
            lines = []
            self._add(builder, text, style)
        if cells:
            lines.append(cells)
        self._end_table(builder, lines)
        return builder

    def _end_table(self, builder: Builder, lines: list[list[str]]) -> None:
        if lines:
            builder.add(rows.render(lines), "table", first_line_leads=True)

    def _add(self, builder: Builder, text: str, style: int) -> None:
        kind = self._kind(style)
        if kind == _TITLE:
            self.title = self.title or text
            kind = 1
        if kind in _HEADINGS and len(text) < MAX_HEADING:
            builder.heading(kind, text)
        else:
            builder.add(text, "list" if kind in _LISTS else "text")

    def _paragraphs(self, limit: int) -> Iterator[tuple[str, str, int]]:
        """Text, mark and style of each paragraph of the first `limit` characters."""
        text: list[str] = []
        left = limit
        for piece, place, width in self._pieces():
            piece = piece[:left]
            left -= len(piece)
            start = 0
            for match in re.finditer("[\r\x07\x0c]", piece):
                text.append(piece[start : match.start()])
                start = match.end()
                style = self._style_at(place + match.start() * width)
                yield _plain("".join(text)), match[0], style
                text.clear()
            text.append(piece[start:])
            if left <= 0:
                break
        yield _plain("".join(text)), "\r", 0

    def _pieces(self) -> Iterator[tuple[str, int, int]]:
        """Text, place in the stream and bytes per character of each piece, in reading order."""
        position = _long(self._document, _FC_CLX)
        end = position + _long(self._document, _FC_CLX + 4)
        while position < end and self._table[position] == 1:  # properties that pieces share
            position += 3 + _word(self._table, position + 1)
        if position >= end or self._table[position] != 2:
            raise damaged()
        size = _long(self._table, position + 1)
        start = position + 5
        count = (size - 4) // 12
        limits = struct.unpack_from(f"<{count + 1}I", self._table, start)
        for index, (first, last) in enumerate(pairwise(limits)):
            descriptor = start + 4 * (count + 1) + 8 * index
            place = _long(self._table, descriptor + 2)
            length = last - first
            if length <= 0:
                continue
            if place & 0x4000_0000:
                place = (place & 0x3FFF_FFFF) // 2
                raw = self._document[place : place + length]
                yield raw.decode("cp1252", "replace"), place, 1
            else:
                raw = self._document[place : place + 2 * length]
                yield raw.decode("utf-16-le", "replace"), place, 2

    def _paragraph_styles(self) -> list[tuple[int, int, int]]:
        """Begin and end in the stream, and style, of every paragraph ([MS-DOC] PapxFkp)."""
        position = _long(self._document, _FC_PLCF_BTE_PAPX)
        size = _long(self._document, _FC_PLCF_BTE_PAPX + 4)
        count = max(0, (size - 4) // 8)
        found: list[tuple[int, int, int]] = []
        for index in range(count):
            offset = position + 4 * (count + 1) + 4 * index
            if offset + 4 > len(self._table):
                break
            page = (_long(self._table, offset) & 0x3F_FFFF) * _PAGE
            found += self._of_page(self._document[page : page + _PAGE])
        return sorted(found)

    def _of_page(self, page: bytes) -> Iterator[tuple[int, int, int]]:
        if len(page) < _PAGE:
            return
        count = page[-1]
        if 4 * (count + 1) + 13 * count > _PAGE:
            return
        limits = struct.unpack_from(f"<{count + 1}I", page)
        for index, (first, last) in enumerate(pairwise(limits)):
            offset = 2 * page[4 * (count + 1) + 13 * index]
            if not offset:
                yield first, last, 0
                continue
            # A length of zero means that the true one is in the next byte.
            at = offset + 1 if page[offset] else offset + 2
            yield first, last, _word(page, at)

    def _style_at(self, place: int) -> int:
        index = bisect_right(self._styles, (place, 1 << 40, 0)) - 1
        if index >= 0 and self._styles[index][0] <= place < self._styles[index][1]:
            return self._styles[index][2]
        return 0

    def _read_styles(self) -> list[_Style]:
        """The style sheet ([MS-DOC] STSH): the built-in kind of each, and its base."""
        position = _long(self._document, _FC_STSHF)
        sheet = self._table[position : position + _long(self._document, _FC_STSHF + 4)]
        found: list[_Style] = []
        head = 2 + _word(sheet, 0)
        for _ in range(min(_word(sheet, 2), MAX_STYLES)):
            length = _word(sheet, head)
            fields = (_word(sheet, head + 2) & 0x0FFF, _word(sheet, head + 4) >> 4)
            found.append(_Style(*fields) if length >= 4 else _Style(_NOTHING, _NOTHING))
            head += 2 + length + length % 2
        return found

    def _kind(self, style: int) -> int:
        """The built-in style that a style is, or is based on; the first nine are headings."""
        for _ in range(MAX_STYLE_CHAIN):
            if style in _HEADINGS or not 0 <= style < len(self._sheet):
                break
            kind, base = self._sheet[style]
            if kind in _HEADINGS or kind in _LISTS or kind == _TITLE:
                return kind
            style = base
        return style if style in _HEADINGS else 0


def _plain(text: str) -> str:
    """Text without the codes of fields, of which the results stay, and without other marks."""
    text = _FIELD.sub("", text) if "\x13" in text else text
    text = text.replace("\x0b", "\n").replace("\x1e", "-").replace("\x1f", "").replace("\xa0", " ")
    return _CONTROL.sub("", text).strip()
