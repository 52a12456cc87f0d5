"""What an API process expects of the workers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.rerank.streams.admission import SPLIT_S, UNKNOWN_TOKENS, Outlook
from pipelines.rerank.streams.wire import Pace

FAST = Pace(overhead_s=0.0, per_token_s=1e-4, batch_tokens=1_000, entry_tokens=100.0)
NEW = Pace()


def test_nothing_is_expected_of_workers_that_have_measured_nothing() -> None:
    outlook = Outlook.of([NEW, NEW])
    assert (outlook.workers, outlook.wait(1e9), outlook.entry_tokens) == (2, 0.0, 0.0)


def test_two_workers_take_half_the_time_of_one() -> None:
    assert Outlook.of([FAST]).wait(10_000) == pytest.approx(1.0)
    assert Outlook.of([FAST, FAST]).wait(10_000) == pytest.approx(0.5)


def test_the_overhead_of_a_batch_is_shared_by_its_tokens() -> None:
    slow = Pace(overhead_s=0.1, per_token_s=1e-4, batch_tokens=1_000)
    assert Outlook.of([slow]).wait(10_000) == pytest.approx(0.1 + 10_000 * (1e-4 + 1e-4))


def test_a_small_request_stays_whole() -> None:
    tokens = int(SPLIT_S / FAST.per_token_s) // 2
    assert Outlook.of([FAST] * 4).pieces([1] * tokens, 16_384) == [(0, tokens)]


def test_a_large_request_has_a_piece_for_every_worker() -> None:
    pieces = Outlook.of([FAST] * 4).pieces([100] * 100, 16_384)
    assert pieces == [(0, 25), (25, 50), (50, 75), (75, 100)]


def test_no_piece_is_larger_than_the_largest_unless_one_passage_is() -> None:
    assert Outlook.of([FAST] * 2).pieces([10, 10, 50, 10], 20) == [(0, 2), (2, 3), (3, 4)]


def test_a_lone_worker_gets_the_whole() -> None:
    assert Outlook.of([FAST]).pieces([1_000] * 100, 20) == [(0, 100)]


def test_workers_of_unknown_speed_share_what_is_worth_sharing() -> None:
    outlook = Outlook.of([NEW, NEW])
    assert outlook.pieces([1] * UNKNOWN_TOKENS, 16_384) == [(0, UNKNOWN_TOKENS)]
    assert len(outlook.pieces([1] * 4 * UNKNOWN_TOKENS, 16_384)) == 2


@given(
    st.lists(st.integers(1, 1_000), min_size=1, max_size=300),
    st.integers(0, 5),
    st.integers(1, 20_000),
)
def test_pieces_are_the_whole_request_in_order(costs: list[int], workers: int, most: int) -> None:
    pieces = Outlook.of([FAST] * workers).pieces(costs, most)
    assert [n for start, stop in pieces for n in range(start, stop)] == list(range(len(costs)))
    assert workers < 2 or all(sum(costs[a:b]) <= most or b == a + 1 for a, b in pieces)
