"""The measures by hand arithmetic, so that a change of library or of a default fails by name."""

import math

import pytest

from twofold.evaluation.measures import MEASURES, measure

RELEVANT = {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}, "q3": {"d": 1}}
RUN = {
    "q1": ["x", "b", "a"],
    "q2": [*(f"y{n}" for n in range(10)), "c"],
}


def test_graded_relevance_is_its_own_gain():
    """(2 / log2(3) + 1 / log2(4)) / (2 / log2(2) + 1 / log2(3))"""
    ideal = 2 + 1 / math.log2(3)
    expected = (2 / math.log2(3) + 1 / math.log2(4)) / ideal
    assert measure(RELEVANT, RUN)["nDCG@10"]["q1"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "q1", "q2"),
    [
        ("MRR@10", 0.5, 0.0),
        ("recall@10", 1.0, 0.0),
        ("recall@100", 1.0, 1.0),
        ("success@1", 0.0, 0.0),
        ("success@5", 1.0, 0.0),
        ("nDCG@10", pytest.approx(0.6696718), 0.0),
    ],
)
def test_what_lies_behind_the_cut_counts_nothing(name, q1, q2):
    values = measure(RELEVANT, RUN)[name]
    assert (values["q1"], values["q2"]) == (q1, q2)


def test_a_query_without_results_counts_as_0_and_not_as_absent():
    values = measure(RELEVANT, RUN)
    assert set(values) == set(MEASURES)
    assert all(found["q3"] == 0.0 for found in values.values())
