"""A batch goes to the model; should it fail, its neighbours do not suffer for one of it."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from pipelines.ports import Pairs, PairScores, RerankModel
from pipelines.rerank.grouping import score_together
from twofold.errors import ModelUnavailable, TwofoldError
from twofold.schema import RerankStatus

log = logging.getLogger(__name__)


class Failure(NamedTuple):
    """Why a slice has no scores."""

    status: RerankStatus
    reason: str


Result: TypeAlias = PairScores | Failure
Deliver: TypeAlias = Callable[[int, Result], None]


def attempt(
    model: RerankModel,
    slices: Sequence[Pairs],
    *,
    wanted: Callable[[int], bool],
    deliver: Deliver,
) -> bool:
    """Score the slices together, or each by itself if that fails.

    Args:
        model: Called once, and when that fails once more for each slice.
        slices: What is in the batch.
        wanted: Whether anybody still waits for a slice; asked before it is tried alone.
        deliver: Gets the number of a slice and its result, as soon as there is one.

    Returns:
        Whether they could be scored together, so that the time it took says something.
    """
    error = _together(model, slices, range(len(slices)), deliver)
    if error is None:
        return True
    if isinstance(error, TwofoldError) and len(slices) == 1:
        # A server that is away was asked more than once already.
        deliver(0, failure_of(error))
        return False
    # One of them may be to blame. A slice that was alone gets a second try: some faults pass.
    for number in range(len(slices)):
        if wanted(number):
            error = _together(model, slices, [number], deliver)
            if error is not None:
                deliver(number, failure_of(error))
    return False


def failure_of(error: Exception) -> Failure:
    """What a caller is told of an error of the model."""
    match error:
        case ModelUnavailable():
            return Failure("unavailable", error.message)
        case TwofoldError():
            return Failure("error", error.message)
    kind = type(error).__name__
    return Failure("error", f"the model failed with {kind}; the log has the trace")


def _together(
    model: RerankModel, slices: Sequence[Pairs], numbers: Sequence[int], deliver: Deliver
) -> Exception | None:
    """Score some of the slices in one batch and hand out the scores; returns what went wrong."""
    try:
        results = score_together(model, [slices[number] for number in numbers])
    except TwofoldError as error:
        log.warning("%s", error.message)
        return error
    except Exception as error:
        log.exception("the model failed on a batch of %d requests", len(numbers))
        return error
    for number, scores in zip(numbers, results, strict=True):
        deliver(number, _checked(scores))
    return None


def _checked(scores: PairScores) -> Result:
    if np.isfinite(scores.scores).all():
        return scores
    return Failure("error", "the model gave a score that is not a finite number")
