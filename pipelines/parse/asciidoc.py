"""AsciiDoc, kept verbatim: sections by their `=`, delimited blocks whole."""

import re
from collections.abc import Iterator

from pipelines.parse.encoding import decode
from pipelines.parse.extract import BlockKind, Extract, Outline, Span, tidy_metadata
from pipelines.parse.lines import Line, verbatim

MEDIA_TYPE = "text/asciidoc"

_SECTION = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*$")
_ATTRIBUTE = re.compile(r":!?([\w-]+)!?:[ \t]*(.*)$")
_BLOCK_ATTRIBUTES = re.compile(r"\[[^\]]*\][ \t]*$|\.[^ .\t].*$")
_FENCES: dict[str, BlockKind] = {"----": "code", "....": "code", "```": "code", "++++": "code"}
_TABLE = re.compile(r"[|,:!]===")
_COMMENT = "////"
_ITEM = re.compile(r"[ \t]*(?:\*{1,5}|-|\.{1,5}|\d{1,4}\.|<\d+>)[ \t]+\S|[^\s:][^:]*::+(?:[ \t]|$)")
_AUTHOR = re.compile(r"([^<>:]+?)(?:[ \t]*<[^<>]*>)?[ \t]*$")
_KNOWN = ("author", "email", "description", "keywords", "revdate", "lang")


def parse(data: bytes) -> Extract:
    """Read AsciiDoc; the document title and the author below it become metadata."""
    text, lines = verbatim(decode(data))
    outline = Outline()
    title: str | None = None
    blocks: list[Span] = []
    for kind, first, last in _blocks(lines):
        match = _SECTION.match(lines[first].text) if kind == "heading" else None
        if match is not None:
            outline.enter(len(match[1]), match[2])
            title = title or (match[2] if len(match[1]) == 1 else None)
        if lines[first].start == lines[last].end:  # a table that is cut off at its border
            continue
        lead = len(lines[first].text) if kind == "table" and first < last else 0
        blocks.append(Span(lines[first].start, lines[last].end, kind, outline.path, None, lead))
    return Extract(text, blocks, MEDIA_TYPE, title, tidy_metadata(_metadata(lines)))


def _metadata(lines: list[Line]) -> dict[str, str]:
    """The attributes of the header, and the line of the author below the title."""
    found: dict[str, str] = {}
    for index, line in enumerate(lines[:50]):
        if (match := _ATTRIBUTE.match(line.text)) is not None and match[1] in _KNOWN:
            found[match[1]] = match[2]
        before = lines[index - 1].text if index else ""
        if before.startswith("= ") and (match := _AUTHOR.match(line.text)) is not None:
            found.setdefault("author", match[1])
    return found


def _blocks(lines: list[Line]) -> Iterator[tuple[BlockKind, int, int]]:
    index = 0
    while index < len(lines):
        line = lines[index]
        text = line.text.rstrip()
        if line.blank or _ATTRIBUTE.match(text) or (text.startswith("//") and text != _COMMENT):
            index += 1
            continue
        kind: BlockKind = "text"
        start = index
        # The attributes above a block belong to it.
        while index + 1 < len(lines) and _BLOCK_ATTRIBUTES.match(lines[index].text):
            index += 1
        if lines[index].blank:
            yield kind, start, index - 1
            index += 1
            continue
        text = lines[index].text.rstrip()
        if text == _COMMENT:
            index = _closing(lines, index) + 1
            continue
        if _SECTION.match(text):
            kind, last, start = "heading", index, index
        elif (fence := next((each for each in _FENCES if text.startswith(each)), None)) is not None:
            kind, last = _FENCES[fence], _closing(lines, index)
        elif _TABLE.match(text):
            kind, last, start = "table", _closing(lines, index), _first_row(lines, index)
        elif _ITEM.match(text):
            kind, last = "list", _end_of_item(lines, index)
        else:
            last = _end_of_paragraph(lines, index)
        yield kind, min(start, last), last
        index = last + 1


def _closing(lines: list[Line], index: int) -> int:
    mark = lines[index].text.split(",")[0].rstrip()
    mark = mark[:3] if mark.startswith("```") else mark
    for last in range(index + 1, len(lines)):
        if lines[last].text.rstrip() == mark:
            return last
    return len(lines) - 1


def _first_row(lines: list[Line], index: int) -> int:
    """The row below the border, which is what heads a table."""
    for each in range(index + 1, len(lines)):
        if not lines[each].blank:
            return each
    return index


def _end_of_item(lines: list[Line], index: int) -> int:
    """An item with what is attached to it by a `+` or indented below it."""
    last = index
    while last + 1 < len(lines) and not lines[last + 1].blank:
        following = lines[last + 1].text
        if _ITEM.match(following) and not following.startswith((" ", "\t")):
            break
        last = _closing(lines, last + 1) if following.rstrip() in _FENCES else last + 1
    return last


def _end_of_paragraph(lines: list[Line], index: int) -> int:
    last = index
    while last + 1 < len(lines) and not lines[last + 1].blank:
        following = lines[last + 1].text.rstrip()
        if _SECTION.match(following) or _TABLE.match(following) or following in _FENCES:
            break
        last += 1
    return last
