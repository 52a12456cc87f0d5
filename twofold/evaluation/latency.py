"""What each stage took, out of the searches that the server had not seen before."""

import math
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from twofold.evaluation.observe import Timed


class Latency(BaseModel):
    """Milliseconds at the median and at the 95th percentile of so many searches."""

    p50: float
    p95: float
    searches: int


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def latency(values: Iterable[float]) -> Latency | None:
    """Both percentiles; None without a value."""
    known = list(values)
    if not known:
        return None
    return Latency(
        p50=round(percentile(known, 50), 2),
        p95=round(percentile(known, 95), 2),
        searches=len(known),
    )


def second_stage_ms(timed: Timed) -> float:
    """Waiting for the reranker and its work."""
    return timed.timings.queue + timed.timings.rerank


def first_stage_ms(timed: Timed) -> float:
    """A search without its second stage."""
    return timed.timings.total - second_stage_ms(timed)
