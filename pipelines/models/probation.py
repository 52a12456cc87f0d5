"""A model server that was away when the process started: tested when it first answers."""

import time
from collections.abc import Sequence

from pipelines.models.selftest import require_fit
from pipelines.ports import Closeable, Pairs, PairScores, RerankModel, RerankProfile
from twofold.errors import ModelUnfit

AGAIN_S = 30.0
"""Seconds after which a server that failed its test may have been mended."""


class OnProbation:
    """Passes no score on before the model behind it has passed the self-test."""

    def __init__(self, model: RerankModel) -> None:
        self._model = model
        self._passed = False
        self._failure: ModelUnfit | None = None
        self._again_at = 0.0

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def profile(self) -> RerankProfile:
        return self._model.profile

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        """Score as the model does.

        Raises:
            ModelUnavailable: It still does not answer.
            ModelUnfit: It answers, and wrongly.
        """
        if not self._passed:
            self._examine()
        return self._model.score_batch(batch)

    def close(self) -> None:
        """Close the connections of the model behind it."""
        if isinstance(self._model, Closeable):
            self._model.close()

    def _examine(self) -> None:
        if self._failure is not None and time.monotonic() < self._again_at:
            raise self._failure
        try:
            require_fit(self._model)
        except ModelUnfit as failure:
            self._failure, self._again_at = failure, time.monotonic() + AGAIN_S
            raise
        self._passed = True
