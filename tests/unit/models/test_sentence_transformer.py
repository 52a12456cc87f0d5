"""Models of the sentence-transformers library, with the prompts that they were trained on."""

import builtins
import logging
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from pipelines.models.qwen3 import Qwen3Reranker
from pipelines.models.sentence_transformer import CrossEncoderReranker, SentenceTransformerEmbedder
from pipelines.ports import Pairs
from tests.support.checkpoints import make_classifier, make_embedder, make_reranker
from twofold.errors import ConfigurationError, ModelUnfit

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "bread", "fish"]


def make_bert(folder: Path, *, labels: int = 1, safe: bool = True) -> Path:
    """A cross-encoder of the old kind: a pair of segments, a limit of 32 tokens, no template."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        num_labels=labels,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def embedder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedder(tmp_path_factory.mktemp("models") / "Tiny-Embedding")


def test_queries_and_passages_get_the_prompts_of_the_model(embedder_folder: Path) -> None:
    model = SentenceTransformerEmbedder(str(embedder_folder))
    raw = SentenceTransformer(str(embedder_folder))
    task = "Given a web search query, retrieve relevant passages that answer the query"
    np.testing.assert_allclose(
        model.embed_queries(["bread"]), raw.encode([f"Instruct: {task}\nQuery:bread"]), atol=1e-5
    )
    np.testing.assert_allclose(model.embed_passages(["bread"]), raw.encode(["bread"]), atol=1e-5)
    assert model.name == "Tiny-Embedding"
    assert model.dimensions == 64


def test_an_instruction_takes_the_place_of_the_task(embedder_folder: Path) -> None:
    model = SentenceTransformerEmbedder(str(embedder_folder))
    raw = SentenceTransformer(str(embedder_folder))
    np.testing.assert_allclose(
        model.embed_queries(["bread"], instruction=r"Find \1 fish"),
        raw.encode(["Instruct: Find \\1 fish\nQuery:bread"]),
        atol=1e-5,
    )


def test_an_instruction_without_a_place_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_embedder(tmp_path / "plain")
    (folder / "config_sentence_transformers.json").unlink()
    model = SentenceTransformerEmbedder(str(folder))
    plain = model.embed_queries(["bread"])
    with caplog.at_level(logging.WARNING, "pipelines.models.sentence_transformer"):
        for _ in range(2):
            np.testing.assert_array_equal(model.embed_queries(["bread"], instruction="x"), plain)
    assert len(caplog.records) == 1


def test_a_cross_encoder_scores_a_qwen3_reranker_as_our_own_engine_does(tmp_path: Path) -> None:
    folder = make_reranker(tmp_path / "r")
    passages = ["Bread is baked.", "", "gravity " * 40]
    [theirs] = CrossEncoderReranker(str(folder)).score_batch([Pairs("bread", passages)])
    [ours] = Qwen3Reranker(folder, dtype="float32").score_batch([Pairs("bread", passages)])
    # The template of tiny checkpoints and the card agree to the last newline.
    np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-4)


def test_one_logit_becomes_a_probability_by_one_sigmoid(tmp_path: Path) -> None:
    folder = make_bert(tmp_path / "bert")
    model = CrossEncoderReranker(str(folder))
    [scored] = model.score_batch([Pairs("a", ["b", "c", "bread fish", "fish"])])
    assert ((scored.scores > 0) & (scored.scores < 1)).all()
    assert scored.scores.max() < 0.5 or scored.scores.min() < 0.5 or np.ptp(scored.scores) > 0.2


def test_a_pair_beyond_the_limit_is_said_to_be_cut(tmp_path: Path) -> None:
    model = CrossEncoderReranker(str(make_bert(tmp_path / "bert")))
    [scored] = model.score_batch([Pairs("a b c", ["bread", "fish " * 100, "fish " * 10])])
    assert scored.truncated.tolist() == [False, True, False]


def test_an_instruction_that_a_cross_encoder_cannot_take_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = CrossEncoderReranker(str(make_bert(tmp_path / "bert")))
    with caplog.at_level(logging.WARNING, "pipelines.models.sentence_transformer"):
        model.score_batch([Pairs("a", ["b"], "x"), Pairs("a", ["b"], "x")])
    assert len(caplog.records) == 1


@pytest.mark.parametrize("text", ["\ud800", "a\ud800b"], ids=ascii)
def test_lone_surrogates_do_not_stop_a_batch(embedder_folder: Path, text: str) -> None:
    vectors = SentenceTransformerEmbedder(str(embedder_folder)).embed_passages([text, "bread"])
    assert np.isfinite(vectors).all()


def test_a_classifier_of_several_labels_is_no_reranker(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="3 labels"):
        CrossEncoderReranker(str(make_bert(tmp_path / "nli", labels=3)))


def test_a_converted_qwen3_reranker_loads_too(tmp_path: Path) -> None:
    model = CrossEncoderReranker(str(make_classifier(tmp_path / "c")))
    assert np.isfinite(model.score_batch([Pairs("a", ["b", "c"])])[0].scores).all()


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="safetensors"):
        CrossEncoderReranker(str(make_bert(tmp_path / "bert", safe=False)))


@pytest.mark.parametrize("kind", [SentenceTransformerEmbedder, CrossEncoderReranker])
def test_a_name_that_leads_nowhere_gets_a_sentence(
    kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnfit, match="check the folder or the name"):
        kind(str(tmp_path / "nothing"))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def missing(name: str, *args: object, **kwargs: object) -> object:
        if name == "sentence_transformers":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return load(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigurationError, match=r"twofold\[sentence-transformers\]"):
        SentenceTransformerEmbedder("any")
