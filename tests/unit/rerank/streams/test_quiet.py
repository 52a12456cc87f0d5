"""A log that others cannot fill."""

import logging

import pytest

from pipelines.rerank.streams.quiet import INTERVAL_S, Quiet


def test_one_line_in_a_while_which_says_how_many_there_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    quiet = Quiet(logging.getLogger("quiet"), clock=lambda: now[0])
    for number in range(1_000):
        quiet.warning("entry %d", number)
    now[0] += INTERVAL_S
    quiet.warning("entry %d", 1_000)
    assert caplog.messages == ["entry 0", "entry 1000 (and 999 lines like it were left out)"]
