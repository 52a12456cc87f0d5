"""What every `RerankModel` holds, whatever computes its scores."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from pipelines.models.apart import models_apart
from pipelines.models.late_interaction import LateInteractionReranker
from pipelines.models.minilm import MiniLm
from pipelines.models.onnx import OnnxReranker
from pipelines.models.onnx_export import export
from pipelines.models.qwen3 import Qwen3Reranker
from pipelines.models.remote import remote_reranker
from pipelines.models.sentence_transformer import CrossEncoderReranker
from pipelines.ports import Closeable, Pairs, PairScores, RerankModel
from pipelines.settings import Settings
from tests.support.checkpoints import make_reranker
from tests.support.model_servers import healthy, rerank_reply

QUERY = "What is the capital of China?"
PASSAGES = [
    "Beijing is the capital of China.",
    "Bread is baked at dawn.",
    "",
    "中国的首都是北京。",
    "عاصمة الصين هي بكين",
    "🎯🚀 naïve café",
    "gravity moves planets around the sun " * 30,
]


def _qwen3(folder: Path) -> RerankModel:
    return Qwen3Reranker(make_reranker(folder / "qwen3"), dtype="float32", device="cpu")


def _cross_encoder(folder: Path) -> RerankModel:
    return CrossEncoderReranker(str(make_reranker(folder / "cross-encoder")))


def _onnx(folder: Path) -> RerankModel:
    export(make_reranker(folder / "checkpoint", num_hidden_layers=1), folder / "onnx")
    return OnnxReranker(folder / "onnx", threads=1, token_budget=1_024)


def _late_interaction(_: Path) -> RerankModel:
    return LateInteractionReranker(MiniLm.load())


def _apart(_: Path) -> RerankModel:
    reranker = models_apart(Settings(embedder="minilm", reranker="late-interaction")).reranker
    assert reranker is not None
    return reranker


def _remote(dialect: str) -> Callable[[Path], RerankModel]:
    def make(_: Path) -> RerankModel:
        transport = httpx.MockTransport(lambda request: rerank_reply(request, dialect, healthy))
        return remote_reranker(f"{dialect}+http://model?batch=3", transport=transport)

    return make


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(_qwen3, id="qwen3"),
        pytest.param(_cross_encoder, id="cross-encoder"),
        pytest.param(_late_interaction, id="late-interaction"),
        pytest.param(_apart, id="apart"),
        pytest.param(_onnx, id="onnx", marks=pytest.mark.slow),
        *(pytest.param(_remote(d), id=d) for d in ("jina", "cohere", "tei", "dmr")),
    ],
)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RerankModel]:
    make: Callable[[Path], RerankModel] = request.param
    made = make(tmp_path_factory.mktemp("models"))
    yield made
    if isinstance(made, Closeable):
        made.close()


def score(model: RerankModel, *passages: str, query: str = QUERY) -> PairScores:
    [scores] = model.score_batch([Pairs(query, passages)])
    return scores


def test_a_score_and_a_flag_come_back_for_every_passage(model: RerankModel) -> None:
    scores, truncated = score(model, *PASSAGES)
    assert (scores.shape, scores.dtype) == ((len(PASSAGES),), np.float32)
    assert (truncated.shape, truncated.dtype) == ((len(PASSAGES),), np.bool_)
    assert np.isfinite(scores).all()


def test_scores_are_in_the_order_of_the_passages(model: RerankModel) -> None:
    forwards = score(model, *PASSAGES).scores
    backwards = score(model, *PASSAGES[::-1]).scores
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-5)
    assert len(set(forwards.tolist())) > 3, "they are not all the same"


def test_a_score_does_not_depend_on_what_else_is_in_the_batch(model: RerankModel) -> None:
    together = score(model, *PASSAGES).scores
    alone = [score(model, passage).scores[0] for passage in PASSAGES]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_several_queries_are_scored_as_each_of_them_alone(model: RerankModel) -> None:
    batch = [
        Pairs(QUERY, PASSAGES),
        Pairs("nothing to score", []),
        Pairs("bread", PASSAGES[:2]),
        Pairs(QUERY, PASSAGES[:1]),
    ]
    for pairs, scored in zip(batch, model.score_batch(batch), strict=True):
        [expected] = model.score_batch([pairs])
        np.testing.assert_allclose(scored.scores, expected.scores, atol=1e-5)
        np.testing.assert_array_equal(scored.truncated, expected.truncated)


def test_nothing_in_is_nothing_out(model: RerankModel) -> None:
    assert model.score_batch([]) == []
    scores, truncated = score(model)
    assert scores.shape == truncated.shape == (0,)


def test_the_same_question_twice_has_the_same_answer(model: RerankModel) -> None:
    first, second = (score(model, *PASSAGES, PASSAGES[0]).scores for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first[0] == pytest.approx(first[-1], abs=1e-6)


@pytest.mark.parametrize("text", ["a\x00b", "\u202e\u200b", "e\u0301" * 50, "\n", " "], ids=ascii)
def test_odd_text_is_scored_like_any_other(model: RerankModel, text: str) -> None:
    assert np.isfinite(score(model, text, "Beijing").scores).all()
    assert np.isfinite(score(model, "Beijing", query=text).scores).all()


def test_short_passages_are_not_called_truncated(model: RerankModel) -> None:
    assert not score(model, *PASSAGES[:6]).truncated.any()


def test_it_has_a_name_and_a_profile(model: RerankModel) -> None:
    assert model.name
    assert model.profile.depth >= 1
    assert 0 <= model.profile.weight <= 1
