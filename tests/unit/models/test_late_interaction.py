"""MaxSim over MiniLM's token states: its numbers, its weights, and what it remembers."""

import numpy as np
import pytest
import torch

from pipelines.models import late_interaction
from pipelines.models.late_interaction import (
    LateInteractionReranker,
    Query,
    pair_scores,
    piece_weights,
    shares,
)
from pipelines.models.minilm import MiniLm, MiniLmEmbedder, installed_folder
from pipelines.models.state_cache import States
from pipelines.ports import Pairs

QUERY = "how long does a bow dry?"
PASSAGES = ["Yew bows are cut in winter and dried for two years.", "Bread is baked at dawn."]


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm(installed_folder(), torch.float32)


@pytest.fixture
def reranker(model: MiniLm) -> LateInteractionReranker:
    return LateInteractionReranker(model)


def counting(model: MiniLm, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each call of the model encodes from now on."""
    counts: list[int] = []
    encode = model.token_states

    def counted(texts):
        counts.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(model, "token_states", counted)
    return counts


def test_pinned_scores_name_a_change_of_tokenizer_weights_or_dtype(reranker):
    np.testing.assert_allclose(reranker.score(QUERY, PASSAGES), [0.66607, 0.05735], atol=2e-3)


def test_the_score_is_the_weighted_mean_of_the_best_cosines():
    query = Query(np.eye(2, dtype=np.float32), np.array([0.75, 0.25], dtype=np.float32))
    passage = States.pack(np.array([[3.0, 4.0], [-1.0, 0.0]], dtype=np.float32), truncated=True)
    [score], [truncated] = pair_scores(query, [passage])
    assert score == pytest.approx(0.75 * 0.6 + 0.25 * 0.8, abs=5e-3)
    assert truncated


def test_what_is_unlike_everything_scores_0_and_not_less():
    query = Query(np.array([[1.0, 0.0]], dtype=np.float32), np.ones(1, dtype=np.float32))
    opposite = States.pack(np.array([[-1.0, 0.0]], dtype=np.float32), truncated=False)
    assert pair_scores(query, [opposite]).scores.tolist() == [0.0]


def test_rare_pieces_weigh_more_and_marks_nothing(model):
    weights = piece_weights(model.vocabulary)
    pieces = {piece: float(weights[index]) for piece, index in model.vocabulary.items()}
    assert [pieces[each] for each in ("[CLS]", "[SEP]", "?", "...", "##!", "the")] == [0] * 6
    # "how" has rank 133, "bow" 4817: log(1 + rank / 100)
    assert pieces["how"] == pytest.approx(0.8459, abs=1e-4)
    assert pieces["bow"] == pytest.approx(3.8951, abs=1e-4)
    assert pieces["7"] == pytest.approx(np.log(2))


def test_shares_are_equal_where_nothing_counts():
    np.testing.assert_array_equal(shares(np.zeros(4, dtype=np.float32)), [0.25] * 4)
    np.testing.assert_array_equal(shares(np.array([1, 3], dtype=np.float32)), [0.25, 0.75])


def test_a_query_and_a_passage_of_marks_alone_are_scored(reranker):
    assert reranker.score("??", ["??", "of the"])[0] > 0.9


def test_a_passage_that_is_too_long_is_scored_by_its_beginning_and_says_so(reranker):
    [scored] = reranker.score_batch([Pairs(QUERY, ["bow " * 400, "bow"])])
    assert scored.truncated.tolist() == [True, False]


def test_a_passage_and_a_query_are_encoded_once(reranker, model, monkeypatch):
    counts = counting(model, monkeypatch)
    first = reranker.score(QUERY, [*PASSAGES, PASSAGES[0]])
    again = reranker.score(QUERY, PASSAGES)
    assert counts == [1, 2, 0, 0], "the query, the two passages, then nothing"
    np.testing.assert_array_equal(first[:2], again)


def test_a_passage_that_was_embedded_is_not_encoded_again(reranker, model, monkeypatch):
    alone = reranker.score(QUERY, PASSAGES)
    embedder, informed = MiniLmEmbedder(model), LateInteractionReranker(model)
    embedder.on_passage = informed.remember
    embedder.embed_passages([*PASSAGES, "Another one."])
    counts = counting(model, monkeypatch)
    np.testing.assert_allclose(informed.score(QUERY, PASSAGES), alone, atol=1e-3)
    assert counts == [1, 0]


def test_a_query_that_was_embedded_is_not_encoded_again(reranker, model, monkeypatch):
    alone = reranker.score(QUERY, PASSAGES)
    embedder, informed = MiniLmEmbedder(model), LateInteractionReranker(model)
    embedder.on_query = informed.remember_query
    embedder.embed_queries([QUERY])
    counts = counting(model, monkeypatch)
    np.testing.assert_array_equal(informed.score(QUERY, PASSAGES), alone)
    assert counts == [0, 2]


def test_the_queries_that_are_kept_have_a_bound(model, monkeypatch):
    monkeypatch.setattr(late_interaction, "QUERY_BYTES", 50_000)
    reranker = LateInteractionReranker(model)
    for number in range(20):
        reranker.score(f"question number {number}", PASSAGES)
    assert 0 < reranker._queries.currsize <= 50_000


def test_without_memory_it_gives_the_same_scores(model, reranker):
    forgetful = LateInteractionReranker(model, cache_bytes=0)
    expected = reranker.score(QUERY, PASSAGES)
    for _ in range(2):
        np.testing.assert_allclose(forgetful.score(QUERY, PASSAGES), expected, atol=1e-6)
