"""The chooser: what each setting loads, and what it says about the rest."""

import logging
from pathlib import Path

import pytest

from pipelines.models import select
from pipelines.models.late_interaction import LateInteractionReranker
from pipelines.models.minilm import MiniLmEmbedder
from pipelines.models.qwen3 import Qwen3Embedder, Qwen3Reranker
from pipelines.models.remote import RemoteEmbedder, RemoteReranker
from pipelines.models.sentence_transformer import CrossEncoderReranker, SentenceTransformerEmbedder
from pipelines.settings import Settings
from tests.support.checkpoints import make_embedder, make_reranker
from tests.support.models import WordEmbedder
from twofold.errors import ConfigurationError, ModelUnfit


def settings(**given: object) -> Settings:
    return Settings.model_validate({"self_test": "off", **given})


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "cuda_device", lambda: None)


def test_auto_without_cuda_is_minilm_and_late_interaction(no_cuda, caplog):
    caplog.set_level(logging.INFO, select.__name__)
    embedder = select.choose_embedder(settings())
    reranker = select.choose_reranker(settings(), embedder)
    assert isinstance(embedder, MiniLmEmbedder)
    assert isinstance(reranker, LateInteractionReranker)
    assert [record.getMessage() for record in caplog.records] == [
        "TWOFOLD_EMBEDDER=auto: minilm, because there is no CUDA device",
        "TWOFOLD_RERANKER=auto: late-interaction, because there is no CUDA device",
    ]


def test_auto_with_cuda_is_qwen3(monkeypatch):
    monkeypatch.setattr(select, "cuda_device", lambda: "NVIDIA H200")
    monkeypatch.setattr("pipelines.models.qwen3.Qwen3Embedder", lambda source: ("embed", source))
    monkeypatch.setattr("pipelines.models.qwen3.Qwen3Reranker", lambda source: ("rerank", source))
    embedder = select.choose_embedder(settings())
    assert embedder == ("embed", "Qwen/Qwen3-Embedding-0.6B")
    assert select.choose_reranker(settings(), embedder) == ("rerank", "Qwen/Qwen3-Reranker-0.6B")


def test_both_stages_share_one_copy_of_minilm():
    chosen = settings(embedder="minilm", reranker="late-interaction")
    embedder = select.choose_embedder(chosen)
    reranker = select.choose_reranker(chosen, embedder)
    assert isinstance(embedder, MiniLmEmbedder)
    assert isinstance(reranker, LateInteractionReranker)
    assert embedder.on_passage == reranker.remember
    assert embedder.on_query == reranker.remember_query


def test_late_interaction_serves_beside_another_embedder():
    reranker = select.choose_reranker(settings(reranker="late-interaction"), WordEmbedder())
    assert isinstance(reranker, LateInteractionReranker)


def test_none_is_no_second_stage():
    assert select.choose_reranker(settings(reranker="none"), WordEmbedder()) is None


@pytest.mark.parametrize(
    ("kind", "loaded"),
    [("qwen3", Qwen3Embedder), ("sentence-transformers", SentenceTransformerEmbedder)],
)
def test_an_embedder_is_loaded_from_the_folder_that_is_named(tmp_path: Path, kind, loaded):
    folder = make_embedder(tmp_path / "model")
    assert isinstance(select.choose_embedder(settings(embedder=f"{kind}:{folder}")), loaded)


@pytest.mark.parametrize(
    ("kind", "loaded"), [("qwen3", Qwen3Reranker), ("cross-encoder", CrossEncoderReranker)]
)
def test_a_reranker_is_loaded_from_the_folder_that_is_named(tmp_path: Path, kind, loaded):
    folder = make_reranker(tmp_path / "model")
    chosen = settings(reranker=f"{kind}:{folder}")
    assert isinstance(select.choose_reranker(chosen, WordEmbedder()), loaded)


def test_a_url_is_a_model_server():
    assert isinstance(
        select.choose_embedder(settings(embedder="openai+http://gpu:8000?model=m")), RemoteEmbedder
    )
    assert isinstance(
        select.choose_reranker(settings(reranker="jina+http://gpu:8000"), WordEmbedder()),
        RemoteReranker,
    )


@pytest.mark.parametrize("setting", ["minlm", "", "qwen3", "qwen3:", "minilm:large", "none"])
def test_an_unknown_embedder_is_refused_with_the_grammar(setting):
    with pytest.raises(ConfigurationError) as caught:
        select.choose_embedder(settings(embedder=setting))
    assert f"TWOFOLD_EMBEDDER='{setting}'" in caught.value.message
    assert "auto, minilm, qwen3:FOLDER-OR-NAME" in caught.value.message


@pytest.mark.parametrize("setting", ["late", "", "onnx:", "none:x", "minilm"])
def test_an_unknown_reranker_is_refused_with_the_grammar(setting):
    with pytest.raises(ConfigurationError) as caught:
        select.choose_reranker(settings(reranker=setting), WordEmbedder())
    assert f"TWOFOLD_RERANKER='{setting}'" in caught.value.message
    assert "auto, late-interaction, qwen3:FOLDER-OR-NAME" in caught.value.message


@pytest.fixture
def untrained(tmp_path: Path) -> str:
    """A reranker with random weights, which knows nothing."""
    return f"qwen3:{make_reranker(tmp_path / 'model')}"


def test_a_checkpoint_that_fails_its_self_test_does_not_serve(untrained):
    with pytest.raises(ModelUnfit):
        select.choose_reranker(settings(reranker=untrained, self_test="require"), WordEmbedder())


def test_a_checkpoint_that_fails_serves_with_a_warning_where_the_operator_insists(
    untrained, caplog
):
    chosen = settings(reranker=untrained, self_test="warn")
    assert isinstance(select.choose_reranker(chosen, WordEmbedder()), Qwen3Reranker)
    assert "is not fit to serve" in caplog.text
