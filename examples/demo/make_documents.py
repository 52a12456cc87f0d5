"""Make the PDF and DOCX files of the demo from their Markdown sources.

The results are committed; run this after a change in `sources/`:

    .venv/bin/python -m pip install fpdf2 python-docx
    .venv/bin/python examples/demo/make_documents.py

Both are needed here only and so are no dependencies of Twofold. The sources keep to headings,
paragraphs and tables.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from docx import Document as Docx
from fpdf import FPDF

HERE = Path(__file__).parent
AUTHOR = "Millbrook Community Bakery"
WRITTEN = datetime(2026, 1, 5, tzinfo=UTC)
MADE_AS = {
    "from-mixer-to-basket": "pdf",
    "the-oven": "pdf",
    "enriched-doughs": "docx",
    "keeping-bread": "docx",
}


class Part(NamedTuple):
    """A heading, a paragraph, or a table as rows of cells."""

    kind: Literal["title", "heading", "text", "table"]
    text: str
    rows: list[list[str]]


def parts(markdown: str) -> Iterator[Part]:
    """Read the subset of Markdown that the sources use."""
    for block in markdown.strip().split("\n\n"):
        if block.startswith("|"):
            header, _, *body = block.splitlines()
            yield Part("table", "", [_cells(row) for row in (header, *body)])
        elif block.startswith("## "):
            yield Part("heading", block.removeprefix("## "), [])
        elif block.startswith("# "):
            yield Part("title", block.removeprefix("# "), [])
        else:
            yield Part("text", block, [])


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


class Book(FPDF):
    """Pages of the course book, with a running foot."""

    def footer(self) -> None:
        """Number the page."""
        self.set_y(-15)
        self.set_font("Helvetica", size=8)
        self.cell(0, 10, f"{AUTHOR} - {self.title} - {self.page_no()}", align="C")


def write_pdf(source: list[Part], target: Path) -> None:
    """Set a book of A4 pages with bookmarks, in one of the fonts that every reader has."""
    book = Book()
    book.set_title(source[0].text)
    book.set_author(AUTHOR)
    book.set_creation_date(WRITTEN)
    book.set_margins(28, 24)
    book.add_page()
    for part in source:
        if part.kind == "table":
            book.set_font("Helvetica", size=9)
            with book.table() as table:
                for row in part.rows:
                    table.row(row)
            book.ln(3)
            continue
        if part.kind != "text":
            book.start_section(part.text, level=int(part.kind == "heading"))
        style, size = {"title": ("B", 20), "heading": ("B", 13), "text": ("", 12)}[part.kind]
        book.set_font("Helvetica", style=style, size=size)
        book.multi_cell(0, size * 0.6, part.text, new_x="LMARGIN", new_y="NEXT", align="L")
        book.ln(3)
    book.output(str(target))


def write_docx(source: list[Part], target: Path) -> None:
    """Write a document with real heading styles and real tables."""
    document = Docx()
    document.core_properties.title = source[0].text
    document.core_properties.author = AUTHOR
    document.core_properties.created = document.core_properties.modified = WRITTEN
    for part in source:
        if part.kind == "table":
            table = document.add_table(rows=0, cols=len(part.rows[0]), style="Table Grid")
            for row in part.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        elif part.kind == "text":
            document.add_paragraph(part.text)
        else:
            document.add_heading(part.text, level=1 if part.kind == "title" else 2)
    document.save(str(target))


def main() -> None:
    """Make every file in `MADE_AS`."""
    writers = {"pdf": write_pdf, "docx": write_docx}
    for name, kind in MADE_AS.items():
        source = list(parts((HERE / "sources" / f"{name}.md").read_text("utf-8")))
        target = HERE / "documents" / f"{name}.{kind}"
        writers[kind](source, target)
        print(f"{target.name}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
