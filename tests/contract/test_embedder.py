"""What every `Embedder` holds, whatever computes its vectors."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from tokenizers import Tokenizer

from pipelines.models.apart import models_apart
from pipelines.models.minilm import MiniLm, MiniLmEmbedder
from pipelines.models.qwen3 import Qwen3Embedder
from pipelines.models.remote import remote_embedder
from pipelines.models.sentence_transformer import SentenceTransformerEmbedder
from pipelines.ports import Closeable, Embedder
from pipelines.settings import Settings
from tests.support.checkpoints import make_embedder
from tests.support.model_servers import embed_reply, healthy_vectors

TEXTS = [
    "Beijing is the capital of China.",
    "Bread is baked at dawn.",
    "",
    "中国的首都是北京。",
    "عاصمة الصين هي بكين",
    "🎯🚀 naïve café",
    "gravity moves planets around the sun " * 30,
]


def _qwen3(folder: Path) -> Embedder:
    return Qwen3Embedder(make_embedder(folder / "qwen3"), dtype="float32", device="cpu")


def _qwen3_short(folder: Path) -> Embedder:
    return Qwen3Embedder(make_embedder(folder / "short"), 32, dtype="float32", device="cpu")


def _sentence_transformer(folder: Path) -> Embedder:
    return SentenceTransformerEmbedder(str(make_embedder(folder / "library")))


def _minilm(_: Path) -> Embedder:
    return MiniLmEmbedder(MiniLm.load())


def _apart(_: Path) -> Embedder:
    return models_apart(Settings(embedder="minilm", reranker="none")).embedder


def _remote(setting: str, dialect: str) -> Callable[[Path], Embedder]:
    def make(_: Path) -> Embedder:
        transport = httpx.MockTransport(
            lambda request: embed_reply(request, dialect, healthy_vectors)
        )
        return remote_embedder(setting, transport=transport)

    return make


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(_qwen3, id="qwen3"),
        pytest.param(_qwen3_short, id="qwen3-32"),
        pytest.param(_sentence_transformer, id="sentence-transformers"),
        pytest.param(_minilm, id="minilm"),
        pytest.param(_apart, id="apart"),
        pytest.param(_remote("openai+http://m?model=m&batch=3", "openai"), id="openai"),
        pytest.param(_remote("openai+http://m?model=m&dimensions=16", "openai"), id="openai-16"),
        pytest.param(_remote("tei+http://m?model=m&batch=3", "tei"), id="tei"),
        pytest.param(_remote("dmr+http://m?model=m&batch=3", "dmr"), id="dmr"),
    ],
)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Embedder]:
    make: Callable[[Path], Embedder] = request.param
    made = make(tmp_path_factory.mktemp("models"))
    yield made
    if isinstance(made, Closeable):
        made.close()


@pytest.fixture(params=["embed_queries", "embed_passages"])
def embed(request: pytest.FixtureRequest, model: Embedder) -> Callable[..., np.ndarray]:
    verb: Callable[..., np.ndarray] = getattr(model, request.param)
    return verb


def test_a_unit_vector_comes_back_for_every_text(
    model: Embedder, embed: Callable[..., np.ndarray]
) -> None:
    vectors = embed(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((len(TEXTS), model.dimensions), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_vectors_are_in_the_order_of_the_texts(embed: Callable[..., np.ndarray]) -> None:
    vectors = embed(TEXTS)
    np.testing.assert_allclose(vectors, embed(TEXTS[::-1])[::-1], atol=1e-5)
    assert np.linalg.norm(vectors[0] - vectors[1]) > 1e-3


def test_a_vector_does_not_depend_on_what_else_is_in_the_batch(
    embed: Callable[..., np.ndarray],
) -> None:
    alone = np.concatenate([embed([text]) for text in TEXTS])
    np.testing.assert_allclose(embed(TEXTS), alone, atol=1e-5)


def test_nothing_in_is_nothing_out(model: Embedder, embed: Callable[..., np.ndarray]) -> None:
    assert embed([]).shape == (0, model.dimensions)


def test_the_same_text_twice_has_the_same_vector(embed: Callable[..., np.ndarray]) -> None:
    np.testing.assert_array_equal(embed(TEXTS), embed(TEXTS))


@pytest.mark.parametrize("text", ["a\x00b", "\u202e\u200b", "e\u0301" * 50, "\n", " "], ids=ascii)
def test_odd_text_is_embedded_like_any_other(embed: Callable[..., np.ndarray], text: str) -> None:
    assert np.isfinite(embed([text, "Beijing"])).all()


def test_it_says_what_chunks_are_measured_by(model: Embedder) -> None:
    assert model.name
    assert model.max_tokens >= 64
    if model.tokenizer_json is not None:
        encoding = Tokenizer.from_str(model.tokenizer_json).encode("word " * 50_000)
        assert len(encoding.ids) >= 50_000, "nothing is cut or padded"
