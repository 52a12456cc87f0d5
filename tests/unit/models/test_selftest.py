"""Models that cannot answer the golden questions are not served, and the log says why."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipelines.models.selftest import (
    check_embedder,
    check_reranker,
    require_fit,
    require_fit_embedder,
)
from pipelines.ports import Pairs, PairScores, RerankProfile, Vector
from tests.support import model_servers as servers
from twofold.doctor import LANGUAGES
from twofold.errors import ModelUnfit


class Reranker:
    profile = RerankProfile(depth=10, weight=0.5, calibrated=True)

    def __init__(self, scores: servers.Scores, name: str = "tiny") -> None:
        self._scores = scores
        self.name = name
        self.pairs = 0

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        self.pairs += sum(len(pairs.passages) for pairs in batch)
        return [
            PairScores(
                np.array(self._scores(pairs.query, pairs.passages), dtype=np.float32),
                np.zeros(len(pairs.passages), dtype=np.bool_),
            )
            for pairs in batch
        ]


class Embedder:
    name = "tiny"
    dimensions = servers.DIMENSIONS
    max_tokens = 512
    tokenizer_json = None

    def __init__(self, vectors: servers.Vectors) -> None:
        self._vectors = vectors

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        return np.array(self._vectors(texts), dtype=np.float32)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        return np.array(self._vectors(texts), dtype=np.float32)


def test_a_fit_reranker_passes_with_few_pairs() -> None:
    model = Reranker(servers.healthy)
    verdict = require_fit(model)
    assert verdict.ok
    assert {row.language for row in verdict.evidence} == set(LANGUAGES)
    assert model.pairs <= 36


@pytest.mark.parametrize(
    ("fault", "scores"),
    [
        ("missing_template", servers.without_template),
        ("constant", servers.constant),
        ("inverted", servers.inverted),
        ("batch_dependent", servers.wrongly_padded),
        ("double_sigmoid", servers.double_sigmoid),
        ("unreadable", lambda _, passages: [float("nan")] * len(passages)),
        ("unreadable", lambda _, passages: [0.5] * (len(passages) - 1)),
    ],
)
def test_an_unfit_reranker_stops_the_start_and_the_fault_is_named(
    fault: str, scores: servers.Scores
) -> None:
    with pytest.raises(ModelUnfit, match="'tiny' is not fit to serve") as caught:
        require_fit(Reranker(scores))
    assert caught.value.details["fault"] == fault
    assert "TWOFOLD_SELF_TEST" in caught.value.message


def test_a_model_of_one_language_is_judged_in_that_language() -> None:
    verdict = check_reranker(Reranker(servers.english_only, "qwen3-english"), languages=("en",))
    assert verdict.ok
    assert {row.language for row in verdict.evidence} == {"en"}


def test_a_fit_embedder_passes() -> None:
    assert require_fit_embedder(Embedder(servers.healthy_vectors)).ok


@pytest.mark.parametrize(
    ("fault", "vectors"),
    [
        ("wrong_pooling", servers.first_token_vectors),
        ("batch_dependent", servers.padded_vectors),
        ("not_unit_length", servers.long_vectors),
        ("unreadable", lambda texts: [[0.0] * servers.DIMENSIONS for _ in texts]),
    ],
)
def test_an_unfit_embedder_stops_the_start_and_the_fault_is_named(
    fault: str, vectors: servers.Vectors
) -> None:
    with pytest.raises(ModelUnfit) as caught:
        require_fit_embedder(Embedder(vectors))
    assert caught.value.details["fault"] == fault


def test_the_model_that_comes_with_twofold_is_fit_in_english() -> None:
    from pipelines.models.late_interaction import LateInteractionReranker
    from pipelines.models.minilm import MiniLm, MiniLmEmbedder

    model = MiniLm.load()
    for verdict in (
        check_embedder(MiniLmEmbedder(model), languages=("en",)),
        check_reranker(LateInteractionReranker(model), languages=("en",)),
    ):
        assert verdict.ok, verdict.sentence
        assert all(row.margin > 0.1 for row in verdict.evidence)
