"""How long each step of a search took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipelines.ports import RerankOutcome
from twofold.schema import Timings


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to the microsecond."""
    return round(seconds * 1000, 3)


@dataclass
class Stopwatch:
    """Adds up the time of each step of one request."""

    started: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Count the time of the block towards a step."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.steps[step] = self.steps.get(step, 0.0) + time.monotonic() - begin

    def timings(self, outcome: RerankOutcome | None = None) -> Timings:
        """All steps so far, those of the second stage as it measured them itself."""
        return Timings(
            **{step: milliseconds(seconds) for step, seconds in self.steps.items()},
            queue=milliseconds(outcome.queue_s if outcome else 0.0),
            rerank=milliseconds(outcome.compute_s if outcome else 0.0),
            total=milliseconds(time.monotonic() - self.started),
        )
