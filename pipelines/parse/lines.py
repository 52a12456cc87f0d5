"""Lines of a text that is kept verbatim: where each begins, and what it is worth."""

from typing import NamedTuple

from pipelines.parse.extract import MAX_TEXT, TooMuchText, clean


class Line(NamedTuple):
    """A line without its newline, and where it begins."""

    start: int
    text: str

    @property
    def end(self) -> int:
        """One past its last character."""
        return self.start + len(self.text)

    @property
    def blank(self) -> bool:
        """Whether it has no visible character."""
        return not self.text or self.text.isspace()

    @property
    def indent(self) -> int:
        """Columns before its first visible character, tabs as up to four."""
        expanded = self.text.expandtabs(4)
        return len(expanded) - len(expanded.lstrip(" "))


def verbatim(source: str) -> tuple[str, list[Line]]:
    """A text as it is kept, and its lines.

    Raises:
        TooMuchText: It is longer than one document may be.
    """
    if len(source) > MAX_TEXT:
        raise TooMuchText
    text = clean(source)
    return text, lines_of(text)


def lines_of(text: str) -> list[Line]:
    """Every line of a text, blank ones too."""
    lines: list[Line] = []
    position = 0
    for each in text.split("\n"):
        lines.append(Line(position, each))
        position += len(each) + 1
    return lines
