import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from pipelines.tokenizing import EstimatedTokens, ExactTokens, ModelTokens, tokens_of_model
from tests.support.models import WordEmbedder

WORDS = ["the", "oven", "has", "250", "degrees", "when", "bread", "goes", "in"]


def exact() -> ExactTokens:
    """One token a word, with a special one on either side."""
    tokenizer = Tokenizer(WordLevel({"[X]": 0, **{w: n for n, w in enumerate(WORDS, 1)}}, "[X]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[X] $A [X]", special_tokens=[("[X]", 0)])
    return ExactTokens(tokenizer.to_str(), "words")


def test_tokens_are_counted_without_the_special_ones():
    assert exact().count(["the oven has 250 degrees", "", "bread"]) == [5, 0, 1]


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.integers(1, 12))
def test_a_text_that_is_cut_has_as_many_tokens_as_it_may_and_keeps_that_side(words, limit):
    tokens, text = exact(), " ".join(words)
    left, right = tokens.cut(text, limit, "left"), tokens.cut(text, limit)
    assert text.startswith(right)
    assert text.endswith(left)
    assert tokens.count([left, right]) == [min(limit, len(words))] * 2


def test_a_text_that_fits_stays_as_it_is():
    assert exact().cut("  the oven ", 2) == "  the oven "


def test_offsets_of_tokens_count_code_points():
    first, word, other, last = exact().tokenize(["🥖 bread"])[0]
    assert (first.special, last.special) == (True, True)
    assert (word.start, word.end) == (0, 1)
    assert (other.text, other.start, other.end) == ("bread", 2, 7)
    assert [each.text for each in exact().tokenize(["bread"], special=False)[0]] == ["bread"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_where_no_tokenizer_is_known_four_characters_are_a_token(side):
    tokens = EstimatedTokens()
    assert tokens.count(["", "abcd", "abcde"]) == [0, 1, 2]
    assert len(tokens.cut("abcdefghij", 2, side)) == 8
    assert "estimate" in tokens.counted_by


def test_a_model_tells_whether_its_tokens_can_be_counted():
    class Known(WordEmbedder):
        tokenizer_json = "{}"

    found: list[ModelTokens] = [tokens_of_model(each) for each in (Known(), WordEmbedder(), None)]
    assert [each.exact for each in found] == [True, False, False]
    assert found[0].counted_by == "the tokenizer of words-64"
