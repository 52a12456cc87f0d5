"""Blocks to passages: packed in reading order under a budget of tokens, by structure first.

A heading stays with what follows it. A change of heading ends a passage, except that a very
short section joins its parent or sibling when the two fit together. A block that is too long is
divided by its lines, so rows of tables and lines of code stay whole, and what leads it (the head
row of a table) goes with every part; a line that is too long is cut by semantic-text-splitter at
the best place: sentence, word, character.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from semantic_text_splitter import TextSplitter

from pipelines.ports import Parsed, passage_of
from pipelines.tokens import MAX_CHARACTERS_PER_TOKEN

Count: TypeAlias = Callable[[str], int]
Path: TypeAlias = tuple[str, ...]

HEADER_SHARE = 0.5
"""Most that title and headings may take of a passage; the outermost headings give way first."""

OPENING_SHARE = 0.25
"""A beginning up to this share of the budget stays with a long block that follows it."""

LEAD_SHARE = 0.25
"""Most that the lead of a divided block may take of a passage; a longer one is not repeated."""

SHORT_SHARE = 0.125
"""A section below this share of the budget may join its neighbour."""

_LINE = re.compile(r"[^\n]+")


class Header(NamedTuple):
    """Title and headings as a passage carries them, and their cost in tokens."""

    title: str | None
    headings: Path
    cost: int


class Span(NamedTuple):
    """A passage by its place; `page` is where it starts."""

    start: int
    end: int
    header: Header
    page: int | None
    lead: str | None


class _Lead(NamedTuple):
    """What leads a block: text that goes in front of each part but the first, and its cost."""

    text: str
    cost: int


class _Stretch(NamedTuple):
    """A part of the text with its cost in tokens, white space behind it included."""

    start: int
    end: int
    path: Path
    page: int | None
    cost: int
    is_heading: bool = False
    lead: _Lead | None = None
    lead_length: int = 0

    @property
    def alone(self) -> int:
        """Its cost where a passage begins with it."""
        return self.cost + (self.lead.cost if self.lead else 0)

    def joined(self, following: "_Stretch", path: Path) -> "_Stretch":
        return self._replace(
            end=following.end, path=path, cost=self.cost + following.cost, is_heading=False
        )


def pack(parsed: Parsed, count: Count, max_tokens: int) -> list[Span]:
    """Divide the blocks of a document into passages.

    Args:
        parsed: The document.
        count: Tokens of a text.
        max_tokens: Budget of a passage with its title and headings.
    """
    return list(_Packer(parsed, count, max_tokens).spans())


class _Packer:
    def __init__(self, parsed: Parsed, count: Count, max_tokens: int) -> None:
        self._text = parsed.text
        self._blocks = parsed.blocks
        self._title = parsed.title
        self._count = count
        self._max_tokens = max_tokens
        self._header = cache(self._fit_header)

    def spans(self) -> Iterator[Span]:
        waiting: _Stretch | None = None  # a whole section, which may take in the next one
        for section in self._sections():
            parts = self._divide(section)
            if waiting is not None:
                if len(parts) == 1 and (both := self._merge(waiting, parts[0])) is not None:
                    waiting = both
                    continue
                yield self._span(waiting)
            waiting = parts[0] if len(parts) == 1 else None
            if waiting is None:
                yield from map(self._span, parts)
        if waiting is not None:
            yield self._span(waiting)

    def _span(self, part: _Stretch) -> Span:
        lead = part.lead.text if part.lead else None
        return Span(part.start, part.end, self._header(part.path), part.page, lead)

    def _sections(self) -> Iterator[list[_Stretch]]:
        """Runs of blocks under one path; headings without content go before what follows them."""
        carried: list[_Stretch] = []
        for run in self._runs():
            path = run[0].path
            section = [*(each._replace(path=path) for each in carried), *run]
            stub = all(each.is_heading for each in section)
            if stub and sum(each.cost for each in section) <= OPENING_SHARE * self._room(path):
                carried = section
                continue
            carried = []
            yield section
        if carried:
            yield carried

    def _runs(self) -> Iterator[list[_Stretch]]:
        """Blocks of one path; a heading begins anew, even one that says what the last one did."""
        run: list[_Stretch] = []
        for each in self._stretches():
            if run and (each.path != run[-1].path or each.is_heading):
                yield run
                run = []
            run.append(each)
        if run:
            yield run

    def _stretches(self) -> Iterator[_Stretch]:
        starts = [block.start for block in self._blocks[1:]]
        for block, following in zip(self._blocks, [*starts, len(self._text)], strict=False):
            cost = self._count(self._text[block.start : following])
            heading = block.kind == "heading"
            yield _Stretch(
                block.start,
                block.end,
                block.headings,
                block.page,
                cost,
                heading,
                lead_length=block.lead,
            )

    def _divide(self, section: Sequence[_Stretch]) -> list[_Stretch]:
        """Pack the blocks of one section into as few parts as fit, in order."""
        path = section[0].path
        room = self._room(path)
        parts: list[_Stretch] = []
        rest = deque(section)
        while rest:
            each = rest.popleft()
            last = parts[-1] if parts else None
            opening = last if last is not None and last.alone <= OPENING_SHARE * room else None
            if last is not None and last.alone + each.cost <= room:
                parts[-1] = last.joined(each, path)
            elif opening is None and each.alone <= room:
                parts.append(each)
            elif len(lines := self._lines(each)) > 1:
                rest.extendleft(reversed(lines))
            elif opening is not None:
                first, *others = self._cut(each, room - opening.alone)
                parts[-1:] = [opening.joined(first, path), *others]
            else:
                parts += self._cut(each, room)
        return parts

    def _lines(self, block: _Stretch) -> list[_Stretch]:
        """The lines of a block that have text; those after its lead carry it."""
        found = _LINE.finditer(self._text, block.start, block.end)
        matches = [match for match in found if not match[0].isspace()]
        starts = [match.start() for match in matches[1:]]
        lead, rest = self._lead(block), block.start + block.lead_length
        return [
            block._replace(
                start=match.start(),
                end=match.end(),
                cost=self._count(self._text[match.start() : following]),
                lead=lead if match.start() >= rest else None,
                lead_length=0,
            )
            for match, following in zip(matches, [*starts, block.end], strict=False)
        ]

    def _lead(self, block: _Stretch) -> _Lead | None:
        text = self._text[block.start : block.start + block.lead_length].strip()
        lead = _Lead(text, self._count(f"{text}\n"))
        return lead if text and lead.cost <= LEAD_SHARE * self._room(block.path) else None

    def _cut(self, block: _Stretch, room: int) -> list[_Stretch]:
        """Cut a line that is longer than a passage between sentences, or else words."""
        room -= block.lead.cost if block.lead else 0
        longest = room * MAX_CHARACTERS_PER_TOKEN
        # What is too long in any case need not be counted: keeps the search for a cut linear.
        splitter = TextSplitter.from_callback(
            lambda part: self._count(part) if len(part) <= longest else len(part), room
        )
        return [
            block._replace(start=start, end=end, cost=self._count(self._text[start:end]))
            for start, end in self._pieces(splitter, block, longest)
        ]

    def _pieces(
        self, splitter: TextSplitter, block: _Stretch, window: int
    ) -> Iterator[tuple[int, int]]:
        """Cut a stretch at a time: before each cut the splitter looks at all that it is given."""
        start = block.start
        while start < block.end:
            stop = min(start + window, block.end)
            pieces = splitter.chunk_indices(self._text[start:stop])
            # The last one may go on behind the window.
            whole = pieces[:-1] if stop < block.end and len(pieces) > 1 else pieces
            yield from ((start + at, start + at + len(piece)) for at, piece in whole)
            start = start + pieces[len(whole)][0] if len(whole) < len(pieces) else stop

    def _merge(self, one: _Stretch, other: _Stretch) -> _Stretch | None:
        """Join two whole sections if one is short, they are close, and the budget allows."""
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one.path, other.path, strict=False))
        path = tuple(heading for heading, _ in pairs)
        short = min(one.cost, other.cost) < SHORT_SHARE * self._max_tokens
        close = len(path) >= max(len(one.path), len(other.path)) - 1
        fits = one.cost + other.cost <= self._room(path)
        return one.joined(other, path) if short and close and fits else None

    def _room(self, path: Path) -> int:
        return self._max_tokens - self._header(path).cost

    def _fit_header(self, path: Path) -> Header:
        """Give up outer headings, then the ends of the rest, until the header is short enough."""
        limit = int(HEADER_SHARE * self._max_tokens)
        title = self._title
        while path or title:
            cost = self._count(passage_of("", title, path))
            if cost <= limit:
                return Header(title, path, cost)
            if len(path) > 1:
                path = path[1:]
                continue
            path = tuple(_halved(heading) for heading in path if len(heading) > 1)
            title = _halved(title) if title and len(title) > 1 else None
        return Header(None, (), 0)


def _halved(text: str) -> str:
    return text[: len(text) // 2].rstrip(" …") + "…"
