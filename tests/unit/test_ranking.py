"""From the fused order to the places of an answer."""

import numpy as np
import pytest

from pipelines.fuse import Fused, Recalled
from pipelines.ports import Candidate, Chunk
from pipelines.ranking import Place, arrange, fingerprint, result_of
from twofold.schema import SearchRequest


def fused(
    name: str,
    score: float,
    *,
    recall_rank: int = 1,
    dense: float | None = 0.5,
    sparse: float | None = None,
    rerank: float | None = None,
    vector: list[float] | None = None,
) -> Fused:
    """A passage whose id is its document's name and a number, such as `a1`."""
    chunk = Chunk(name, name[0], 1, 0, f"text {name}", 0, 7, sha256=name, name=f"{name[0]}.txt")
    stored = None if vector is None else np.array(vector, np.float32)
    candidate = Candidate(chunk, dense, sparse, stored)
    return Fused(Recalled(candidate, score, recall_rank), score, rerank)


def asked(**options: object) -> SearchRequest:
    return SearchRequest.model_validate({"query": "q", **options})


def ids(places: tuple[Place, ...]) -> list[str]:
    return [each.chunk_id for each in places]


RANKED = [
    fused("a1", 0.9, recall_rank=2, dense=0.3, sparse=4.0, rerank=0.8),
    fused("b1", 0.8, recall_rank=1, dense=0.7, rerank=0.9),
    fused("a2", 0.7, recall_rank=4, dense=None, sparse=5.0),
    fused("a3", 0.2, recall_rank=3, dense=0.5),
]


def test_places_are_numbered_in_the_fused_order():
    places = arrange(RANKED, asked())
    assert ids(places) == ["a1", "b1", "a2", "a3"]
    assert [each.rank for each in places] == [1, 2, 3, 4]


def test_what_scores_too_low_has_no_place():
    assert ids(arrange(RANKED, asked(min_score=0.7))) == ["a1", "b1", "a2"]


def test_each_place_knows_its_rank_in_every_list():
    first, second, third, _ = (each.explanation for each in arrange(RANKED, asked()))
    assert (first.dense_rank, first.sparse_rank, first.rerank_rank) == (3, 2, 2)
    assert (second.dense_rank, second.sparse_rank, second.rerank_rank) == (1, None, 1)
    assert (third.dense_rank, third.sparse_rank, third.rerank_rank) == (None, 1, None)
    assert [first.moved, second.moved, third.moved] == [1, -1, 1]


def test_a_document_has_one_place_with_its_best_passages():
    places = arrange(RANKED, asked(group_by_document=2))
    assert ids(places) == ["a1", "b1"]
    assert [each.rank for each in places] == [1, 2]
    assert places[0].chunk_ids == ["a1", "a2"], "two at most, the best ones"
    assert ids(places[0].more) == ["a2"]


def test_grouping_by_one_passage_leaves_out_the_rest():
    places = arrange(RANKED, asked(group_by_document=1))
    assert [each.chunk_ids for each in places] == [["a1"], ["b1"]]


def test_diversity_lets_a_repetition_come_later():
    ranked = [
        fused("a1", 1.0, vector=[1, 0]),
        fused("a2", 0.9, vector=[1, 0]),
        fused("b1", 0.4, vector=[0, 1]),
    ]
    assert ids(arrange(ranked, asked(diversity=0.5))) == ["a1", "b1", "a2"]
    assert ids(arrange(ranked, asked(diversity=0.0))) == ["a1", "a2", "b1"]
    spread = arrange(ranked, asked(diversity=0.5))
    assert [each.explanation.fused_rank for each in spread] == [1, 3, 2]


def test_diversity_without_vectors_is_a_fault_and_not_a_silence():
    with pytest.raises(ValueError, match="without their vectors"):
        arrange(RANKED, asked(diversity=0.5))


def test_nothing_found_has_no_places():
    assert arrange([], asked(diversity=0.5, group_by_document=3)) == ()


def test_a_result_shows_its_passage_and_what_is_left_of_the_others():
    chunks = {each.recalled.candidate.chunk.id: each.recalled.candidate.chunk for each in RANKED}
    place = arrange(RANKED, asked(group_by_document=3))[0]
    del chunks["a2"]
    result = result_of(place, chunks, explain=True)
    assert (result.chunk_id, result.text, result.name) == ("a1", "text a1", "a.txt")
    assert [each.chunk_id for each in result.more] == ["a3"]
    assert result.explanation == place.explanation
    assert result_of(place, chunks, explain=False).explanation is None


@pytest.mark.parametrize(
    "same", [{"limit": 3}, {"offset": 3}, {"deadline_ms": 5}, {"highlight": True}, {"pages": True}]
)
def test_how_a_ranking_is_shown_does_not_make_it_another(same):
    assert fingerprint(asked(**same)) == fingerprint(asked())


@pytest.mark.parametrize(
    "other",
    [
        {"query": "p"},
        {"collection": "c"},
        {"filter": {"key": "year", "eq": 1}},
        {"rerank": {"depth": 3}},
        {"min_score": 0.1},
        {"group_by_document": 1},
        {"diversity": 0.1},
        {"fusion": {"method": "rrf"}},
    ],
)
def test_what_changes_the_order_makes_another_ranking(other):
    assert fingerprint(asked(**other)) != fingerprint(asked())
