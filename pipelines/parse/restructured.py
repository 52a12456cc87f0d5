"""reStructuredText, kept verbatim: sections by their adornments, code and tables whole."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.parse.encoding import decode
from pipelines.parse.extract import BlockKind, Extract, Outline, Span, tidy_metadata
from pipelines.parse.lines import Line, verbatim

MEDIA_TYPE = "text/x-rst"

MAX_TABLE_LINES = 5_000
"""Lines in which the end of a table is looked for."""

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*$")
_DIRECTIVE = re.compile(r"\.\.[ \t]+([\w:+-]+)::")
_COMMENT = re.compile(r"\.\.(?:[ \t]|$)")
_CODE = frozenset(("code", "code-block", "sourcecode", "parsed-literal", "literalinclude", "math"))
_TABLES = frozenset(("table", "csv-table", "list-table"))
_GRID = re.compile(r"[ \t]*\+[-=+]+\+[ \t]*$")
_SIMPLE = re.compile(r"[ \t]*=+(?:[ \t]+=+)+[ \t]*$")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\(?(?:\d{1,4}|[a-zA-Z#])[.)])[ \t]+\S")
_FIELD = re.compile(r":([A-Za-z][\w -]{0,40}):[ \t]+(.*)$")


class _Found(NamedTuple):
    """A block by its lines; a heading has its text and its adornment."""

    kind: BlockKind
    first: int
    last: int
    heading: str = ""
    adornment: str = ""


def parse(data: bytes) -> Extract:
    """Read reStructuredText; the first section title is the title, field lists its metadata."""
    text, lines = verbatim(decode(data))
    outline = Outline()
    levels: list[str] = []
    title: str | None = None
    blocks: list[Span] = []
    for found in _blocks(lines):
        if found.kind == "heading":
            if found.adornment not in levels:
                levels.append(found.adornment)
            outline.enter(levels.index(found.adornment) + 1, found.heading)
            title = title or found.heading
        start, end = lines[found.first].start, lines[found.last].end
        blocks.append(Span(start, end, found.kind, outline.path))
    return Extract(text, blocks, MEDIA_TYPE, title, tidy_metadata(_fields(lines)))


def _fields(lines: list[Line]) -> dict[str, str]:
    """The bibliographic fields near the top."""
    matches = (_FIELD.match(line.text) for line in lines[:40])
    found = {match[1].lower(): match[2] for match in matches if match}
    known = ("author", "authors", "date", "version", "copyright", "organization", "status")
    return {key: found[key] for key in known if key in found}


def _blocks(lines: list[Line]) -> Iterator[_Found]:
    index = 0
    while index < len(lines):
        if lines[index].blank:
            index += 1
            continue
        found = _heading(lines, index) or _block(lines, index)
        if found is not None:
            yield found
            index = found.last + 1
        else:
            index = _end_of_indented(lines, index) + 1  # a comment or a target


def _heading(lines: list[Line], index: int) -> _Found | None:
    """A title between two adornments, or above one."""
    here = lines[index].text.rstrip()
    below = lines[index + 1].text.rstrip() if index + 1 < len(lines) else ""
    over = _ADORNMENT.match(here)
    if over is not None and below and index + 2 < len(lines):
        under = lines[index + 2].text.rstrip()
        if under == here and len(here) >= len(below.strip()):
            return _Found("heading", index, index + 2, below.strip(), over[1] * 2)
        return None
    mark = _ADORNMENT.match(below)
    if mark is not None and len(below) >= min(len(here), 4) and not here[0].isspace():
        return _Found("heading", index, index + 1, here, mark[1])
    return None


def _block(lines: list[Line], index: int) -> _Found | None:
    text = lines[index].text
    if (match := _DIRECTIVE.match(text)) is not None:
        kind: BlockKind = (
            "code" if match[1] in _CODE else "table" if match[1] in _TABLES else "text"
        )
        return _Found(kind, index, _end_of_indented(lines, index))
    if _COMMENT.match(text):
        return None
    if _GRID.match(text):
        return _Found("table", index, _end_of_run(lines, index))
    if _SIMPLE.match(text):
        return _Found("table", index, _end_of_simple_table(lines, index))
    if _ITEM.match(text):
        return _Found("list", index, _end_of_item(lines, index))
    before = (lines[each] for each in range(index - 1, -1, -1))
    previous = next((each for each in before if not each.blank), None)
    literal = previous is not None and previous.text.rstrip().endswith("::")
    if literal and lines[index].indent > 0:
        return _Found("code", index, _end_of_indented(lines, index))
    return _Found("text", index, _end_of_paragraph(lines, index))


def _end_of_indented(lines: list[Line], index: int) -> int:
    """The last line that belongs to a directive or a literal block by its indentation."""
    least = lines[index].indent + (0 if lines[index].indent else 1)
    last = index
    for each in range(index + 1, len(lines)):
        if lines[each].blank:
            continue
        if lines[each].indent < least:
            break
        last = each
    return last


def _end_of_run(lines: list[Line], index: int) -> int:
    while index + 1 < len(lines) and not lines[index + 1].blank:
        index += 1
    return index


def _end_of_simple_table(lines: list[Line], index: int) -> int:
    """A simple table has three borders, or two where it has no header."""
    borders = 0
    for each in range(index, min(len(lines), index + MAX_TABLE_LINES)):
        if _SIMPLE.match(lines[each].text):
            borders += 1
            after = lines[each + 1] if each + 1 < len(lines) else None
            if borders == 3 or (borders == 2 and (after is None or after.blank)):
                return each
    return _end_of_run(lines, index)


def _end_of_item(lines: list[Line], index: int) -> int:
    indent = lines[index].indent
    last = index
    for each in range(index + 1, len(lines)):
        line = lines[each]
        if line.blank:
            continue
        if line.indent <= indent and (each > last + 1 or _ITEM.match(line.text)):
            break
        last = each
    return last


def _end_of_paragraph(lines: list[Line], index: int) -> int:
    """A run of lines, up to a title that follows without a blank line."""
    last = index
    while last + 1 < len(lines) and not lines[last + 1].blank:
        following = lines[last + 2].text if last + 2 < len(lines) else ""
        if _ADORNMENT.match(following.rstrip()) and not lines[last + 1].indent:
            break
        last += 1
    return last
