"""What the writing system of a text says about where its words are. Pure.

Most scripts put spaces between words, and a script that one or few languages use tells which
stemmer its words want. Chinese, Japanese, Thai and their like have no spaces: their words are
found by the character n-grams that they are made of. McNamee and Mayfield, "Character N-Gram
Tokenization for European Language Text Retrieval", 2004, for n-grams; Unicode Standard Annex 15
for the normal form.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

CHINESE_JAPANESE_KOREAN = (
    "\u1100-\u11ff\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u318e"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
THAI_LAO_BURMESE_KHMER = "\u0e01-\u0e4e\u0e81-\u0eff\u1000-\u103f\u1050-\u108f\u1780-\u17d3"

SPACED = {
    "arabic": "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "hebrew": "\u0590-\u05ff",
}
"""Scripts whose words are stemmed by a language of their own."""
UNSPACED = {"pairs": CHINESE_JAPANESE_KOREAN, "triples": THAI_LAO_BURMESE_KHMER}
"""Scripts without spaces, by the n-grams that stand for their words."""
LONGEST = {"pairs": 2, "triples": 3}
"""A script of thousands of characters says in two what a script of sixty says in three."""

_SCRIPTS = SPACED | UNSPACED
SCRIPT = re.compile(
    # The look ahead spares most characters of most texts a try with each script.
    f"(?=[{''.join(_SCRIPTS.values())}])"
    f"(?:{'|'.join(f'(?P<{name}>[{characters}]+)' for name, characters in _SCRIPTS.items())})"
)

UNREAD = "\u00ad\u200c\u200d\u0e47\u0e4c\u0e4e\u0ecc\u17c9-\u17d3"
"""Soft hyphen, joiners and silent signs: they are within words and no part of them."""


class Written(NamedTuple):
    """A text by script.

    Attributes:
        rest: What is in none of the scripts below: Latin, and all others with spaces.
        spaced: The words of each script of `SPACED` that it has.
        unspaced: The runs of each script of `UNSPACED` that it has.
    """

    rest: str
    spaced: dict[str, list[str]]
    unspaced: dict[str, list[str]]


def normal(text: str) -> str:
    """One spelling for what reads alike: NFKC, without accents that are characters of their own.

    So `ﬁ` is `fi`, `½` is `1⁄2`, and Arabic is the same with its vowel signs and without.
    """
    if text.isascii():
        return text
    return _marks().sub("", unicodedata.normalize("NFKC", text))


def by_script(text: str) -> Written:
    """Take the runs of the known scripts out of a text that is in the normal form."""
    runs: dict[str, list[str]] = defaultdict(list)
    if text.isascii():
        return Written(text, {}, {})
    for match in SCRIPT.finditer(text):
        runs[match.lastgroup or ""].append(match.group())
    return Written(
        SCRIPT.sub(" ", text) if runs else text,
        {script: words for script, words in runs.items() if script in SPACED},
        {script: words for script, words in runs.items() if script in UNSPACED},
    )


def grams(runs: Sequence[str], size: int) -> list[str]:
    """The character n-grams of each run, in order; what is shorter stays as it is.

    `["北京", "京大", "茶"]` of `["北京大", "茶"]` by 2.
    """
    return [run[at : at + size] for run in runs for at in range(max(1, len(run) - size + 1))]


def words(text: str) -> Iterator[tuple[int, int]]:
    """Where a reader might see a word: half-open ranges of `text` by their start.

    In a script without spaces these are all its n-grams of both lengths, which overlap.
    """
    for word in _word().finditer(text):
        at, end = word.span()
        for run in SCRIPT.finditer(text, at, end):
            if run.lastgroup not in UNSPACED:
                continue
            if at < run.start():
                yield at, run.start()
            at = run.end()
            yield from _grams_within(text, run.start(), at, LONGEST[run.lastgroup])
        if at < end:
            yield at, end


def _grams_within(text: str, start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    """Where the `grams` of the normal form are written; marks go with what is before them."""
    bounds = [at for at in range(start, end) if not _marks().match(text[at])] + [end]
    for place, begin in enumerate(bounds[:-1]):
        for size in (longest, longest - 1):
            if place == 0 or place + size < len(bounds):
                yield begin, bounds[min(place + size, len(bounds) - 1)]


@cache
def _word() -> re.Pattern[str]:
    """Letters and digits with their marks, over apostrophes and hyphens."""
    marks = "".join(each for each in _plane() if unicodedata.category(each)[0] == "M")
    return re.compile(rf"[\w{marks}]+(?:['’\-][\w{marks}]+)*")


@cache
def _marks() -> re.Pattern[str]:
    """Whatever combines with the character before it, and `UNREAD`."""
    return re.compile(f"[{''.join(filter(unicodedata.combining, _plane()))}{UNREAD}]+")


def _plane() -> Iterator[str]:
    """The first plane: characters beyond it combine in scripts of signs, not of words."""
    return map(chr, range(0x10000))
