"""One honest sentence: does the second stage help, and what does it cost?"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from twofold.evaluation.significance import LEVEL, Comparison, compare, queries_needed
from twofold.evaluation.wording import chance, counted, decimal, interval, signed

WORTH = 0.01
"""The smallest difference in nDCG@10 that anybody would notice."""
FEWEST = 20
"""Queries below which an interval around 0 says nothing: it is narrow because little was seen."""

Kind: TypeAlias = Literal["helps", "hurts", "no difference", "cannot be told", "absent"]


class Verdict(NamedTuple):
    """What the figures say of the second stage, in a word and in a sentence."""

    kind: Kind
    sentence: str
    comparison: Comparison | None = None


def absent() -> Verdict:
    """There is nothing to judge."""
    return Verdict("absent", "This server runs no second stage, so there is nothing to compare.")


def judge(
    fused: Sequence[float], first: Sequence[float], *, cost_ms: float | None, seed: int = 0
) -> Verdict:
    """Judge the second stage by nDCG@10.

    It makes no difference where the whole confidence interval lies closer to 0 than WORTH, of
    FEWEST queries at least. Else it helps or hurts where chance is ruled out, and else these
    queries are too few to tell.

    Args:
        fused: What each query got with both stages.
        first: What each query got with the first stage alone, in the same order.
        cost_ms: What the second stage took at the median; None: it could not be measured.
        seed: Of the tests.
    """
    found = compare(fused, first, seed=seed)
    figures = (
        f"{signed(found.difference)} nDCG@10 {interval(found.low, found.high)}, {chance(found.p)}"
    )
    cost = "" if cost_ms is None else f", for {cost_ms:.0f} ms"
    if len(first) >= FEWEST and max(abs(found.low), abs(found.high)) < WORTH:
        sentence = f"Reranking does not help: {figures}{cost}; nobody would notice."
        return Verdict("no difference", sentence, found)
    if found.p < LEVEL:
        kind: Kind = "helps" if found.difference > 0 else "hurts"
        return Verdict(kind, f"Reranking {kind}: {figures}{cost}.", found)
    queries, needed = counted(len(first), "query"), _needed(fused, first, found)
    sentence = f"Whether reranking helps cannot be told with {queries}: {figures}{cost}{needed}."
    return Verdict("cannot be told", sentence, found)


def _needed(fused: Sequence[float], first: Sequence[float], found: Comparison) -> str:
    size = max(abs(found.difference), WORTH)
    needed = queries_needed(fused, first, size)
    if needed <= len(first):
        return ""
    return f"; about {_round_up(needed):,} would be needed to be sure of {decimal(size)}"


def _round_up(count: int) -> int:
    """To two digits: nobody knows it better."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step
