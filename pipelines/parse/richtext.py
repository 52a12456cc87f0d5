r"""RTF: paragraphs, headings by style or outline level, tables, and text in any code page.

A reader for the tokens of Rich Text Format 1.9.1: groups keep their state on a stack of our own,
so nothing nests too deep; what a `\*` group holds is for other programs and left out.
"""

import codecs
import re
from dataclasses import dataclass, field, replace

from pipelines.parse import rows
from pipelines.parse.extract import Builder, Extract, words

MEDIA_TYPE = "application/rtf"

MAX_GROUPS = 10_000

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|([^\\{}\r\n]+)"
)
_SYMBOLS = {
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emspace": " ",
    "enspace": " ",
    "tab": "\t",
    "line": "\n",
}
_MARKS = {"~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}"}
_SKIPPED = words(
    "colortbl pict object header headerl headerr headerf footer footerl footerr footerf "
    "listtable listoverridetable rsidtbl themedata datastore fldinst nonshppict xe tc private "
    "sn sv template ftnsep ftnsepc generator filetbl revtbl"
)
_INFO = {
    "title": "title",
    "author": "author",
    "subject": "subject",
    "keywords": "keywords",
}
# What \fcharset means, by the table of the specification.
_CHARSETS = {
    0: "cp1252",
    2: "cp1252",
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    134: "gb18030",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    255: "cp437",
}
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)


def prepare(data: bytes) -> None:
    """Import the code pages that the file names, while modules can still be opened."""
    named = {int(number) for number in re.findall(rb"\\ansicpg(\d{1,5})", data)}
    fonts = {int(number) for number in re.findall(rb"\\fcharset(\d{1,3})", data)}
    for name in {
        "cp1252",
        *(f"cp{number}" for number in named),
        *(_CHARSETS.get(number, "cp1252") for number in fonts),
    }:
        _known(name)


def parse(data: bytes) -> Extract:
    """Read the body; title and author from the info group."""
    reader = _Reader()
    reader.read(data)
    return reader.builder.extract(
        MEDIA_TYPE,
        title=reader.info.pop("title", None) or reader.title or reader.builder.opening,
        metadata=reader.info,
    )


def _known(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"


@dataclass
class _Group:
    """The state that a `}` restores."""

    destination: str = "body"
    encoding: str = "cp1252"
    fallback: int = 1
    hidden: bool = False


@dataclass
class _Paragraph:
    r"""What `\pard` resets."""

    style: int = 0
    level: int | None = None
    is_item: bool = False
    in_table: bool = False


@dataclass
class _Reader:
    builder: Builder = field(default_factory=Builder)
    info: dict[str, str] = field(default_factory=dict)
    title: str | None = None
    _group: _Group = field(default_factory=_Group)
    _stack: list[_Group] = field(default_factory=list)
    _paragraph: _Paragraph = field(default_factory=_Paragraph)
    _default: str = "cp1252"
    _fonts: dict[int, str] = field(default_factory=dict)
    _font: int = 0
    _styles: dict[int, str] = field(default_factory=dict)
    _style: int = 0
    _raw: bytearray = field(default_factory=bytearray)
    _text: list[str] = field(default_factory=list)
    _cells: list[str] = field(default_factory=list)
    _rows: list[list[str]] = field(default_factory=list)
    _to_skip: int = 0
    _starred: bool = False

    def read(self, data: bytes) -> None:
        position = 0
        while (token := _TOKEN.search(data, position)) is not None:
            position = token.end()
            word, number, code, mark, brace, text = token.groups()
            if word is not None:
                name = word.decode("ascii")
                value = int(number) if number is not None else None
                if name == "bin":
                    position += max(0, value or 0)
                else:
                    self._word(name, value)
            elif code is not None:
                self._add_raw(bytes([int(code, 16)]))
            elif text is not None:
                self._add_raw(text)
            elif mark is not None:
                self._mark(mark.decode("latin-1"))
            elif brace == b"{":
                self._open()
            else:
                self._close()
        self._end_paragraph()
        self._end_table()

    def _open(self) -> None:
        self._flush()
        if len(self._stack) < MAX_GROUPS:
            self._stack.append(replace(self._group))
        self._starred = False

    def _close(self) -> None:
        self._flush()
        if self._group.destination == "stylesheet":
            name = "".join(self._text).strip(" ;")
            if name:
                self._styles[self._style] = name
            self._text.clear()
        if self._stack:
            self._group = self._stack.pop()
        self._to_skip = 0

    def _mark(self, mark: str) -> None:
        if mark == "*":
            self._starred = True
        elif mark in "\r\n":
            self._word("par", None)
        elif mark in _MARKS:
            self._add(_MARKS[mark])

    def _add_raw(self, raw: bytes) -> None:
        if self._to_skip:
            skipped = min(self._to_skip, len(raw))
            self._to_skip -= skipped
            raw = raw[skipped:]
        self._raw += raw

    def _flush(self) -> None:
        if not self._raw:
            return
        text = self._raw.decode(self._group.encoding, "replace")
        self._raw.clear()
        self._add(text)

    def _add(self, text: str) -> None:
        self._flush()
        destination = self._group.destination
        if self._group.hidden or destination == "skipped":
            return
        if destination in ("body", "stylesheet"):
            self._text.append(text)
        elif destination in _INFO:
            key = _INFO[destination]
            self.info[key] = self.info.get(key, "") + text

    def _word(self, word: str, value: int | None) -> None:
        self._flush()
        starred, self._starred = self._starred, False
        group = self._group
        if word == "u" and value is not None:
            self._add(chr(value % 65_536))
            self._to_skip = group.fallback
            return
        if word in _SYMBOLS:
            self._add(_SYMBOLS[word])
            return
        if word in ("pntext", "listtext"):
            self._paragraph.is_item = True
            group.destination = "skipped"
        elif word in _SKIPPED or (starred and word not in ("shpinst", "shppict", "pn")):
            group.destination = "skipped"
        elif word in ("fonttbl", "stylesheet", "info") or group.destination == "info":
            group.destination = word
        elif group.destination == "fonttbl":
            self._font_table(word, value)
        elif group.destination == "stylesheet":
            if word == "s":
                self._style = value or 0
        elif group.destination == "body":
            self._body(word, value)

    def _font_table(self, word: str, value: int | None) -> None:
        if word == "f":
            self._font = value or 0
        elif word == "fcharset" and value is not None and value != 1:
            self._fonts[self._font] = _known(_CHARSETS.get(value, self._default))

    def _body(self, word: str, value: int | None) -> None:
        group, paragraph = self._group, self._paragraph
        match word:
            case "ansicpg" if value is not None:
                self._default = group.encoding = _known(f"cp{value}")
            case "mac":
                self._default = group.encoding = "mac_roman"
            case "f":
                group.encoding = self._fonts.get(value or 0, self._default)
            case "plain":
                group.hidden = False
            case "uc":
                group.fallback = max(0, value or 0)
            case "v" | "deleted" | "htmlrtf":
                group.hidden = value != 0
            case "pard":
                self._paragraph = _Paragraph()
            case "s":
                paragraph.style = value or 0
            case "outlinelevel":
                paragraph.level = (value or 0) + 1 if (value or 0) < 9 else None
            case "ls":
                paragraph.is_item = True
            case "intbl":
                paragraph.in_table = True
            case "par" | "sect" | "page":
                self._end_paragraph()
            case "cell" | "nestcell":
                self._cells.append(self._taken())
            case "row" | "nestrow":
                self._rows.append(self._cells)
                self._cells = []

    def _taken(self) -> str:
        text = "".join(self._text)
        self._text.clear()
        # Characters beyond the first plane come as two surrogates.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()

    def _end_paragraph(self) -> None:
        self._flush()
        if self._paragraph.in_table:
            self._text.append("\n")
            return
        self._end_table()
        text = self._taken()
        style = self._styles.get(self._paragraph.style, "").partition(",")[0].strip()
        match = _HEADING.match(style)
        level = self._paragraph.level or (int(match[1]) if match else None)
        if style.lower() == "title" and text:
            self.title = self.title or text
            level = level or 1
        if level is not None and len(text) < 400:
            self.builder.heading(level, text)
        else:
            self.builder.add(text, "list" if self._paragraph.is_item else "text")

    def _end_table(self) -> None:
        if self._cells:
            self._rows.append(self._cells)
        if self._rows:
            self.builder.add(rows.render(self._rows), "table", first_line_leads=True)
        self._rows, self._cells = [], []
