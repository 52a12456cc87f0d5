"""An answer as it grows."""

import numpy as np
import pytest

from pipelines.ports import PairScores
from pipelines.rerank.progress import Progress


def scores(*values: float) -> PairScores:
    return PairScores(np.array(values, np.float32), np.array([v > 1 for v in values]))


def test_scores_land_where_their_passages_are_and_times_add_up() -> None:
    progress = Progress(3, arrival=10.0)
    progress.begin(10.5)
    progress.add(0, scores(0.5, 2.0), 11.0)
    progress.begin(11.0)
    progress.add(2, scores(0.25), 12.0)
    outcome = progress.outcome("timeout", "unused", 20.0)
    assert (outcome.status, outcome.reason) == ("applied", None)
    assert outcome.scores.tolist() == [0.5, 2.0, 0.25]
    assert outcome.truncated.tolist() == [False, True, False]
    assert (outcome.queue_s, outcome.compute_s) == (0.5, 1.5)


@pytest.mark.parametrize("status", ["timeout", "error", "unavailable"])
def test_whatever_ended_it_a_scored_head_is_partial(status: str) -> None:
    progress = Progress(3, arrival=0.0)
    progress.begin(1.0)
    progress.add(0, scores(0.5), 2.0)
    outcome = progress.outcome(status, "it ended", 9.0)  # type: ignore[arg-type]
    assert (outcome.status, outcome.scored) == ("partial", 1)
    assert outcome.reason == "1 of 3 passages were scored: it ended"


def test_what_was_never_taken_up_waited_all_the_time() -> None:
    outcome = Progress(2, arrival=1.0).outcome("timeout", "late", 4.0)
    assert (outcome.status, outcome.reason, outcome.scored) == ("timeout", "late", 0)
    assert (outcome.queue_s, outcome.compute_s) == (3.0, 0.0)


def test_scores_that_come_twice_count_once() -> None:
    progress = Progress(4, 0.0)
    scores = PairScores(np.array([0.5, 0.25], np.float32), np.zeros(2, np.bool_))
    progress.add(0, scores, 1.0)
    progress.add(0, scores, 2.0)
    progress.add(1, scores, 3.0)
    assert not progress.complete
    assert progress.outcome("timeout", "late", 4.0).scored == 3
