"""Jupyter notebooks, as the Markdown that they would be: code in fences, outputs after it."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.parse import markdown, structured
from pipelines.parse.encoding import decode
from pipelines.parse.extract import Extract, Unreadable

MEDIA_TYPE = "application/x-ipynb+json"

MAX_OUTPUT = 2_000
"""Code points of an output that are kept: tables and logs say what they are at their beginning."""

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TICKS = re.compile(r"^\s*(`{3,})", re.MULTILINE)


def parse(data: bytes) -> Extract:
    """Read the cells in order; pictures are left out."""
    try:
        notebook = json.loads(decode(data))
    except ValueError as error:
        raise Unreadable(
            "corrupt", f"The notebook is not JSON ({error}); save it anew and upload that."
        ) from None
    cells = _cells(notebook) if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        return structured.parse(data)
    parts = [part for cell in cells for part in _parts(cell, _language(notebook))]
    found = markdown.from_text("\n\n".join(parts))
    return found._replace(
        media_type=MEDIA_TYPE, metadata={**found.metadata, "language": _language(notebook)}
    )


def _cells(notebook: dict[str, Any]) -> object:
    """The cells of version 4, or of the first worksheet of version 3."""
    sheets = notebook.get("worksheets")
    if isinstance(sheets, list) and sheets and isinstance(sheets[0], dict):
        return sheets[0].get("cells")
    return notebook.get("cells")


def _language(notebook: dict[str, Any]) -> str:
    about = notebook.get("metadata")
    kernel = about.get("kernelspec") if isinstance(about, dict) else None
    language = kernel.get("language") if isinstance(kernel, dict) else None
    return language if isinstance(language, str) and language.isalnum() else "python"


def _parts(cell: object, language: str) -> Iterator[str]:
    if not isinstance(cell, dict):
        return
    source = _text(cell.get("source", cell.get("input")))
    match cell.get("cell_type"):
        case "markdown":
            yield source
        case "heading":
            level = cell.get("level")
            yield f"{'#' * (level if isinstance(level, int) and 0 < level < 7 else 1)} {source}"
        case "code":
            yield _fenced(source, language)
            outputs = cell.get("outputs")
            for output in outputs if isinstance(outputs, list) else []:
                yield _fenced(_output(output), "")
        case _:
            yield _fenced(source, "")


def _output(output: object) -> str:
    if not isinstance(output, dict):
        return ""
    data = output.get("data")
    found = data.get("text/plain") if isinstance(data, dict) else output.get("text")
    if output.get("output_type") == "error":
        found = f"{output.get('ename')}: {output.get('evalue')}"
    text = _ANSI.sub("", _text(found)).strip()
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]} …"


def _text(value: object) -> str:
    if isinstance(value, list):
        return "".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else ""


def _fenced(text: str, language: str) -> str:
    if not text.strip():
        return ""
    longest = max(map(len, _TICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
