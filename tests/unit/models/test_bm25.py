"""BM25 as sparse vectors: the formula, the stems, and what it refuses."""

import pytest

from pipelines.models.bm25 import Bm25SparseEmbedder
from twofold.errors import ConfigurationError


def test_weights_are_the_term_frequency_part_of_bm25():
    # k1 = 1.2, b = 0.75, average length 256; "the" is a stop word, so the length is 3.
    [vector] = Bm25SparseEmbedder().embed_passages(["The yews yew bows"])
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / 256)
    expected = sorted([2 * 2.2 / (2 + norm), 1 * 2.2 / (1 + norm)])
    assert sorted(vector.values) == pytest.approx(expected, rel=1e-5)


def test_pinned_ids_name_a_change_of_stemmer_or_hash():
    [vector] = Bm25SparseEmbedder().embed_passages(["The yews yew bows"])
    assert sorted(vector.indices) == [707028526, 867856000]


def test_query_and_passage_meet_at_the_stem():
    model = Bm25SparseEmbedder()
    query = model.embed_query("drying of bows")
    [passage] = model.embed_passages(["bow, dried"])
    assert set(query.indices) == set(passage.indices)
    assert query.values == [1.0, 1.0]


def test_identifiers_are_split_at_underscores():
    model = Bm25SparseEmbedder()
    [passage] = model.embed_passages(["def get_user_name():"])
    assert set(model.embed_query("user name").indices) <= set(passage.indices)


def test_another_language_has_its_own_stems_and_stop_words():
    german = Bm25SparseEmbedder("german")
    [passage] = german.embed_passages(["Die Häuser"])
    assert passage.indices == german.embed_query("des Hauses").indices


def test_text_without_words_is_an_empty_vector():
    model = Bm25SparseEmbedder()
    assert model.embed_query("") == ([], [])
    assert model.embed_passages(["", "the of", "?!"]) == [([], [])] * 3


def test_a_language_without_stemmer_is_refused_with_advice():
    with pytest.raises(ConfigurationError, match=r"'klingon'.*use one like 'english'"):
        Bm25SparseEmbedder("klingon")
