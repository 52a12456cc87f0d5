"""A batch goes to the model; should it fail, its neighbours do not suffer for one of it."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from twofold.errors import ModelUnavailable, TwofoldError
from twofold.schema import RerankStatus

log = logging.getLogger(__name__)

R = TypeVar("R")


class Failure(NamedTuple):
    """Why there is no result."""

    status: RerankStatus
    reason: str


def attempt(
    run: Callable[[Sequence[int]], Sequence[R | Failure]],
    count: int,
    *,
    wanted: Callable[[int], bool],
    deliver: Callable[[int, R | Failure], None],
) -> bool:
    """Run so many items together, or each by itself if that fails.

    Args:
        run: Gets the numbers of the items to run in one batch; one result for each.
        count: How many items there are.
        wanted: Whether anybody still waits for an item; asked before it is tried alone.
        deliver: Gets the number of an item and its result, as soon as there is one.

    Returns:
        Whether they could be run together, so that the time it took says something.
    """
    error = _try(run, range(count), deliver)
    if error is None:
        return True
    if isinstance(error, TwofoldError) and count == 1:
        # A server that is away was asked more than once already.
        deliver(0, failure_of(error))
        return False
    # One of them may be to blame. An item that was alone gets a second try: some faults pass.
    for number in range(count):
        if wanted(number):
            error = _try(run, [number], deliver)
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


def _try(
    run: Callable[[Sequence[int]], Sequence[R | Failure]],
    numbers: Sequence[int],
    deliver: Callable[[int, R | Failure], None],
) -> Exception | None:
    """Run some of the items in one batch and hand out what comes; returns what went wrong."""
    try:
        results = run(numbers)
    except TwofoldError as error:
        log.warning("%s", error.message)
        return error
    except Exception as error:
        log.exception("the model failed on a batch of %d requests", len(numbers))
        return error
    for number, result in zip(numbers, results, strict=True):
        deliver(number, result)
    return None
