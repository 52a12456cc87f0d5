"""Source code and configuration, kept verbatim: a definition is a block under its names.

Definitions are told by the words that languages share and nested by indentation, which people
keep in every language. What cannot be told is divided at blank lines, which is never wrong.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.parse.encoding import decode
from pipelines.parse.extract import Extract, Span, words
from pipelines.parse.lines import Line, verbatim

MEDIA_TYPE = "text/x-source"

_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|abstract|final|async|unsafe|"
    r"override|open|sealed|data|inline|virtual|const|partial|declare|local|fileprivate|suspend|"
    r"pub(?:\([^)]*\))?|extern(?:\s*\"C\")?)\s+)*"
)
_KEYWORDS = (
    r"def|class|function\*?|fn|func|fun|interface|struct|enum|trait|impl(?:<[^>]*>)?|module|"
    r"namespace|protocol|extension|object|record|union|sub|defmodule|defp|defmacro|macro_rules!|"
    r"procedure|service|message|contract|resource|variable|subroutine|program|type"
)
_DEFINITION = re.compile(
    rf"[ \t]*{_MODIFIERS}(?:{_KEYWORDS})[ \t]+(?:\([^)]*\)[ \t]*)?[\"']?([A-Za-z_$][\w$.:]*)"
)
_SQL = re.compile(
    r"\s*create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+|unique\s+|materialized\s+)*"
    r"(?:table|view|function|procedure|index|trigger|type)\s+(?:if\s+not\s+exists\s+)?"
    r"[\"`\[]?([\w.]+)",
    re.IGNORECASE,
)
_ARROW = re.compile(
    rf"[ \t]*{_MODIFIERS}(?:const|let|var)[ \t]+([\w$]+)[ \t]*=[ \t]*(?:async[ \t]*)?"
    r"(?:function\b|\([^()]*\)[ \t]*(?::[^=]+)?=>|[\w$]+[ \t]*=>)"
)
_SECTION = re.compile(r"\[{1,2}([\w.:\" -]+)\]{1,2}[ \t]*$")
_SECTION_INDENT = -1
"""A section of an INI or TOML file ends with the next one only."""

_C_LIKE = re.compile(
    r"[ \t]*(?:[\w:<>\[\],*&~?@.]+[ \t]+)*[*&]*([A-Za-z_~][\w:~]*)[ \t]*\([^;={}]*\)?"
    r"[^;={}()]*(?:\{[^}]*|,?[ \t]*)$"
)
_SHELL = re.compile(r"(?:function[ \t]+)?([\w-]+)[ \t]*\(\)[ \t]*\{?[ \t]*$")
_NO_NAMES = words(
    "if for while switch catch return else elif do try with when match until unless foreach "
    "assert print sizeof new throw yield await case and or not in is raise del function"
)
_ABOVE = re.compile(r"[ \t]*(?:@|#\[|#(?!include|define)|//|/\*|\*|--|;;|\"\"\"|%)")
_BRACKET = re.compile(r"[ \t]*(?:[{})\]]|end\b|fi\b|done\b|esac\b|\*/|EOF\b)")


class _Piece(NamedTuple):
    """Lines from `first` to `last` under the names of the definitions that they are in."""

    first: int
    last: int
    path: tuple[str, ...]


def parse(data: bytes) -> Extract:
    """Read source code."""
    text, lines = verbatim(decode(data))
    blocks = [
        Span(lines[each.first].start, lines[each.last].end, "code", each.path)
        for each in _pieces(lines)
    ]
    return Extract(text, blocks, MEDIA_TYPE)


def _pieces(lines: list[Line]) -> Iterator[_Piece]:
    """Divide the lines that are not blank at definitions, at what follows them, and at gaps."""
    open_: list[tuple[int, str]] = []
    first: int | None = None
    last = 0
    opens = False
    path: tuple[str, ...] = ()
    for index, line in enumerate(lines):
        if line.blank:
            continue
        if first is not None and _BRACKET.match(line.text):
            last = index  # it closes what is open, and opens nothing of its own
            continue
        name = _name(line, lines[index + 1] if index + 1 < len(lines) else None)
        here = _place(open_, line, name)
        gap = index - last > 1 and (not open_ or line.indent == 0)
        # A line that only opens a class goes with the first definition in it.
        opens = opens and path == here[:-1]
        if first is not None and not opens and (name is not None or here != path or gap):
            start = _with_comments(lines, index, first) if name is not None else index
            if start > first:
                yield _Piece(first, _last_visible(lines, start), path)
            first = start
        first = index if first is None else first
        opens = name is not None and (opens or first == index)
        last, path = index, here
    if first is not None:
        yield _Piece(first, last, path)


def _place(open_: list[tuple[int, str]], line: Line, name: str | None) -> tuple[str, ...]:
    """Leave the definitions that end above a line, and enter one that begins with it."""
    if _SECTION.match(line.text):
        open_[:] = [(_SECTION_INDENT, name or "")]
    else:
        while open_ and line.indent <= open_[-1][0]:
            open_.pop()
        if name is not None:
            open_.append((line.indent, name))
    return tuple(each for _, each in open_)


def _name(line: Line, following: Line | None) -> str | None:
    """The name that a line defines, or None."""
    text = line.text
    for pattern in (_DEFINITION, _ARROW, _SQL):
        if (match := pattern.match(text)) is not None:
            return match[1].rstrip(":.")
    if line.indent == 0 and (match := _SECTION.match(text) or _SHELL.match(text)) is not None:
        return match[1].strip(' "')
    # What looks like a call is a definition only where a body begins.
    begins = text.rstrip().endswith("{") or (
        following is not None and following.text.strip() == "{" and not text.rstrip().endswith(",")
    )
    if begins and len(text) < 300 and (match := _C_LIKE.match(text)) is not None:
        return match[1] if match[1] not in _NO_NAMES else None
    return None


def _with_comments(lines: list[Line], index: int, first: int) -> int:
    """Where the comments and decorators right above a definition begin."""
    start = index
    while start - 1 >= first and _ABOVE.match(lines[start - 1].text):
        start -= 1
    return start


def _last_visible(lines: list[Line], end: int) -> int:
    last = end - 1
    while lines[last].blank:
        last -= 1
    return last
