from hypothesis import given
from hypothesis import strategies as st

from pipelines.highlight import MOST_SPANS, highlights
from pipelines.models.bm25 import Bm25SparseEmbedder

BM25 = Bm25SparseEmbedder()


def terms(text: str) -> list[int]:
    return BM25.embed_query(text).indices


def lit(query: str, text: str) -> list[str]:
    return [text[start:end] for start, end in highlights(text, terms, terms(query))]


def test_words_of_the_query_are_found_by_their_stem_and_whatever_their_case():
    assert lit("how long must it bake", "Baking takes long; he BAKED it.") == [
        "Baking",
        "long",
        "BAKED",
    ]


def test_stop_words_never_light_up():
    assert lit("what is the crust", "The crust is what it is.") == ["crust"]


def test_neighbouring_words_become_one_stretch():
    assert lit("rye sourdough", "A rye  sourdough, and sourdough") == [
        "rye  sourdough",
        "sourdough",
    ]


def test_offsets_count_code_points():
    text = "𝔞 𝔟 crust"
    assert highlights(text, terms, terms("crust")) == [(4, 9)]


def test_a_query_of_stop_words_alone_lights_nothing():
    assert lit("what is it", "what it is") == []


def test_a_passage_that_repeats_the_word_has_a_limit():
    assert len(highlights("crust, " * 1_000, terms, terms("crust"))) == MOST_SPANS


@given(st.text(max_size=300), st.text(max_size=60))
def test_ranges_are_in_order_disjoint_and_inside(text, query):
    spans = highlights(text, terms, terms(query))
    flat = [bound for span in spans for bound in span]
    assert flat == sorted(flat)
    assert all(0 <= start < end <= len(text) for start, end in spans)


def test_a_part_of_an_identifier_lights_it_up():
    assert lit("user name", "x = getUserName()") == ["getUserName"]


def test_in_a_text_without_spaces_the_words_of_the_query_light_up_alone():
    assert lit("大学", "我在北京大学学习") == ["大学"]
    assert lit("北京大学", "我在北京大学学习") == ["北京大学"]
    assert lit("茶", "喝茶吧") == ["茶"]


def test_marks_of_a_text_without_spaces_belong_to_the_character_before_them():
    assert lit("น้อง", "พี่น้องกัน") == ["น้อง"]
