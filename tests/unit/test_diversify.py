import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.diversify import marginal_relevance

SAME, OTHER = [1.0, 0.0], [0.0, 1.0]


def order(scores, vectors, diversity):
    return marginal_relevance(scores, np.array(vectors, np.float32), diversity)


def test_a_repetition_comes_after_something_new():
    # After a: b has 0.5 * 0.9 - 0.5 * 1 = -0.05, c has 0.5 * 0.4 - 0 = 0.2
    assert order([1.0, 0.9, 0.4], [SAME, SAME, OTHER], 0.5) == [0, 2, 1]


def test_a_little_diversity_does_not_lift_what_is_hardly_relevant():
    # After a: b has 0.9 * 0.9 - 0.1 * 1 = 0.71, c has 0.9 * 0.4 = 0.36
    assert order([1.0, 0.9, 0.4], [SAME, SAME, OTHER], 0.1) == [0, 1, 2]


def test_without_candidates_there_is_no_order():
    assert marginal_relevance([], np.zeros((0, 2), np.float32), 0.5) == []


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_every_candidate_comes_once_and_none_at_all_is_the_order_of_scores(scores, diversity, seed):
    vectors = np.random.default_rng(seed).standard_normal((len(scores), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert sorted(marginal_relevance(scores, vectors, diversity)) == list(range(len(scores)))
    plain = [scores[index] for index in marginal_relevance(scores, vectors, 0.0)]
    assert plain == sorted(scores, reverse=True)
