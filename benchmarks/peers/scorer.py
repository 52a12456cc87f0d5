"""One second stage for all: Twofold's late interaction, behind each peer's reranker interface.

The peers' documentation takes a cross-encoder, or ColBERT's weights, from a hub. Neither is to be
had here, and with one scoring model for all what differs is what each makes of its scores.
"""

from collections.abc import Sequence
from functools import cache

from pipelines.models.late_interaction import LateInteractionReranker
from pipelines.models.minilm import MiniLm

SCORER = "Twofold's late interaction in place of a cross-encoder; its order replaces the first"


@cache
def _model() -> LateInteractionReranker:
    return LateInteractionReranker(MiniLm.load())


def scores(query: str, texts: Sequence[str]) -> list[float]:
    """Scores in 0..1, in the order of the texts."""
    found: list[float] = _model().score(query, texts).tolist()
    return found
