"""BM25 as sparse vectors: the formula, the words of each script, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.models.bm25 import AVERAGE_TERMS, Bm25SparseEmbedder
from twofold.errors import ConfigurationError

BM25 = Bm25SparseEmbedder()


def terms(text: str) -> set[int]:
    [vector] = BM25.embed_passages([text])
    return set(vector.indices)


def finds(query: str, passage: str) -> bool:
    """Whether the passage has every term of the query, which has some."""
    asked = set(BM25.embed_query(query).indices)
    return bool(asked) and asked <= terms(passage)


def test_weights_are_the_term_frequency_part_of_bm25():
    # k1 = 1.2, b = 0.75; "the" is a stop word, so the length is 3.
    [vector] = BM25.embed_passages(["The yews yew bows"])
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / AVERAGE_TERMS)
    expected = sorted([2 * 2.2 / (2 + norm), 1 * 2.2 / (1 + norm)])
    assert sorted(vector.values) == pytest.approx(expected, rel=1e-5)


def test_pinned_ids_name_a_change_of_stemmer_or_hash():
    [vector] = BM25.embed_passages(["The yews yew bows"])
    assert sorted(vector.indices) == [707028526, 867856000]


def test_query_and_passage_meet_at_the_stem():
    query = BM25.embed_query("drying of bows")
    [passage] = BM25.embed_passages(["bow, dried"])
    assert set(query.indices) == set(passage.indices)
    assert query.values == [1.0, 1.0]


@pytest.mark.parametrize(
    "identifier", ["get_user_name()", "getUserName", "GetUserName", "GET_USER_NAME", "_getUserName"]
)
def test_an_identifier_is_found_by_its_parts_and_by_either_spelling(identifier):
    passage = f"def {identifier}:"
    assert finds("user name", passage)
    assert finds("getUserName", passage)
    assert finds("get_user_name", passage)


def test_a_dotted_path_is_found_by_its_parts():
    assert finds("path join", "return os.path.join(a, b)")


def test_an_abbreviation_within_an_identifier_is_a_part():
    assert finds("http response", "class HTTPResponse2: pass, HTTPResponse")


def test_another_language_has_its_own_stems_and_stop_words():
    german = Bm25SparseEmbedder("german")
    [passage] = german.embed_passages(["Die Häuser"])
    assert passage.indices == german.embed_query("des Hauses").indices


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("学生", "北京大学的学生很多"),
        ("北京大学", "我在北京大学学习"),
        ("茶", "中国的茶叶"),
        ("東京", "東京タワーは高い"),
        ("대학교", "서울대학교에서"),
        ("ภาษาไทย", "ฉันพูดภาษาไทยได้"),
        ("ชา", "ฉันดื่มชาร้อน"),
    ],
)
def test_words_are_found_in_a_text_without_spaces(query, passage):
    assert finds(query, passage)


def test_what_shares_only_characters_is_not_what_shares_words():
    assert terms("大学") & set(BM25.embed_query("大学").indices)
    assert not terms("学大") & set(BM25.embed_query("大学").indices)


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("المدرسة", "مدرسة كبيرة"),
        ("كتاب", "قرأت الكِتَابَ"),
        ("книга", "много книг"),
        ("σπίτι", "τα σπίτια"),
        ("python модели", "обучение модель на Python"),
    ],
)
def test_words_of_another_script_are_stemmed_by_its_language(query, passage):
    assert finds(query, passage)


def test_the_chosen_language_is_that_of_its_own_script_alone():
    arabic = Bm25SparseEmbedder("arabic")
    [passage] = arabic.embed_passages(["running المدرسة"])
    assert set(passage.indices) == terms("runs مدرسة")


@pytest.mark.parametrize(
    ("one", "other"),
    [("ﬁnal", "final"), ("cafe\u0301", "café"), ("Ｔｏｋｙｏ", "tokyo"), ("co\u00adop", "coop")],
)
def test_what_reads_alike_is_alike(one, other):
    assert terms(one) == terms(other) != set()


def test_text_without_words_is_an_empty_vector():
    assert BM25.embed_query("") == ([], [])
    assert BM25.embed_passages(["", "the of", "?!"]) == [([], [])] * 3


@given(st.text(max_size=200))
def test_any_text_is_found_by_itself(text):
    query = BM25.embed_query(text)
    assert set(query.indices) <= terms(text)
    assert set(query.values) <= {1.0}


def test_a_language_without_stemmer_is_refused_with_advice():
    with pytest.raises(ConfigurationError, match=r"'klingon'.*use one like 'english'"):
        Bm25SparseEmbedder("klingon")
