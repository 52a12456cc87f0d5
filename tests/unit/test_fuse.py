"""The fusions, by hand arithmetic and by what must hold for any candidates."""

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fuse import (
    Fused,
    Recalled,
    by_distribution,
    contrast,
    fused_scores,
    min_max,
    rank_fused,
    rank_recall,
    recall_scores,
    reciprocal_ranks,
)
from pipelines.ports import Candidate, Chunk, RerankOutcome, RerankProfile
from twofold.schema import Fusion, FusionMethod, RecallFusion

NAN = math.nan
METHODS = get_args(FusionMethod)
RELATIVE = RerankProfile(depth=20, weight=0.5, calibrated=False)
CALIBRATED = RerankProfile(depth=20, weight=0.5, calibrated=True)


def candidate(name: str, dense: float | None = None, sparse: float | None = None) -> Candidate:
    chunk = Chunk(name, "d", 1, 0, name, 0, len(name), sha256=name, name="d")
    return Candidate(chunk, dense, sparse)


def outcome(*scores: float, truncated: Sequence[int] = ()) -> RerankOutcome:
    cut = np.isin(np.arange(len(scores)), truncated)
    return RerankOutcome("applied", np.array(scores, dtype=np.float32), cut)


def recalled(*scores: float) -> list[Recalled]:
    """A recall order of candidates named a, b, c ..."""
    return [
        Recalled(candidate(chr(ord("a") + index)), score, index + 1)
        for index, score in enumerate(scores)
    ]


def order(ranked: Sequence[Recalled] | Sequence[Fused]) -> str:
    """The names of the candidates, in one word."""
    chunks = (each.recalled if isinstance(each, Fused) else each for each in ranked)
    return "".join(each.candidate.chunk.id for each in chunks)


def fuse(
    first: Sequence[Recalled],
    second: RerankOutcome,
    profile: RerankProfile = CALIBRATED,
    **fusion: object,
) -> list[Fused]:
    return rank_fused(first, second, profile=profile, fusion=Fusion.model_validate(fusion))


# --- The first stage ------------------------------------------------------------------------


def test_both_lists_are_stretched_over_0_to_1_and_weighed_by_their_contrast():
    # dense 0.4 0.6 0.8 -> 0 0.5 1, contrast 1 - 0.6 / 0.8 = 0.25
    # sparse 2 8 11 -> 0 2/3 1, contrast 1 - 7 / 11 = 4 / 11
    a, b = 0.25**2, (4 / 11) ** 4.5
    scores = recall_scores([0.8, 0.6, 0.4], [2.0, 11.0, 8.0])
    np.testing.assert_allclose(scores, np.array([a, 0.5 * a + b, 2 / 3 * b]) / (a + b))


def test_what_is_missing_from_a_list_counts_as_its_lowest():
    a, b = 0.25**2, 0.25**4.5
    scores = recall_scores([0.8, 0.4, NAN], [NAN, 10.0, 5.0])
    np.testing.assert_allclose(scores, [a / (a + b), b / (a + b), 0])


def test_the_one_chunk_that_has_the_word_gains_by_it():
    # The BM25 list is shorter than the dense one: it is complete, and the rest has BM25 0.
    scores = recall_scores([0.8, 0.6, 0.4], [NAN, 3.0, NAN])
    a, b = 0.25**2, (2 / 3) ** 4.5  # 1 - 1 / 3
    np.testing.assert_allclose(scores, [a / (a + b), (0.5 * a + b) / (a + b), 0])


def test_a_weak_match_in_a_complete_list_keeps_its_part():
    scores = recall_scores([0.8, 0.6, 0.4], [8.0, 2.0, NAN])
    a, b = 0.25**2, (7 / 12) ** 4.5  # 1 - (10 / 3) / 8
    np.testing.assert_allclose(scores, [1, (0.5 * a + 0.25 * b) / (a + b), 0])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.6, 0.3], 1 / 3),
        ([0.5, 0.5], 0.0),
        ([0.4, NAN, -0.4], 1.0),
        ([-0.1, -0.3], 0.0),
        ([7.0], 0.0),
    ],
)
def test_contrast_is_how_far_the_best_stands_out(scores, expected):
    assert contrast(scores) == pytest.approx(expected)


def test_a_list_that_cannot_tell_its_candidates_apart_has_little_say():
    blurred = recall_scores([0.82, 0.81, 0.80], [2.0, 5.0, 20.0])
    assert list(np.argsort(-blurred)) == [2, 1, 0]
    common = recall_scores([0.8, 0.5, 0.2], [5.0, 5.1, 5.2])
    assert list(np.argsort(-common)) == [0, 1, 2]


def test_a_list_that_was_not_asked_for_counts_nothing():
    np.testing.assert_allclose(recall_scores([0.9, 0.5, 0.8], [NAN] * 3), [1, 0, 0.75])
    np.testing.assert_allclose(recall_scores([NAN] * 3, [1, 5, 2]), [0, 1, 0.25])


def test_recall_by_reciprocal_ranks_is_1_for_what_both_lists_have_first():
    scores = recall_scores([0.9, 0.5, NAN], [7.0, NAN, 3.0], "rrf")
    np.testing.assert_allclose(scores, [1, 61 / 62 / 2, 61 / 62 / 2])


def test_recall_by_distribution_is_the_mean_of_both_normalised_lists():
    # 0.2 0.4 0.6: mean 0.4, deviation 0.2, so (s - 0.4) / 1.2 + 0.5; 4 and 2: mean 3, sqrt(2)
    low, high = 0.5 - 1 / 6, 0.5 + 1 / 6
    step = 1 / (6 * math.sqrt(2))
    scores = recall_scores([0.2, 0.4, 0.6], [4.0, 2.0, NAN], "dbsf")
    np.testing.assert_allclose(scores, [(low + 0.5 + step) / 2, (0.5 + 0.5 - step) / 2, high / 2])


@pytest.mark.parametrize("fusion", ["weighted", "rrf", "dbsf"])
def test_one_list_alone_keeps_its_order_under_every_fusion(fusion):
    scores = recall_scores([0.9, 0.5, 0.8], [NAN] * 3, fusion)
    assert list(np.argsort(-scores)) == [0, 2, 1]
    np.testing.assert_array_equal(recall_scores([NAN], [NAN], fusion), [0.0])


def test_the_recall_order_has_scores_and_ranks():
    ranked = rank_recall([candidate("a", 0.1, 1.0), candidate("b", 0.9, 5.0)])
    assert order(ranked) == "ba"
    assert [(each.score, each.rank) for each in ranked] == [(1.0, 1), (0.0, 2)]


def test_no_candidates_are_no_ranking():
    assert rank_recall([]) == []
    assert fuse([], outcome()) == []


def test_equal_candidates_are_ordered_by_chunk_id():
    same = [candidate(name, 0.5, 2.0) for name in "cab"]
    assert order(rank_recall(same)) == "abc"


# --- Both stages ----------------------------------------------------------------------------


def test_calibrated_scores_are_weighed_as_they_are():
    ranked = fuse(recalled(1.0, 0.8), outcome(0.2, 0.6), weight=0.25)
    # a: 0.25 * 0.2 + 0.75 * 1 = 0.8; b: 0.25 * 0.6 + 0.75 * 0.8 = 0.75
    assert [each.score for each in ranked] == pytest.approx([0.8, 0.75], abs=1e-6)
    ranked = fuse(recalled(1.0, 0.8), outcome(0.2, 0.6), weight=0.75)
    # a: 0.75 * 0.2 + 0.25 * 1 = 0.4; b: 0.75 * 0.6 + 0.25 * 0.8 = 0.65
    assert order(ranked) == "ba"
    assert [each.score for each in ranked] == pytest.approx([0.65, 0.4], abs=1e-6)


def test_other_scores_are_stretched_over_what_was_scored():
    ranked = fuse(recalled(1.0, 0.8, 0.6), outcome(-3.0, 1.0, 0.0), RELATIVE)
    # -3 1 0 -> 0 1 0.75; a: 0.5, b: 0.5 + 0.4, c: 0.375 + 0.3
    assert order(ranked) == "bca"
    assert [each.score for each in ranked] == pytest.approx([0.9, 0.675, 0.5])


def test_the_profile_says_the_weight_where_the_request_does_not():
    sure = RerankProfile(depth=20, weight=1.0, calibrated=True)
    assert order(fuse(recalled(1.0, 0.0), outcome(0.4, 0.5), sure)) == "ba"
    assert order(fuse(recalled(1.0, 0.0), outcome(0.4, 0.5), sure, weight=0.0)) == "ab"


def test_method_rerank_lets_the_second_stage_decide_alone():
    ranked = fuse(recalled(1.0, 0.9, 0.8), outcome(0.1, 0.3), method="rerank", weight=0.1)
    assert order(ranked) == "bac"


def test_method_rrf_sums_the_reciprocal_ranks():
    ranked = fuse(recalled(1.0, 0.9, 0.8), outcome(0.1, 0.9, 0.5), method="rrf")
    # ranks: a 1 and 3, b 2 and 1, c 3 and 2
    expected = [1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 63 + 1 / 62]
    assert order(ranked) == "bac"
    assert [each.score for each in ranked] == pytest.approx(expected, abs=1e-6)


def test_method_dbsf_takes_the_mean_of_both_normalised_scores():
    ranked = fuse(recalled(1.0, 0.8, 0.6), outcome(0.0, 0.5, NAN), method="dbsf")
    # recall: mean 0.8, deviation 0.2 -> 2/3 1/2 1/3; rerank: mean 0.25, deviation sqrt(1/8)
    step = 0.25 / (6 * math.sqrt(1 / 8))
    assert order(ranked) == "bac"
    expected = [(0.5 + 0.5 + step) / 2, (2 / 3 + 0.5 - step) / 2, 1 / 6]
    assert [each.score for each in ranked] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_what_was_not_scored_follows_in_recall_order(method):
    ranked = fuse(recalled(1.0, 0.9, 0.8, 0.7), outcome(0.0, 0.01, NAN), method=method)
    assert order(ranked)[2:] == "cd"
    assert [each.rerank is None for each in ranked] == [False, False, True, True]
    scores = [each.score for each in ranked]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_second_stage_the_recall_order_and_its_scores_stay(method):
    first = recalled(1.0, 0.9, 0.8)
    ranked = fuse(first, outcome(NAN, NAN), method=method)
    assert [(each.recalled, each.score, each.rerank) for each in ranked] == [
        (each, each.score, None) for each in first
    ]


def test_the_second_stages_own_score_and_its_truncation_go_along():
    ranked = fuse(recalled(1.0, 0.0), outcome(0.25, 0.75, truncated=[1]), weight=1.0)
    assert [(each.rerank, each.truncated) for each in ranked] == [(0.75, True), (0.25, False)]


def test_equally_scored_candidates_are_ordered_by_chunk_id():
    same = [Recalled(candidate(name), 0.5, rank) for rank, name in enumerate("cab", 1)]
    assert order(fuse(same, outcome(0.5, 0.5, 0.5))) == "abc"


# --- The parts ------------------------------------------------------------------------------


def test_min_max_leaves_out_what_is_missing():
    np.testing.assert_array_equal(min_max([2.0, NAN, 4.0, 3.0]), [0.0, NAN, 1.0, 0.5])
    np.testing.assert_array_equal(min_max([3.0, NAN, 3.0]), [1.0, NAN, 1.0])


def test_by_distribution_puts_the_mean_in_the_middle_and_cuts_outliers():
    np.testing.assert_allclose(by_distribution([1.0, NAN, 3.0, 2.0]), [1 / 3, NAN, 2 / 3, 0.5])
    np.testing.assert_array_equal(by_distribution([3.0, NAN, 3.0]), [0.5, NAN, 0.5])
    assert by_distribution([0.0] * 50 + [1.0])[-1] == 1.0


def test_reciprocal_ranks_are_those_of_the_paper():
    np.testing.assert_allclose(reciprocal_ranks([0.1, 0.9, NAN]), [1 / 62, 1 / 61, 0])
    np.testing.assert_allclose(reciprocal_ranks([0.9, 0.9, 0.1]), [1 / 61, 1 / 61, 1 / 63])


# --- For any candidates ---------------------------------------------------------------------

unit = st.floats(0, 1, width=32)
maybe = st.none() | st.floats(-10, 50, width=32)


@st.composite
def found(draw: st.DrawFn) -> list[Candidate]:
    """Candidates as a store returns them: each in one list at least."""
    count = draw(st.integers(0, 12))
    rows = draw(st.lists(st.tuples(maybe, maybe), min_size=count, max_size=count))
    return [
        candidate(f"{index:02}", dense if sparse is not None or dense is not None else 0.5, sparse)
        for index, (dense, sparse) in enumerate(rows)
    ]


@st.composite
def scored(draw: st.DrawFn, first: Sequence[Recalled]) -> RerankOutcome:
    depth = draw(st.integers(0, len(first)))
    return outcome(*draw(st.lists(unit | st.just(NAN), min_size=depth, max_size=depth)))


@given(found(), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_the_candidates(candidates, random):
    shuffled = candidates.copy()
    random.shuffle(shuffled)
    assert rank_recall(shuffled) == rank_recall(candidates)


@given(found(), st.sampled_from(get_args(RecallFusion)))
def test_recall_scores_fall_from_1_at_most_to_0_at_least(candidates, fusion):
    scores = [each.score for each in rank_recall(candidates, fusion)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@given(
    found(),
    st.data(),
    st.sampled_from(METHODS),
    st.none() | unit,
    st.sampled_from([RELATIVE, CALIBRATED]),
)
def test_fusion_keeps_every_candidate_once_and_scores_fall(
    candidates, data, method, weight, profile
):
    first = rank_recall(candidates)
    second = data.draw(scored(first))
    ranked = fuse(first, second, profile, method=method, weight=weight)
    assert sorted(order(ranked)) == sorted(order(first))
    scores = [each.score for each in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    tail = [each.recalled.rank for each in ranked if each.rerank is None]
    assert tail == sorted(tail), "what was not scored keeps its order"
    assert all(each.rerank is not None for each in ranked[: second.scored]), "and comes last"


@given(st.lists(unit, min_size=1, max_size=10), unit)
def test_a_better_second_stage_score_never_lowers_the_fused_one(recall, weight):
    fusion = Fusion(weight=weight)
    low = fused_scores(recall, [0.2] * len(recall), profile=CALIBRATED, fusion=fusion)
    high = fused_scores(recall, [0.7] * len(recall), profile=CALIBRATED, fusion=fusion)
    assert (high >= low).all()
