"""The formats that Twofold reads, one row each; a new format is a parser file and a row."""

from typing import NamedTuple


class Format(NamedTuple):
    """How a format is told, and who reads it.

    Attributes:
        name: As people call it.
        parser: A module with `parse(data: bytes) -> Extract`; imported in the child alone.
        suffixes: Of file names, lower case.
        media_types: Without parameters, lower case.
        signature: What the content begins with, for a binary format.
        zip_folder: A folder that a ZIP container of this format has.
    """

    name: str
    parser: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    signature: bytes | None = None
    zip_folder: str | None = None

    @property
    def binary(self) -> bool:
        """Whether the content alone decides."""
        return self.signature is not None or self.zip_folder is not None


CSV = Format(
    "CSV",
    "pipelines.parse.delimited",
    (".csv", ".tsv", ".tab"),
    ("text/csv", "text/tab-separated-values"),
)
DOCX = Format(
    "DOCX",
    "pipelines.parse.word",
    (".docx", ".docm"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",),
    zip_folder="word/",
)
HTML = Format(
    "HTML",
    "pipelines.parse.webpage",
    (".html", ".htm", ".xhtml"),
    ("text/html", "application/xhtml+xml"),
)
JSON = Format(
    "JSON",
    "pipelines.parse.structured",
    (".json", ".jsonl", ".ndjson", ".ipynb", ".geojson"),
    ("application/json", "application/jsonl", "application/x-ndjson", "application/geo+json"),
)
MARKDOWN = Format(
    "Markdown",
    "pipelines.parse.markdown",
    (".md", ".markdown", ".mdown", ".mkd"),
    ("text/markdown", "text/x-markdown"),
)
PDF = Format("PDF", "pipelines.parse.pdf", (".pdf",), ("application/pdf",), signature=b"%PDF-")
TEXT = Format("text", "pipelines.parse.text", (".txt", ".text", ".log"), ("text/plain",))

FORMATS = (CSV, DOCX, HTML, JSON, MARKDOWN, PDF, TEXT)
"""Every format; plain text is what remains, so it stands last."""


def named() -> str:
    """The formats as a phrase: `CSV, PDF and text`."""
    *names, last = [each.name for each in FORMATS]
    return f"{', '.join(names)} and {last}"
