"""Qwen3Embedder against SentenceTransformer on the same folder, with the card's settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from pipelines.models.qwen3 import Qwen3Embedder
from tests.support.checkpoints import make_embedder, make_tokenizer, save_tokenizer
from twofold.errors import ConfigurationError

TEXTS = [
    "Beijing is the capital of China.",
    "",
    "🎯🚀👩‍👩‍👧 naïve café",
    "中国的首都是北京。" * 12,
    "مرحبا بالعالم، عاصمة الصين هي بكين",
    "gravity " * 150,
    "x",
    "Beijing is the capital of China.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedder(tmp_path_factory.mktemp("models") / "Tiny-Embedding")


@pytest.fixture(scope="module")
def peer(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Qwen3Embedder:
    return Qwen3Embedder(folder, dtype="float32", device="cpu")


def _assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_passages_are_what_sentence_transformers_makes(
    embedder: Qwen3Embedder, peer: SentenceTransformer
) -> None:
    _assert_equal(embedder.embed_passages(TEXTS), peer.encode(TEXTS))


def test_queries_carry_the_cards_instruction(
    embedder: Qwen3Embedder, peer: SentenceTransformer
) -> None:
    _assert_equal(embedder.embed_queries(TEXTS), peer.encode(TEXTS, prompt_name="query"))


def test_an_instruction_replaces_the_default(
    embedder: Qwen3Embedder, peer: SentenceTransformer
) -> None:
    found = embedder.embed_queries(TEXTS, instruction="Find the proof")
    _assert_equal(found, peer.encode(TEXTS, prompt="Instruct: Find the proof\nQuery:"))


def test_a_single_text_is_embedded_as_among_others(embedder: Qwen3Embedder) -> None:
    together = embedder.embed_passages(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(embedder.embed_passages([text])[0], vector, atol=1e-5)


def test_no_texts_give_no_vectors(embedder: Qwen3Embedder) -> None:
    assert embedder.embed_passages([]).shape == (0, 64)
    assert embedder.embed_queries([]).shape == (0, 64)


@pytest.mark.parametrize("dimensions", [32, 48, 64])
def test_fewer_dimensions_are_cut_and_then_normalised(folder: Path, dimensions: int) -> None:
    embedder = Qwen3Embedder(folder, dimensions, dtype="float32", device="cpu")
    peer = SentenceTransformer(str(folder), device="cpu", truncate_dim=dimensions)
    expected = peer.encode(TEXTS, normalize_embeddings=True)
    assert embedder.dimensions == dimensions
    _assert_equal(embedder.embed_passages(TEXTS), expected)


@pytest.mark.parametrize("dimensions", [0, 31, 65])
def test_dimensions_that_the_model_does_not_give_are_refused(folder: Path, dimensions: int) -> None:
    with pytest.raises(ConfigurationError, match="from 32 to 64"):
        Qwen3Embedder(folder, dimensions)


def test_a_long_text_loses_its_end_and_keeps_the_end_token(
    folder: Path, peer: SentenceTransformer
) -> None:
    embedder = Qwen3Embedder(folder, dtype="float32", device="cpu", max_tokens=128)
    before, peer.max_seq_length = peer.max_seq_length, 128
    expected = peer.encode(["gravity " * 300])
    peer.max_seq_length = before
    _assert_equal(embedder.embed_passages(["gravity " * 300]), expected)


def test_the_end_token_is_appended_where_the_tokenizer_does_not(
    folder: Path, embedder: Qwen3Embedder
) -> None:
    save_tokenizer(make_tokenizer(ends=False), folder)
    without = Qwen3Embedder(folder, dtype="float32", device="cpu")
    save_tokenizer(make_tokenizer(ends=True), folder)
    np.testing.assert_allclose(
        without.embed_passages(TEXTS), embedder.embed_passages(TEXTS), atol=1e-6
    )


@pytest.mark.parametrize("token_budget", [1, 100, 333])
def test_vectors_do_not_depend_on_how_batches_are_cut(
    folder: Path, embedder: Qwen3Embedder, token_budget: int
) -> None:
    small = Qwen3Embedder(folder, dtype="float32", device="cpu", token_budget=token_budget)
    np.testing.assert_allclose(small.embed_queries(TEXTS), embedder.embed_queries(TEXTS), atol=1e-5)


def test_chunks_can_be_measured_in_the_models_tokens(embedder: Qwen3Embedder) -> None:
    assert embedder.tokenizer_json is not None
    tokenizer = Tokenizer.from_str(embedder.tokenizer_json)
    assert len(tokenizer.encode("gravity " * 9_000, add_special_tokens=False).ids) > 8_192
    settings = json.loads(embedder.tokenizer_json)
    assert settings["truncation"] is None
    assert settings["padding"] is None
    assert embedder.max_tokens == 8_191


def test_it_says_what_it_is(embedder: Qwen3Embedder) -> None:
    assert embedder.name == "Tiny-Embedding"
    assert embedder.dimensions == 64
