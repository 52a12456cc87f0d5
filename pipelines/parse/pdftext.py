"""The lines of PDF pages to headings and paragraphs. Pure: what pdfium says comes in as lines.

A PDF knows where letters stand and nothing of paragraphs, so all of this is told by what a reader
goes by: lines that are short, larger, numbered, or the same on every page.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import NamedTuple

from pipelines.parse.extract import Builder, clean

HEADING_SIZE = 1.12
"""How much larger than the usual line a heading is."""

HEADING_SHARE = 0.25
"""Most of the text that may be headings; where more is larger, size says something else."""

LONGEST_HEADING = 160
HEADING_LEVELS = 4
HEADING_LINES = 3
"""Most lines of one heading; more of one size after another are something else."""

_BROKEN_HYPHEN = "\ufffe"
_BROKEN_WORD = re.compile(r"(\w+)[\ufffe\x02](\w+)")
_PRESENTATION_FORMS = re.compile("[\ufb00-\ufb06\ufb50-\ufdff\ufe70-\ufefc]+")
_SENTENCE_END = re.compile(r"[.!?:;。！？؟۔][\"')\]’”»]*$")
_ITEM = re.compile(r"(?:[-–•*▪◦‣●○]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_CONTINUES = re.compile(r"[,;)\]]")
_ADDRESS = re.compile(r"\w@\w|\}@|://")
_NUMBER = re.compile(r"(?<!\d)[0-9]{1,6}(?!\d)")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


class Line(NamedTuple):
    """A line of a page; `size` is the height of its letters in points, 0 where not known."""

    text: str
    size: float = 0.0


class Bookmark(NamedTuple):
    """An entry of the document's own table of contents; level 1 is the outermost."""

    level: int
    title: str


def lines_of(parts: Sequence[Line]) -> list[Line]:
    """Tidy lines: ligatures and forms of letters as plain ones, white space collapsed."""
    whole = " ".join(each.text for each in parts)
    hyphenated = set(re.findall(r"\w+-\w+", whole)) if _BROKEN_HYPHEN in whole else set()
    return [
        Line(text, each.size)
        for each in parts
        for piece in clean(_mended(each.text, hyphenated)).split("\n")
        if (text := " ".join(piece.split()))
    ]


def _mended(text: str, hyphenated: set[str]) -> str:
    """Join the words that ended a line in a hyphen; one that has it elsewhere as well keeps it."""

    def joined(match: re.Match[str]) -> str:
        with_hyphen = f"{match[1]}-{match[2]}"
        return with_hyphen if with_hyphen in hyphenated else match[1] + match[2]

    text = re.sub("[\ufffe\x02]", "", _BROKEN_WORD.sub(joined, text))
    return _PRESENTATION_FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)


def add_pages(
    builder: Builder, pages: Sequence[Sequence[Line]], bookmarks: Mapping[int, Sequence[Bookmark]]
) -> None:
    """Add the paragraphs of every page under headings: by bookmarks, or else by size."""
    bodies = without_running_lines(pages)
    sizes = () if bookmarks else heading_sizes(bodies)
    for index, lines in enumerate(bodies):
        page = _Page(builder, index + 1, lines)
        page.add(lines, bookmarks.get(index, ()), sizes)


def heading_sizes(pages: Sequence[Sequence[Line]]) -> tuple[float, ...]:
    """The sizes of headings, the largest first: clearly larger than the usual, and of few lines."""
    weights: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            weights[line.size] += len(line.text)
    del weights[0.0]
    if not weights:
        return ()
    usual = max(weights, key=lambda size: weights[size])
    large = Counter(
        {
            size: sum(len(line.text) for line in run)
            for lines in pages
            for size, run in _runs(lines)
            if size >= HEADING_SIZE * usual and len(run) <= HEADING_LINES
        }
    )
    if large.total() > HEADING_SHARE * weights.total():
        return ()
    return tuple(sorted(large, reverse=True)[:HEADING_LEVELS])


def _runs(lines: Sequence[Line]) -> Iterator[tuple[float, list[Line]]]:
    """Lines of one size that follow each other."""
    for size, run in groupby(lines, key=lambda line: line.size):
        yield size, list(run)


def _is_heading(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return (
        letters > 1
        and 4 * letters > len(text)
        and len(text) <= LONGEST_HEADING
        and not _CONTINUES.match(text)
        and not _ADDRESS.search(text)
    )


def without_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drop what stands at the edge of at least half the pages of a document of at least four."""
    edges = Counter(
        key
        for page, lines in enumerate(pages)
        for key in {key for line in (*lines[:2], *lines[-2:]) for key in _keys(line.text, page)}
    )
    running = {key for key, count in edges.items() if count >= max(4, len(pages) / 2)}
    bodies = [_body(lines, page, running) for page, lines in enumerate(pages)]
    # Forms that are filled in alike would be all header: then nothing is.
    kept, whole = sum(map(len, bodies)), sum(map(len, pages))
    return bodies if 2 * kept >= whole or not running else [list(lines) for lines in pages]


def _body(lines: Sequence[Line], page: int, running: set[str]) -> list[Line]:
    edge = {*range(2), *range(len(lines) - 2, len(lines))}
    return [
        line
        for index, line in enumerate(lines)
        if index not in edge or running.isdisjoint(_keys(line.text, page))
    ]


def _keys(line: str, page: int) -> Iterator[str]:
    """What a header keeps from page to page: all of it, or all but a number that counts pages."""
    yield line
    for number in islice(_NUMBER.finditer(line), 4):
        yield f"{line[: number.start()]}#{int(number[0]) - page}{line[number.end() :]}"


class _Page:
    """Collects the lines of a page to paragraphs and headings."""

    def __init__(self, builder: Builder, number: int, lines: Sequence[Line]) -> None:
        lengths = sorted(len(line.text) for line in lines)
        self._builder = builder
        self._number = number
        self._usual = lengths[len(lengths) * 3 // 4] if lengths else 0
        self._paragraph: list[str] = []

    def add(
        self, lines: Sequence[Line], bookmarks: Sequence[Bookmark], sizes: Sequence[float]
    ) -> None:
        """Add all lines of the page."""
        levels = {letters(each.title): each.level for each in bookmarks if letters(each.title)}
        for size, run in _runs(lines):
            texts = [line.text for line in run]
            if size in sizes and len(run) <= HEADING_LINES and _is_heading(heading := join(texts)):
                self._heading(sizes.index(size) + 1, heading)
                continue
            for text in texts:
                level = levels.pop(letters(text), None)
                if level is not None:
                    self._heading(level, text)
                else:
                    self._line(text)
        self._end_paragraph()

    def _heading(self, level: int, text: str) -> None:
        self._end_paragraph()
        self._builder.heading(level, text, page=self._number)

    def _line(self, text: str) -> None:
        last = self._paragraph[-1] if self._paragraph else ""
        ends = _ends_paragraph(last, self._usual) and not _CONTINUES.match(text)
        if ends or _ITEM.match(text):
            self._end_paragraph()
        self._paragraph.append(text)

    def _end_paragraph(self) -> None:
        self._builder.add(join(self._paragraph), page=self._number)
        self._paragraph.clear()


def letters(text: str) -> str:
    """A heading as bookmark and page agree on it: letters only, without its number."""
    return "".join(character for character in text.casefold() if character.isalpha())


def _ends_paragraph(line: str, usual: int) -> bool:
    """A line well short of the usual is a last one, and the more so after a full stop."""
    share = 0.9 if _SENTENCE_END.search(line) else 0.6
    return len(line) < share * usual


def join(lines: Sequence[str]) -> str:
    """One paragraph of its lines; Chinese and Japanese are written without spaces."""
    joined = ""
    for line in lines:
        glued = not joined or (_CJK.match(joined[-1]) and _CJK.match(line[0]))
        joined += line if glued else f" {line}"
    return joined


def is_garbled(pages: Sequence[Sequence[Line]]) -> bool:
    """Whether many words mix scripts, which no language does: the font has no character map."""
    words = [word for lines in pages for line in lines for word in line.text.split()][:5_000]
    words = [word for word in words if sum(map(str.isalpha, word)) > 1]
    scripts = {character: _script(character) for character in set("".join(words))}
    mixed = sum(len({scripts[character] for character in word} - {None}) > 1 for word in words)
    return len(words) >= 20 and mixed > 0.3 * len(words)


def _script(character: str) -> str | None:
    """The script of a letter, East Asian ones as one; None of anything else."""
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "UNNAMED").split()[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL") else name
