"""A rerank model to test queues with: real scores, and a gate that a test can shut."""

import threading
from collections.abc import Sequence

import numpy as np

from pipelines.ports import Pairs, PairScores, RerankProfile

POISON = "poison"
NOT_A_NUMBER = "not a number"
FATAL = "fatal"


class ThreadKilled(BaseException):
    """What no handler for model errors catches."""


class OverlapModel:
    """Scores a passage by the share of the query's words that it holds.

    Attributes:
        gate: The model stands still while it is cleared.
        free: Batches that pass even so.
        entered: Set when a batch has reached the model.
        batches: Every batch that reached it, in order.
    """

    name = "overlap"
    profile = RerankProfile(depth=50, weight=0.5, calibrated=True)

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.free = 0
        self.entered = threading.Event()
        self.batches: list[list[Pairs]] = []

    @property
    def seen(self) -> list[str]:
        """Every passage that reached the model, in order."""
        return [text for batch in self.batches for pairs in batch for text in pairs.passages]

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        self.batches.append(list(batch))
        self.entered.set()
        if len(self.batches) > self.free:
            assert self.gate.wait(30), "a test left the gate shut"
        return [self._score(pairs) for pairs in batch]

    def _score(self, pairs: Pairs) -> PairScores:
        if any(POISON in passage for passage in pairs.passages):
            raise RuntimeError("poisoned")
        if any(FATAL in passage for passage in pairs.passages):
            raise ThreadKilled
        words = set(pairs.query.split())
        scores = [
            np.nan if NOT_A_NUMBER in text else len(words & set(text.split())) / max(1, len(words))
            for text in pairs.passages
        ]
        truncated = [len(text) > 1_000 for text in pairs.passages]
        return PairScores(np.array(scores, np.float32), np.array(truncated, np.bool_))
