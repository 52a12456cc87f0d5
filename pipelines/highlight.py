"""Which words of a passage the query asked for. Pure.

A word is highlighted when the first stage's own analysis takes it for a term of the query: the
same stemmer, the same stop words. So `baking` lights up for `bakes`, and `the` never does. In a
script without spaces what lights up are the n-grams that it shares with the query.
"""

from collections.abc import Callable, Collection, Iterator

from pipelines.scripts import words

MOST_SPANS = 100
"""Highlights of one passage: a page that lights up all over says nothing."""

Terms = Callable[[str], Collection[int]]
"""The terms of a text, by the numbers that the sparse vectors know them by."""


def highlights(text: str, terms_of: Terms, asked: Collection[int]) -> list[tuple[int, int]]:
    """Half-open ranges of `text` that hold terms of the query, in order.

    Words that only white space parts become one range.

    Args:
        text: A passage.
        terms_of: How the first stage reads a text.
        asked: The terms of the query.
    """
    known: dict[str, bool] = {}
    spans: list[tuple[int, int]] = []
    for start, end in _matches(text, terms_of, frozenset(asked), known):
        if spans and not text[spans[-1][1] : start].strip():
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        elif len(spans) == MOST_SPANS:
            break
        else:
            spans.append((start, end))
    return spans


def _matches(
    text: str, terms_of: Terms, asked: frozenset[int], known: dict[str, bool]
) -> Iterator[tuple[int, int]]:
    if not asked:
        return
    for start, end in words(text):
        word = text[start:end]
        if word not in known:
            known[word] = not asked.isdisjoint(terms_of(word))
        if known[word]:
            yield start, end
