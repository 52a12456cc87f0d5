"""Which of a process's embedders a collection's vectors are of."""

import numpy as np
import pytest

from pipelines.dimensions import require_dimensions, shortened
from pipelines.embedders import Embedders, require_distinct
from pipelines.models.local import LocalFacts
from pipelines.ports import Collection
from tests.support.lent import KnownEmbedder
from tests.support.models import WordEmbedder
from twofold.errors import ConfigurationError, EmbedderMismatch, InvalidRequest


class Other(WordEmbedder):
    name = "other-64"


class Unknown(WordEmbedder):
    """In workers of which none has ever come up."""

    @property
    def name(self):  # type: ignore[override]
        from twofold.errors import Unavailable

        raise Unavailable(what="The embedder", reason="no worker", seconds=1)


def test_a_collection_finds_its_model_and_a_request_the_one_that_it_names():
    default, other = WordEmbedder(), Other()
    embedders = Embedders(default, other)
    assert embedders.of(Collection("notes", "other-64", 64)) is other
    assert embedders.named("other-64") is other
    assert embedders.named(None) is default
    assert embedders.names == ["words-64", "other-64"]


def test_a_missing_model_is_refused_with_both_names_and_what_to_do():
    with pytest.raises(EmbedderMismatch) as refused:
        Embedders(WordEmbedder(), Other()).of(Collection("notes", "gone", 8))
    for part in ("'notes'", "'gone' (8", "'words-64', 'other-64'", "TWOFOLD_OTHER_EMBEDDERS"):
        assert part in refused.value.message
    with pytest.raises(EmbedderMismatch):
        Embedders(WordEmbedder()).of(Collection("notes", "words-64", 65))
    with pytest.raises(InvalidRequest, match="words-64"):
        Embedders(WordEmbedder()).named("gone")


def test_a_model_that_nobody_knows_yet_may_be_the_one():
    from twofold.errors import Unavailable

    embedders = Embedders(WordEmbedder(), Unknown())
    assert embedders.names == ["words-64"]
    assert embedders.of(Collection("notes", "words-64", 64)) is embedders.default
    with pytest.raises(Unavailable):
        embedders.of(Collection("notes", "gone", 8))


def test_two_models_of_one_name_are_refused_at_the_start():
    with pytest.raises(ConfigurationError, match="words-64"):
        require_distinct([WordEmbedder(), WordEmbedder()])


def test_shorter_vectors_are_beginnings_of_unit_length_where_the_model_allows_it():
    facts = LocalFacts(KnownEmbedder())
    assert require_dimensions(facts, None) == 64
    assert require_dimensions(facts, 16) == 16
    for wanted in (15, 65):
        with pytest.raises(InvalidRequest, match="from 16 to 64"):
            require_dimensions(facts, wanted)
    whole = KnownEmbedder().embed_passages(["rye bread", "oats"])
    short = shortened(whole, 16)
    assert short.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(short[0] * np.linalg.norm(whole[0, :16]), whole[0, :16], rtol=1e-5)
    assert shortened(whole, 64) is whole
