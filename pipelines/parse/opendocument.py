"""OpenDocument (ODT, ODS, ODP, also flat) and its forebear of OpenOffice 1, streamed.

Text, spreadsheets and presentations are one vocabulary, so one reader serves all: headings by
outline level, sheets and slides by name, table rows with the repeats that people can see.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from pipelines.parse import encoding, rows, sheet, xmldata
from pipelines.parse.extract import Builder, Extract, Unreadable
from pipelines.parse.markup import Attributes, stream, text_of, tree, tree_of_file
from pipelines.parse.zipped import Container

MEDIA_TYPE = "application/vnd.oasis.opendocument."
_KINDS = {"text": "text", "spreadsheet": "spreadsheet", "presentation": "presentation"}

MAX_CELLS = 8_000_000
MAX_REPEATS = 1_000
"""Most that a row or cell with a value is repeated; empty ones are repeated to the edge."""

_SKIPPED = frozenset(
    ("tracked-changes", "annotation", "table-of-content", "alphabetical-index", "object-ole")
)
_PROPERTIES = {
    "title": "title",
    "initial-creator": "author",
    "creator": "author",
    "subject": "subject",
    "keyword": "keywords",
    "language": "language",
    "creation-date": "created",
    "date": "modified",
}


def parse(data: bytes) -> Extract:
    """Read the body in order; a flat file is one XML document, any other a container."""
    if not data.startswith(b"PK"):
        return _flat(data)
    container = Container(data)
    if "content.xml" not in container.names:
        raise Unreadable("corrupt", "The document has no content in it; save it anew.")
    if "META-INF/manifest.xml" in container.names and b"encryption-data" in container.whole(
        "META-INF/manifest.xml"
    ):
        raise Unreadable("encrypted", "The document needs a password; remove it and try again.")
    about: dict[str, str] = {}
    if "meta.xml" in container.names:
        about = _properties(tree(container.read("meta.xml")))
    return _read(container.read("content.xml"), about)


def _flat(data: bytes) -> Extract:
    root = tree_of_file(data)
    if root.find("body") is None or root.get("mimetype") is None:
        return xmldata.of_tree(root)
    meta = root.find("meta")
    return _read([encoding.decode(data)], {} if meta is None else _properties(meta))


def _read(pieces: Iterable[bytes | str], about: dict[str, str]) -> Extract:
    body = _Body()
    stream(pieces, body.start, body.end, body.text)
    title = about.pop("title", None) or body.title
    if body.kind != "spreadsheet":
        title = title or body.builder.opening
    return body.builder.extract(MEDIA_TYPE + body.kind, title=title, metadata=about)


def _properties(root: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in root.iter():
        if each.tag in _PROPERTIES and (text := text_of(each)):
            found.setdefault(_PROPERTIES[each.tag], text)
    return found


@dataclass
class _Paragraph:
    level: int | None = None
    is_title: bool = False
    text: list[str] = field(default_factory=list)


@dataclass
class _Table:
    name: str
    rows: list[list[str]] = field(default_factory=list)
    heads: int = 0
    in_head: bool = False
    cell: list[str] = field(default_factory=list)
    cell_repeats: int = 1
    row_repeats: int = 1
    cells: int = 0

    def close_cell(self) -> None:
        text = " ".join(self.cell)
        row = self.rows[-1] if self.rows else []
        self.cells += 1
        if text:
            row += [text] * min(self.cell_repeats, MAX_REPEATS)
        elif len(row) < 16_384:  # empty cells keep the columns in line; trailing ones fall away
            row += [""] * min(self.cell_repeats, MAX_REPEATS)

    def close_row(self) -> None:
        row = self.rows[-1]
        while row and not row[-1]:
            row.pop()
        if row:
            again = min(self.row_repeats, MAX_REPEATS) - 1
            self.rows += [row] * again
            self.cells += again * len(row)
        self.heads += self.in_head
        if self.cells > MAX_CELLS:
            raise Unreadable("too_large", f"A table has more than {MAX_CELLS:,} cells; split it.")


class _Body:
    """Paragraphs, lists, tables, sheets and slides in reading order."""

    def __init__(self) -> None:
        self.builder = Builder()
        self.title: str | None = None
        self.kind = "text"
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._lists = 0
        self._skipped = 0
        self._page: int | None = None
        self._notes = 0
        self._placeholder = ""

    def start(self, tag: str, attributes: Attributes) -> None:
        if self._skipped or tag in _SKIPPED:
            self._skipped += 1
            return
        match tag:
            case "text" | "spreadsheet" | "presentation" if not self.builder.outline.path:
                self.kind = _KINDS[tag]
            case "p" | "h":
                level = _number(attributes.get("outline-level", "1")) if tag == "h" else None
                is_title = attributes.get("style-name") == "Title" or self._placeholder == "title"
                self._paragraphs.append(_Paragraph(level, is_title))
            case "list":
                self._lists += 1
            case "page":
                self._page = (self._page or 0) + 1
                self.builder.outline.move(())
            case "notes":
                self._notes += 1
            case "frame":
                self._placeholder = attributes.get("class", "")
            case "table":
                self._tables.append(_Table(attributes.get("name", "")))
            case _ if self._tables:
                self._start_in_table(self._tables[-1], tag, attributes)
        if self._paragraphs:
            self._start_in_paragraph(tag, attributes)

    def _start_in_paragraph(self, tag: str, attributes: Attributes) -> None:
        text = self._paragraphs[-1].text
        match tag:
            case "s":
                text.append(" " * min(_number(attributes.get("c", "1")), 100))
            case "tab":
                text.append("\t")
            case "line-break":
                text.append("\n")

    def _start_in_table(self, table: _Table, tag: str, attributes: Attributes) -> None:
        match tag:
            case "table-header-rows":
                table.in_head = True
            case "table-row":
                table.rows.append([])
                table.row_repeats = _number(attributes.get("number-rows-repeated", "1"))
            case "table-cell" | "covered-table-cell":
                table.cell = []
                table.cell_repeats = _number(attributes.get("number-columns-repeated", "1"))

    def text(self, text: str) -> None:
        if self._paragraphs and not self._skipped:
            self._paragraphs[-1].text.append(text)

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        match tag:
            case "p" | "h" if self._paragraphs:
                self._add(self._paragraphs.pop())
            case "list":
                self._lists -= 1
            case "notes":
                self._notes -= 1
            case "frame":
                self._placeholder = ""
            case "table" if self._tables:
                self._close(self._tables.pop())
            case "table-row" if self._tables and self._tables[-1].rows:
                self._tables[-1].close_row()
            case "table-cell" | "covered-table-cell" if self._tables:
                self._tables[-1].close_cell()
            case "table-header-rows" if self._tables:
                self._tables[-1].in_head = False

    def _add(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text).strip()
        if not text:
            return
        if self._tables:
            self._tables[-1].cell.append(" ".join(text.split()))
        elif paragraph.is_title and not self._notes:
            self.title = self.title or text
            self.builder.heading(1, text, page=self._page)
        elif paragraph.level is not None:
            self.builder.heading(paragraph.level, text, page=self._page)
        else:
            note = "Notes: " if self._notes else ""
            self.builder.add(note + text, "list" if self._lists else "text", page=self._page)

    def _close(self, table: _Table) -> None:
        if self._tables:
            self._tables[-1].cell.append(rows.render(table.rows))
        elif self.kind == "spreadsheet":
            sheet.add(self.builder, table.name, table.rows)
        else:
            head = table.rows[0] if table.heads == 1 and len(table.rows) > 1 else []
            text = rows.render(table.rows[1:] if head else table.rows, head)
            self.builder.add(text, "table", page=self._page, first_line_leads=not head)


def _number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else 1
