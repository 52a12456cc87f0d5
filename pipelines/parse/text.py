"""Plain text: its paragraphs are the blocks."""

from pipelines.parse.encoding import decode
from pipelines.parse.extract import MAX_TEXT, Extract, Span, TooMuchText, clean

MEDIA_TYPE = "text/plain"


def parse(data: bytes) -> Extract:
    """Read text; its paragraphs are the blocks."""
    return from_text(decode(data))


def from_text(text: str) -> Extract:
    """Make an extract of text that is already decoded."""
    if len(text) > MAX_TEXT:
        raise TooMuchText
    text = clean(text)
    return Extract(text, [Span(start, end) for start, end in paragraphs(text)], MEDIA_TYPE)


def paragraphs(text: str) -> list[tuple[int, int]]:
    """Half-open ranges of the runs of lines that are not blank."""
    spans: list[tuple[int, int]] = []
    start: int | None = None
    position = end = 0
    for line in text.split("\n"):
        if line and not line.isspace():
            start = position if start is None else start
            end = position + len(line)
        elif start is not None:
            spans.append((start, end))
            start = None
        position += len(line) + 1
    if start is not None:
        spans.append((start, end))
    return spans
