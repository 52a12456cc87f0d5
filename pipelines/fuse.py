"""Ranking: two lists become the recall order, and the second stage's scores reorder its head.

    recalled = rank_recall(candidates)
    ranked = rank_fused(recalled, outcome, profile=reranker.profile, fusion=request.fusion)

Everything here is pure. Scores of different origin become comparable by min-max normalisation
over the candidates of one query, and a list counts by how far its best score stands out from the
others; on the collections of `make bench-quality` sums of such scores rank better than reciprocal
ranks do. Equal scores are ordered by chunk id, so that the same
candidates give the same order, whatever order they come in.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.ports import Candidate, RerankOutcome, RerankProfile
from twofold.schema import Fusion, RecallFusion, RecallMode, Trust

RRF_K = 60
"""The constant of reciprocal rank fusion, as in the paper."""
DECIMALS = 6
"""Of a score: what float32 carries. Rounding before sorting keeps noise from making an order."""

Floats: TypeAlias = NDArray[np.float64]


TRUST = Trust(dense=2.0, sparse=4.5, sparse_weight=1.0)
"""Found by `make bench-quality`. Lists that stand out fully count alike: a BM25 list does where a
rare word is in few passages, a name in another language or a number, and then it is nearly always
right. Where all share words of the query, its list loses its say faster than that of cosines."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A candidate in the order of the first stage.

    Attributes:
        score: In 0..1.
        rank: Counted from 1.
    """

    candidate: Candidate
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate in the final order.

    Attributes:
        score: In 0..1; no result has a greater one than the result before it.
        rerank: The second stage's own score; None where it gave none.
        truncated: Whether the second stage saw only the beginning of the passage.
    """

    recalled: Recalled
    score: float
    rerank: float | None = None
    truncated: bool = False


def rank_recall(
    candidates: Sequence[Candidate], fusion: RecallFusion = "weighted"
) -> list[Recalled]:
    """Order the candidates of one query by what both lists of the first stage say."""
    scores = recall_scores(
        _column(each.dense for each in candidates),
        _column(each.sparse for each in candidates),
        fusion,
    )
    ranked = sorted(
        zip(_rounded(scores), candidates, strict=True),
        key=lambda pair: (-pair[0], pair[1].chunk.id),
    )
    return [Recalled(candidate, score, rank) for rank, (score, candidate) in enumerate(ranked, 1)]


def rank_fused(
    recalled: Sequence[Recalled],
    outcome: RerankOutcome,
    *,
    profile: RerankProfile,
    fusion: Fusion,
) -> list[Fused]:
    """Reorder what the second stage scored; the rest follows in recall order.

    Args:
        recalled: In recall order.
        outcome: Scores of the first of them, NaN where there is none.
        profile: How far the second stage is to be trusted where `fusion` leaves it open.
        fusion: How both stages become one order.
    """
    rerank = np.full(len(recalled), np.nan)
    rerank[: len(outcome.scores)] = outcome.scores
    truncated = np.zeros(len(recalled), dtype=np.bool_)
    truncated[: len(outcome.truncated)] = outcome.truncated
    scores = fused_scores([each.score for each in recalled], rerank, profile=profile, fusion=fusion)
    said = [None if math.isnan(raw) else raw for raw in rerank.tolist()]
    ranked = sorted(
        zip(recalled, _rounded(scores), said, truncated.tolist(), strict=True), key=_final_order
    )
    # What scores more than the result before it is lowered: an unscored tail never beats the head.
    tops = accumulate((score for _, score, _, _ in ranked), min)
    return [
        Fused(each, top, raw, cut) for (each, _, raw, cut), top in zip(ranked, tops, strict=True)
    ]


def recall_scores(
    dense: ArrayLike,
    sparse: ArrayLike,
    fusion: RecallFusion = "weighted",
    trust: Trust = TRUST,
) -> Floats:
    """One score from both lists of the first stage; [n] in 0..1, in input order.

    A list without any candidate was not asked for, and counts nothing.

    - `weighted`: (a dense + b sparse) / (a + b), each normalised, where a and b are powers of the
      lists' `contrast` (`trust`). What is missing from a list (NaN) counts as the lowest in it: it
      would have come later. But a BM25 list that is shorter than the dense one has every chunk
      with a word of the query, so that there the rest counts as the 0 that it is.
    - `rrf`: the sum of reciprocal ranks, divided by the greatest that it can be.
    - `dbsf`: the mean of scores normalised by their distribution.
    """
    lists = [np.asarray(scores, dtype=np.float64) for scores in (dense, sparse)]
    if fusion == "weighted":
        return _weighted_lists(lists[0], lists[1], trust)
    asked = [scores for scores in lists if _listed(scores)]
    if not asked:
        return np.zeros_like(lists[0])
    if fusion == "rrf":
        parts = [reciprocal_ranks(scores) * (RRF_K + 1) for scores in asked]
    else:
        parts = [np.nan_to_num(by_distribution(scores)) for scores in asked]
    mean: Floats = np.mean(parts, axis=0)
    return mean


def _weighted_lists(dense: Floats, sparse: Floats, trust: Trust) -> Floats:
    if 0 < _listed(sparse) < _listed(dense):
        sparse = np.nan_to_num(sparse)
    asked = [
        (scores, weight, weight * contrast(scores) ** power)
        for scores, weight, power in (
            (dense, 1.0, trust.dense),
            (sparse, trust.sparse_weight, trust.sparse),
        )
        if _listed(scores)
    ]
    total = sum(earned for _, _, earned in asked)
    if total == 0.0:  # neither list prefers anything: as if both stood out
        asked = [(scores, weight, weight) for scores, weight, _ in asked]
        total = sum(weight for _, weight, _ in asked)
    parts = [np.nan_to_num(min_max(scores)) * (earned / total) for scores, _, earned in asked]
    return np.sum(parts, axis=0) if parts else np.zeros_like(dense)


def contrast(scores: ArrayLike) -> float:
    """How far the best of a list stands out: 1 - mean / greatest, in 0..1; NaN is left out.

    Zero is what a passage gets that has nothing to do with the query, for a cosine and for BM25,
    so a list whose scores are all near its best one cannot tell its candidates apart: the cosines
    of a model that does not know the language, or BM25 where all share the same common words. The
    mean rather than the lowest, so that one word in most passages is not taken for a rare one.
    Score dispersion as a sign of a list's quality: Shtok, Kurland, Carmel, Raiber and Markovits,
    "Predicting Query Performance by Query-Drift Estimation", TOIS 2012.
    """
    values = np.asarray(scores, dtype=np.float64)
    mean, high = np.nanmean(values), np.nanmax(values)
    return float(np.clip(1 - mean / high, 0.0, 1.0)) if high > 0 else 0.0


def fused_scores(
    recall: ArrayLike, rerank: ArrayLike, *, profile: RerankProfile, fusion: Fusion
) -> Floats:
    """One score from both stages: [n] in 0..1, in input order.

    `weighted` is w * rerank + (1 - w) * recall and `rerank` is the same with w = 1, where the
    second stage's scores are normalised over what it scored unless they are calibrated. `rrf` is
    the sum of both reciprocal ranks, `dbsf` the mean of both scores normalised by their
    distribution. Where the second stage said nothing (NaN), it adds nothing.

    Args:
        recall: [n] in 0..1.
        rerank: [n], NaN where not scored.
        profile: As of `rank_fused`.
        fusion: As of `rank_fused`.
    """
    first = np.asarray(recall, dtype=np.float64)
    second = np.asarray(rerank, dtype=np.float64)
    if np.isnan(second).all():
        return first
    if fusion.method == "rrf":
        return reciprocal_ranks(first) + reciprocal_ranks(second)
    if fusion.method == "dbsf":
        return (by_distribution(first) + np.nan_to_num(by_distribution(second))) / 2
    weight = profile.weight if fusion.weight is None else fusion.weight
    if fusion.method == "rerank":
        weight = 1.0
    comparable = second if profile.calibrated else min_max(second)
    return weight * np.nan_to_num(comparable) + (1 - weight) * first


def recall_formula(mode: RecallMode, fusion: RecallFusion) -> str:
    """The recall score as a formula, for people."""
    lists = {"hybrid": ["dense", "bm25"], "dense": ["dense"], "sparse": ["bm25"]}[mode]
    if fusion == "rrf":
        terms = [f"{RRF_K + 1} / ({RRF_K} + rank_{each})" for each in lists]
        return f"({' + '.join(terms)}) / {len(lists)}"
    if fusion == "dbsf":
        return f"({' + '.join(f'by_distribution({each})' for each in lists)}) / {len(lists)}"
    if len(lists) == 1:
        return f"min_max({lists[0]})"
    factor = "" if TRUST.sparse_weight == 1 else f"{TRUST.sparse_weight:g} * "
    return (
        "(a * min_max(dense) + b * min_max(bm25)) / (a + b), "
        f"a = contrast(dense)^{TRUST.dense:g}, b = {factor}contrast(bm25)^{TRUST.sparse:g}, "
        "contrast = 1 - mean / greatest"
    )


def fusion_formula(profile: RerankProfile, fusion: Fusion) -> str:
    """The final score as a formula, for people."""
    if fusion.method == "rrf":
        return f"1 / ({RRF_K} + rank_recall) + 1 / ({RRF_K} + rank_rerank)"
    if fusion.method == "dbsf":
        return "(by_distribution(recall) + by_distribution(rerank)) / 2"
    weight = profile.weight if fusion.weight is None else fusion.weight
    if fusion.method == "rerank":
        weight = 1.0
    rerank = "rerank" if profile.calibrated else "min_max(rerank)"
    return f"{weight:g} * {rerank} + {1 - weight:g} * recall"


def min_max(scores: ArrayLike) -> Floats:
    """Stretch scores over 0..1; NaN stays NaN, and scores that are all equal become 1."""
    values = np.asarray(scores, dtype=np.float64)
    low, high = np.nanmin(values), np.nanmax(values)
    return (values - low) / (high - low) if high > low else np.where(np.isnan(values), values, 1.0)


def by_distribution(scores: ArrayLike) -> Floats:
    """Distribution-based normalisation: mean - 3 deviations becomes 0, mean + 3 becomes 1.

    What lies beyond is cut off; NaN stays NaN, and scores that are all equal become 0.5.
    Mazzeschi, "Distribution-Based Score Fusion (DBSF), a new approach to vector search ranking",
    2023, with the deviation of the sample.
    """
    values = np.asarray(scores, dtype=np.float64)
    known = values[~np.isnan(values)]
    deviation = known.std(ddof=1) if len(known) > 1 else 0.0
    if deviation == 0.0:
        return np.where(np.isnan(values), values, 0.5)
    normalised: Floats = np.clip((values - known.mean()) / (6 * deviation) + 0.5, 0.0, 1.0)
    return normalised


def reciprocal_ranks(scores: ArrayLike, k: int = RRF_K) -> Floats:
    """1 / (k + rank), ranks counted from 1 for the greatest; equal scores share the best rank.

    NaN has no rank and gets 0. Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms
    Condorcet and individual rank learning methods", SIGIR 2009.
    """
    values = np.asarray(scores, dtype=np.float64)
    greater = (values[None, :] > values[:, None]).sum(axis=1)
    return np.where(np.isnan(values), 0.0, 1 / (k + 1 + greater))


def _final_order(
    scored: tuple[Recalled, float, float | None, bool],
) -> tuple[bool, float, int, str]:
    recalled, score, rerank, _ = scored
    if rerank is None:
        return (True, 0.0, recalled.rank, "")
    return (False, -score, 0, recalled.candidate.chunk.id)


def _listed(scores: Floats) -> int:
    return int(np.count_nonzero(~np.isnan(scores)))


def _column(scores: Iterable[float | None]) -> Floats:
    return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)


def _rounded(scores: Floats) -> list[float]:
    rounded: list[float] = scores.round(DECIMALS).tolist()
    return rounded
