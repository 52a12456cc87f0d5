"""What every parser gives: text, blocks over it, and what the document says of itself.

Nothing here or in the parsers imports more than it needs: it all runs in the one-shot child,
whose start is part of every document's cost. Plain tuples travel to the parent as JSON.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

BlockKind: TypeAlias = Literal["text", "heading", "list", "table", "code"]

MAX_HEADING = 200
"""Longest heading in a path, in code points; the whole of it stays in the text."""

MAX_LINE = 1_000
"""Longest heading or other single line, in code points."""

MAX_METADATA = 300
"""Longest value that a document says of itself, in code points."""

MAX_KEYS = 16
"""Most that a document may say of itself: every passage of it carries that."""

MAX_TEXT = 20_000_000
"""Longest text of one document, in code points."""

MAX_MARKS = 30
"""Most combining marks on one character; no language has more than a few."""

SEPARATOR = "\n\n"

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,49}")
_NEWLINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Soft hyphens and marks of direction too: invisible, and in the way of every search.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\xad\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
_HARD_SPACES = re.compile("[\xa0\u2007\u202f]")
# Marks are neither letters nor ASCII; the function looks closer.
_PERHAPS_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{MAX_MARKS + 1},}}")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


class Unreadable(Exception):
    """The file cannot be read; becomes a `twofold.errors.ParseError` in the parent.

    Attributes:
        failure: One of `twofold.errors.ParseFailure`.
        message: One sentence that says what a person can do.
    """

    def __init__(self, failure: str, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message


class Span(NamedTuple):
    """A block; the fields are those of `pipelines.ports.Block`."""

    start: int
    end: int
    kind: BlockKind = "text"
    headings: tuple[str, ...] = ()
    page: int | None = None
    lead: int = 0


class Extract(NamedTuple):
    """The outcome of a parser; the fields are those of `pipelines.ports.Parsed`."""

    text: str
    blocks: list[Span]
    media_type: str
    title: str | None = None
    metadata: Mapping[str, str] = {}


class TooMuchText(Unreadable):
    """The document holds more text than one document may."""

    def __init__(self) -> None:
        super().__init__(
            "too_large",
            "The file holds more than 20 MB of text; split it and upload the parts.",
        )


def clean(text: str) -> str:
    r"""Normalise to NFC with `\n` newlines, without control characters or lone surrogates."""
    text = _NEWLINES.sub("\n", text)
    text = _UNPRINTABLE.sub("", text)
    text = _HARD_SPACES.sub(" ", text)
    text = _LONE_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    if not text.isascii():
        text = _PERHAPS_MARKS.sub(_stream_safe, text)
    return unicodedata.normalize("NFC", text)


def _stream_safe(run: re.Match[str]) -> str:
    """Keep the first MAX_MARKS combining marks of each sequence.

    Normalising sorts them, in the square of their number. (Unicode Annex 15 has the Stream-Safe
    Text Format against this, which breaks sequences up instead.)
    """
    kept: list[str] = []
    marks = 0
    for character in run.group():
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """Collapse white space and cut to `limit` code points: for titles, headings and cells."""
    line = " ".join(clean(text).split()).strip(" \N{ZERO WIDTH SPACE}")
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def words(text: str) -> frozenset[str]:
    """A set of names, written as a sentence is."""
    return frozenset(text.split())


class Outline:
    """The path of headings at the current place of a document."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.path: tuple[str, ...] = ()

    def enter(self, level: int, heading: str) -> None:
        """Go under a heading: it closes those of its own level and deeper."""
        self._open = [each for each in self._open if each[0] < level]
        self._open.append((level, one_line(heading, MAX_HEADING)))
        self.path = tuple(text for _, text in self._open if text)

    def move(self, path: Iterable[str]) -> None:
        """Go to a place that is known by its whole path."""
        self._open = []
        self.path = ()
        for level, heading in enumerate(path, start=1):
            self.enter(level, heading)


class Builder:
    """Collects blocks in reading order, with a blank line between any two."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.outline = Outline()
        self._blocks: list[Span] = []

    def heading(self, level: int, text: str, *, page: int | None = None) -> None:
        """Add a heading of `level` (1 is the outermost) and go under it."""
        if line := one_line(text):
            self.outline.enter(level, line)
            self.add(line, "heading", page=page)

    def add(
        self,
        text: str,
        kind: BlockKind = "text",
        *,
        page: int | None = None,
        first_line_leads: bool = False,
    ) -> None:
        """Add a block; one without a visible character is left out.

        Args:
            text: Its text.
            kind: What it is.
            page: Where it is.
            first_line_leads: The other lines are not understood without the first.
        """
        text = clean(text).strip("\n") if kind == "code" else clean(text).strip()
        if not text or text.isspace():
            return
        lead = max(0, text.find("\n")) if first_line_leads else 0
        self._append(text, Span(0, 0, kind, self.outline.path, page, lead))

    @property
    def opening(self) -> str | None:
        """The heading that the text begins with: the title of a document that names none."""
        first = self._blocks[0] if self._blocks else None
        return self._parts[0] if first is not None and first.kind == "heading" else None

    def splice(self, part: Extract) -> None:
        """Add the blocks of another extract under the current heading."""
        above = self.outline.path
        for block in part.blocks:
            text = part.text[block.start : block.end]
            self._append(text, block._replace(headings=(*above, *block.headings)))

    def _append(self, text: str, block: Span) -> None:
        if self._parts:
            self._parts.append(SEPARATOR)
            self._length += len(SEPARATOR)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise TooMuchText
        self._blocks.append(block._replace(start=start, end=self._length))

    def extract(
        self,
        media_type: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Extract:
        """Everything collected, with a tidy title and metadata."""
        return Extract(
            "".join(self._parts),
            self._blocks,
            media_type,
            one_line(title or "", MAX_HEADING) or None,
            tidy_metadata(metadata or {}),
        )


def tidy_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """A bounded number of single lines; empty values and keys that no filter can name left out."""
    lines = {
        key.lower(): one_line(value, MAX_METADATA)
        for key, value in metadata.items()
        if _KEY.fullmatch(key)
    }
    return dict(islice(((key, line) for key, line in lines.items() if line), MAX_KEYS))
