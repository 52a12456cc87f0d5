"""Slices of many requests become one call of the model."""

import numpy as np
import pytest

from pipelines.ports import Pairs, PairScores
from pipelines.rerank.grouping import score_together
from tests.support.reranking import OverlapModel


def test_equal_queries_share_a_group_and_each_slice_gets_its_own_scores() -> None:
    model = OverlapModel()
    slices = [
        Pairs("red", ["red", "blue"]),
        Pairs("blue", ["blue"]),
        Pairs("red", ["none", "x" * 1_001, "red"]),
        Pairs("red", ["red"], "other instruction"),
    ]
    results = score_together(model, slices)
    assert model.batches == [
        [
            Pairs("red", ["red", "blue", "none", "x" * 1_001, "red"]),
            Pairs("blue", ["blue"]),
            Pairs("red", ["red"], "other instruction"),
        ]
    ]
    assert [result.scores.tolist() for result in results] == [[1, 0], [1], [0, 0, 1], [1]]
    assert results[2].truncated.tolist() == [False, True, False]


def test_a_missing_score_is_an_error() -> None:
    class Forgetful(OverlapModel):
        def _score(self, pairs: Pairs) -> PairScores:
            return PairScores(np.zeros(1, np.float32), np.zeros(1, np.bool_))

    with pytest.raises(ValueError, match=r"\[1\] scores for \[2\] passages"):
        score_together(Forgetful(), [Pairs("red", ["red", "blue"])])
