"""Judgements that rerankers and embedders share: is the order right, do batch mates matter."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

from twofold.doctor.golden import LANGUAGES, Golden, Language
from twofold.doctor.verdict import Evidence

Understanding: TypeAlias = Literal["right", "english", "inverted", "random"]

ENOUGH = 0.8
"""Share of questions that a fit model answers rightly; guessing gets a third of them."""
INVERTED = 0.2


def evidence_of(question: Golden, scores: Sequence[float], place: int) -> Evidence:
    """The row for a question whose right passage was sent at `place`."""
    wrong = [score for index, score in enumerate(scores) if index != place]
    return Evidence(question.language, question.query, scores[place], max(wrong))


def understanding(rows: Sequence[Evidence], beaten: Sequence[bool]) -> Understanding:
    """Read the pattern of wins.

    Args:
        rows: One per question.
        beaten: One per wrong passage: whether the right one scored higher.
    """
    if _share([row.margin > 0 for row in rows]) >= ENOUGH:
        return "right"
    if _share(beaten) <= INVERTED:
        return "inverted"
    english = [row.margin > 0 for row in rows if row.language in ("en", "code")]
    others = [row for row in rows if row.language not in ("en", "code")]
    return "english" if others and english and all(english) else "random"


def not_understood(rows: Sequence[Evidence]) -> tuple[Language, ...]:
    """Languages in which a wrong passage came first."""
    lost = {row.language for row in rows if row.margin <= 0}
    return tuple(language for language in LANGUAGES if language in lost)


def is_permutation(alone: Sequence[float], together: Sequence[float], tolerance: float) -> bool:
    """Whether both hold the same scores, in whatever order."""
    return all(
        math.isclose(a, b, rel_tol=0, abs_tol=tolerance)
        for a, b in zip(sorted(alone), sorted(together), strict=True)
    )


def _share(wins: Sequence[bool]) -> float:
    return sum(wins) / len(wins) if wins else 0.0
