"""The answer to a rerank request as it grows, batch by batch."""

import numpy as np

from pipelines.ports import PairScores, RerankOutcome
from twofold.schema import RerankStatus


class Progress:
    """Collects the scores of one request, and times them.

    Args:
        pairs: Passages of the request.
        arrival: When it came in, seconds on the clock that all times here are on.
    """

    def __init__(self, pairs: int, arrival: float) -> None:
        self._scores = np.full(pairs, np.nan, dtype=np.float32)
        self._truncated = np.zeros(pairs, dtype=np.bool_)
        self._arrival = arrival
        self._started: float | None = None
        self._last = arrival
        self._missing = pairs

    @property
    def complete(self) -> bool:
        """Whether every passage has its score."""
        return self._missing == 0

    @property
    def begun(self) -> bool:
        """Whether the model has taken it up."""
        return self._started is not None

    def begin(self, now: float) -> None:
        """The model takes the request up; only the first time counts."""
        if self._started is None:
            self._started = self._last = now

    def add(self, start: int, scores: PairScores, now: float) -> None:
        """Note finite scores from passage number `start` on; again for some of them is no harm."""
        stop = start + len(scores.scores)
        self._missing -= int(np.count_nonzero(np.isnan(self._scores[start:stop])))
        self._scores[start:stop] = scores.scores
        self._truncated[start:stop] = scores.truncated
        self._last = now

    def outcome(self, status: RerankStatus, reason: str, now: float) -> RerankOutcome:
        """The answer now; `status` and `reason` say why nothing more comes, if any is missing."""
        pairs = len(self._scores)
        scored = pairs - self._missing
        if self.complete:
            status, reason = "applied", ""
        elif scored:
            status, reason = "partial", f"{scored} of {pairs} passages were scored: {reason}"
        started = now if self._started is None else self._started
        return RerankOutcome(
            status=status,
            scores=self._scores,
            truncated=self._truncated,
            queue_s=started - self._arrival,
            compute_s=max(0.0, self._last - started),
            reason=reason or None,
        )
