"""Markdown, kept verbatim: the blocks lie over the text as it was written.

A line scanner for the block structure of CommonMark and GitHub tables; inline markup is left
alone, so every offset counts in what the author wrote.
"""

import re
from collections.abc import Iterator

from pipelines.parse.encoding import decode
from pipelines.parse.extract import (
    MAX_HEADING,
    BlockKind,
    Extract,
    Outline,
    Span,
    one_line,
    tidy_metadata,
)
from pipelines.parse.lines import Line, verbatim

MEDIA_TYPE = "text/markdown"

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_DELIMITER_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)*$")
_FIELD = re.compile(r"([A-Za-z_][\w.-]{0,63})[ \t]*:[ \t]*(.*)$")


def parse(data: bytes) -> Extract:
    """Read Markdown: headings become paths, the first of level 1 the title."""
    return from_text(decode(data))


def from_text(text: str) -> Extract:
    """Make an extract of Markdown that is already decoded."""
    text, lines = verbatim(text)
    metadata, body = _front_matter(lines)
    outline = Outline()
    blocks: list[Span] = []
    title: str | None = None
    for kind, first, last, level in _blocks(lines, body):
        if kind == "heading":
            heading = _heading_text(lines[first : last + 1])
            outline.enter(level, heading)
            if level == 1 and title is None:
                title = one_line(heading, MAX_HEADING)
        lead = len(lines[first].text) if kind == "table" else 0
        blocks.append(Span(lines[first].start, lines[last].end, kind, outline.path, lead=lead))
    return Extract(
        text, blocks, MEDIA_TYPE, title or metadata.get("title"), tidy_metadata(metadata)
    )


def _front_matter(lines: list[Line]) -> tuple[dict[str, str], int]:
    """Fields between `---` lines at the top, and the index of the first line after them."""
    if lines[0].text.rstrip() != "---":
        return {}, 0
    for index, line in enumerate(lines[1:200], start=1):
        if line.text.rstrip() in ("---", "..."):
            found = (_FIELD.match(each.text) for each in lines[1:index])
            fields = {match[1]: match[2].strip().strip("'\"") for match in found if match}
            return (fields, index + 1) if fields else ({}, 0)
    return {}, 0


def _heading_text(lines: list[Line]) -> str:
    if match := _ATX.match(lines[0].text):
        return _CLOSING_HASHES.sub("", match[2] or "").strip()
    return " ".join(line.text.strip() for line in lines[:-1])


def _blocks(lines: list[Line], index: int) -> Iterator[tuple[BlockKind, int, int, int]]:
    """Yield kind, first and last line, and level (0 unless a heading) of every block."""
    while index < len(lines):
        line = lines[index]
        if line.blank:
            index += 1
            continue
        kind: BlockKind = "text"
        level = 0
        if match := _ATX.match(line.text):
            kind, last, level = "heading", index, len(match[1])
        elif match := _FENCE.match(line.text):
            kind, last = "code", _end_of_fence(lines, index, match[1])
        elif _is_table(lines, index):
            kind, last = "table", _end_of_table(lines, index)
        elif _ITEM.match(line.text):
            kind, last = "list", _end_of_item(lines, index)
        elif line.text.startswith(("    ", "\t")):
            kind, last = "code", _end_of_indented(lines, index)
        else:
            last, level = _end_of_paragraph(lines, index)
            kind = "heading" if level else "text"
        yield kind, index, last, level
        index = last + 1


def _end_of_fence(lines: list[Line], index: int, mark: str) -> int:
    for last in range(index + 1, len(lines)):
        stripped = lines[last].text.strip()
        if len(stripped) >= len(mark) and not stripped.strip(mark[0]):
            return last
    return len(lines) - 1


def _is_table(lines: list[Line], index: int) -> bool:
    return (
        "|" in lines[index].text
        and index + 1 < len(lines)
        and "-" in lines[index + 1].text
        and _DELIMITER_ROW.match(lines[index + 1].text) is not None
    )


def _end_of_table(lines: list[Line], index: int) -> int:
    last = index + 1
    while last + 1 < len(lines) and "|" in lines[last + 1].text:
        last += 1
    return last


def _end_of_item(lines: list[Line], index: int) -> int:
    """A top-level item with what is nested in it; the next item is a block of its own."""
    indent = lines[index].indent
    last = index
    for each in range(index + 1, len(lines)):
        line = lines[each]
        if line.blank:
            continue
        nested = line.indent > indent
        lazy = each == last + 1 and not _opens_block(lines, each)
        if not (nested or lazy):
            break
        last = each
    return last


def _end_of_indented(lines: list[Line], index: int) -> int:
    last = index
    for each in range(index + 1, len(lines)):
        if lines[each].blank:
            continue
        if not lines[each].text.startswith(("    ", "\t")):
            break
        last = each
    return last


def _end_of_paragraph(lines: list[Line], index: int) -> tuple[int, int]:
    """Last line of a paragraph, and its level where an underline makes it a heading."""
    for each in range(index + 1, len(lines)):
        if match := _SETEXT.match(lines[each].text):
            return each, 1 if match[1][0] == "=" else 2
        if lines[each].blank or _opens_block(lines, each):
            return each - 1, 0
    return len(lines) - 1, 0


def _opens_block(lines: list[Line], index: int) -> bool:
    text = lines[index].text
    return bool(_ATX.match(text) or _FENCE.match(text) or _ITEM.match(text)) or _is_table(
        lines, index
    )
