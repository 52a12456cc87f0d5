"""What other searches over the same candidates would have answered, without asking for them.

The formulas are those of the server (`pipelines/fuse.py`), without its numpy; a test holds one
against the other on candidates that are made up, and every evaluation holds them against the
answers that it got.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from twofold.evaluation.observe import Observation, Passage
from twofold.schema import Method, RecallFusion, Trust

RRF_K = 60
DECIMALS = 1_000_000


class Mix(NamedTuple):
    """How the second stage's scores count.

    Attributes:
        weight: Beside the recall score; 1 lets the second stage decide alone.
        calibrated: Whether they count as they are; else they are stretched over 0..1.
    """

    weight: float
    calibrated: bool

    @classmethod
    def of(cls, method: Method) -> "Mix":
        """What the server did by itself."""
        return cls(method.weight, method.calibrated)


def dense(passages: Iterable[Passage]) -> list[Passage]:
    """The list that was found by vectors."""
    return _by_one_list([(each.dense, each) for each in passages])


def sparse(passages: Iterable[Passage]) -> list[Passage]:
    """The list that was found by BM25."""
    return _by_one_list([(each.sparse, each) for each in passages])


def recalled(
    passages: Iterable[Passage], *, limit: int, fusion: RecallFusion, trust: Trust
) -> list[Passage]:
    """The order of the first stage with lists of another length, or combined in another way."""
    found = [cut for each in passages if (cut := _cut(each, limit)) is not None]
    scores = _recall_scores(
        [each.dense for each in found], [each.sparse for each in found], fusion, trust
    )
    return _ordered(scores, found)


def fused(recalled: Sequence[Passage], *, depth: int, mix: Mix) -> list[Passage]:
    """The final order when so many of the first stage's best are scored.

    Args:
        recalled: In the order of the first stage.
        depth: As far as they have scores.
        mix: How both scores become one.
    """
    head = [each for each in recalled[:depth] if each.rerank is not None]
    second = [each.rerank or 0.0 for each in head]
    if not mix.calibrated:
        second = _min_max(second)
    keyed = sorted(
        (-_rounded(mix.weight * score + (1 - mix.weight) * each.recall), each.chunk_id, place)
        for place, (score, each) in enumerate(zip(second, head, strict=True))
    )
    tail = [each for each in recalled[:depth] if each.rerank is None]
    return [*(head[place] for _, _, place in keyed), *tail, *recalled[depth:]]


def documents(ranked: Iterable[Passage]) -> list[str]:
    """Ids of the documents of a ranking: each stands where its best passage does."""
    return list(dict.fromkeys(each.document_id for each in ranked))


def agrees(observation: Observation) -> bool:
    """Whether the first answer to a query is the one that the candidates of the last predict."""
    mix = Mix.of(observation.method)
    expected = fused(observation.passages, depth=observation.depth, mix=mix)
    return [each.chunk_id for each in expected] == observation.served


def _by_one_list(scored: Iterable[tuple[float | None, Passage]]) -> list[Passage]:
    """What a search gives that asks for this list alone."""
    listed = [(score, each) for score, each in scored if score is not None]
    return _ordered(_min_max([score for score, _ in listed]), [each for _, each in listed])


def _ordered(scores: Iterable[float], passages: Iterable[Passage]) -> list[Passage]:
    """By score, as far as it is exact, and then by id; with the score and the new rank."""
    ranked = sorted(
        ((_rounded(score), each) for score, each in zip(scores, passages, strict=True)),
        key=lambda pair: (-pair[0], pair[1].chunk_id),
    )
    return [
        replace(each, recall=score, recall_rank=rank)
        for rank, (score, each) in enumerate(ranked, 1)
    ]


def _cut(passage: Passage, limit: int) -> Passage | None:
    """A candidate as shorter lists have it; None: in neither."""
    in_dense = passage.dense_rank is not None and passage.dense_rank <= limit
    in_sparse = passage.sparse_rank is not None and passage.sparse_rank <= limit
    if not in_dense and not in_sparse:
        return None
    return replace(
        passage,
        dense=passage.dense if in_dense else None,
        sparse=passage.sparse if in_sparse else None,
    )


def _recall_scores(
    dense: Sequence[float | None],
    sparse: Sequence[float | None],
    fusion: RecallFusion,
    trust: Trust,
) -> list[float]:
    if fusion == "weighted":
        return _weighted_lists(dense, sparse, trust)
    normalise = _scaled_reciprocal_ranks if fusion == "rrf" else _by_distribution
    parts = [_known(normalise, scores) for scores in (dense, sparse) if _listed(scores)]
    return [sum(column) / len(parts) for column in zip(*parts, strict=True)]


def _weighted_lists(
    dense: Sequence[float | None], sparse: Sequence[float | None], trust: Trust
) -> list[float]:
    """As `pipelines.fuse.recall_scores` has it, where a short BM25 list is a whole one."""
    if 0 < _listed(sparse) < _listed(dense):
        sparse = [score or 0.0 for score in sparse]
    asked = [
        (scores, weight, weight * _contrast(scores) ** power)
        for scores, weight, power in (
            (dense, 1.0, trust.dense),
            (sparse, trust.sparse_weight, trust.sparse),
        )
        if _listed(scores)
    ]
    total = sum(earned for _, _, earned in asked)
    if total == 0.0:
        asked = [(scores, weight, weight) for scores, weight, _ in asked]
        total = sum(weight for _, weight, _ in asked)
    parts = [
        [value * (earned / total) for value in _known(_min_max, scores)]
        for scores, _, earned in asked
    ]
    return [math.fsum(column) for column in zip(*parts, strict=True)]


def _known(
    normalise: Callable[[Sequence[float]], list[float]], scores: Sequence[float | None]
) -> list[float]:
    """Normalise what has a score; what has none gets 0."""
    values = iter(normalise([score for score in scores if score is not None]))
    return [0.0 if score is None else next(values) for score in scores]


def _contrast(scores: Sequence[float | None]) -> float:
    known = [score for score in scores if score is not None]
    mean, high = math.fsum(known) / len(known), max(known)
    return min(1.0, max(0.0, 1 - mean / high)) if high > 0 else 0.0


def _min_max(scores: Sequence[float]) -> list[float]:
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def _by_distribution(scores: Sequence[float]) -> list[float]:
    mean = math.fsum(scores) / len(scores)
    squares = math.fsum((score - mean) ** 2 for score in scores)
    deviation = math.sqrt(squares / (len(scores) - 1)) if len(scores) > 1 else 0.0
    if deviation == 0.0:
        return [0.5] * len(scores)
    return [min(1.0, max(0.0, (score - mean) / (6 * deviation) + 0.5)) for score in scores]


def _scaled_reciprocal_ranks(scores: Sequence[float]) -> list[float]:
    """Equal scores share the best rank; the first gets 1."""
    ranks: dict[float, int] = {}
    for rank, score in enumerate(sorted(scores, reverse=True), 1):
        ranks.setdefault(score, rank)
    return [(RRF_K + 1) / (RRF_K + ranks[score]) for score in scores]


def _listed(scores: Iterable[float | None]) -> int:
    return sum(score is not None for score in scores)


def _rounded(score: float) -> float:
    return round(score * DECIMALS) / DECIMALS
