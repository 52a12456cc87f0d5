"""The fusions, by hand arithmetic and by what must hold for any candidates."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fuse import (
    Fused,
    Recalled,
    fused_scores,
    min_max,
    rank_fused,
    rank_recall,
    recall_scores,
    reciprocal_ranks,
)
from pipelines.ports import Candidate, Chunk, RerankOutcome, RerankProfile
from twofold.schema import Fusion

NAN = math.nan
RELATIVE = RerankProfile(depth=20, weight=0.5, calibrated=False)
CALIBRATED = RerankProfile(depth=20, weight=0.5, calibrated=True)
WEIGHTED = Fusion()


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


def names(ranked: Sequence[Recalled | Fused]) -> str:
    return "".join(
        (each if isinstance(each, Recalled) else each.recalled).candidate.chunk.id
        for each in ranked
    )


# --- The first stage ------------------------------------------------------------------------


def test_both_lists_are_stretched_over_0_to_1_and_weighed():
    # dense: 0.3 -> 0, 0.5 -> 0.5, 0.7 -> 1; sparse: 2 -> 0, 8 -> 0.75, 10 -> 1, times 0.75
    scores = recall_scores([0.7, 0.5, 0.3], [2.0, 10.0, 8.0])
    expected = [1 / 1.75, (0.5 + 0.75) / 1.75, 0.75 * 0.75 / 1.75]
    np.testing.assert_allclose(scores, expected)
