"""One call of the model for the slices of many requests."""

from collections.abc import Callable, Sequence

import numpy as np

from pipelines.ports import Pairs, PairScores, RerankModel
from pipelines.rerank.attempt import Failure, attempt


def score_each(
    model: RerankModel,
    slices: Sequence[Pairs],
    *,
    wanted: Callable[[int], bool],
    deliver: Callable[[int, PairScores | Failure], None],
) -> bool:
    """Score slices together, or each by itself if that fails; arguments as of `attempt`."""
    return attempt(
        lambda numbers: [
            _finite(scores)
            for scores in score_together(model, [slices[number] for number in numbers])
        ],
        len(slices),
        wanted=wanted,
        deliver=deliver,
    )


def score_together(model: RerankModel, slices: Sequence[Pairs]) -> list[PairScores]:
    """Score the slices in one batch; returns one result for each, in their order.

    Slices with the same query and instruction become one, so that the engine runs what their
    prompts share only once.

    Raises:
        ValueError: The model returned another number of scores than it got passages.
    """
    groups: dict[tuple[str, str | None], list[int]] = {}
    for number, pairs in enumerate(slices):
        groups.setdefault((pairs.query, pairs.instruction), []).append(number)
    batch = [
        Pairs(query, [text for number in members for text in slices[number].passages], instruction)
        for (query, instruction), members in groups.items()
    ]
    results = model.score_batch(batch)
    _check(batch, results)
    scored: dict[int, PairScores] = {}
    for members, result in zip(groups.values(), results, strict=True):
        ends = np.cumsum([len(slices[number].passages) for number in members])[:-1]
        parts = zip(np.split(result.scores, ends), np.split(result.truncated, ends), strict=True)
        scored.update((n, PairScores(*part)) for n, part in zip(members, parts, strict=True))
    return [scored[number] for number in range(len(slices))]


def _check(batch: Sequence[Pairs], results: Sequence[PairScores]) -> None:
    expected = [len(pairs.passages) for pairs in batch]
    found = [len(result.scores) for result in results]
    if found != expected:
        raise ValueError(f"the model returned {found} scores for {expected} passages")


def _finite(scores: PairScores) -> PairScores | Failure:
    if np.isfinite(scores.scores).all():
        return scores
    return Failure("error", "the model gave a score that is not a finite number")
