"""Choose the smallest vectors that lose nothing, and judge the choice by other queries. Pure.

Smaller vectors will do on some queries where a loss that anybody would notice can be ruled out,
and where that there is a loss at all cannot be told, or is next to nothing. As in `tune.py`, what
was chosen on some queries is judged by the others; unless it will do there as well, vectors stay
as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twofold.evaluation.significance import Comparison, bootstrap, compare
from twofold.evaluation.smaller import Kept
from twofold.evaluation.tune import TIE
from twofold.evaluation.verdict import FEWEST, WORTH


@dataclass(frozen=True)
class Shrunk:
    """What was chosen.

    Attributes:
        kept: How vectors are to be kept.
        smallest: What would do by all queries, whatever other queries say.
        held_out: Choices on held-out queries against the vectors as they are; None where the
            queries are too few to divide.
    """

    kept: Kept
    smallest: Kept
    held_out: Comparison | None


def shrink(
    scores: Mapping[Kept, Sequence[float]],
    whole: Kept,
    parts: Sequence[Sequence[int]],
    *,
    seed: int = 0,
) -> Shrunk:
    """Choose how vectors are kept.

    Args:
        scores: What each query gets with each kind of vectors.
        whole: The vectors as they are.
        parts: Of the queries, for the cross-validation.
        seed: Of the tests.
    """
    size = len(scores[whole])
    if size < FEWEST:
        return Shrunk(whole, whole, None)
    held_out = [0.0] * size
    for part in parts:
        others = [query for other in parts if other is not part for query in other]
        chosen = scores[_smallest(scores, whole, others, seed)]
        for query in part:
            held_out[query] = chosen[query]
    smallest = _smallest(scores, whole, range(size), seed)
    found = compare(held_out, scores[whole], seed=seed)
    kept = smallest if will_do(found.low, found.high) else whole
    return Shrunk(kept, smallest, found)


def will_do(low: float, high: float) -> bool:
    """Whether an interval of differences rules out a loss of WORTH, and shows none above TIE."""
    return low > -WORTH and high >= -TIE


def _smallest(
    scores: Mapping[Kept, Sequence[float]], whole: Kept, queries: Sequence[int], seed: int
) -> Kept:
    """The smallest that will do on some queries; of equal sizes the longest vectors."""
    base = scores[whole]
    smaller = [kept for kept in scores if kept.size < whole.size]
    for kept in sorted(smaller, key=lambda kept: (kept.size, -kept.dimensions)):
        differences = [scores[kept][query] - base[query] for query in queries]
        if not any(differences) or will_do(*bootstrap(differences, seed=seed)):
            return kept
    return whole
