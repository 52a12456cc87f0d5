"""What is let in is done in time: the pace of the searches before says how long the next takes."""

import asyncio
import time
from contextlib import ExitStack

import pytest

from services.api.overload import ALWAYS, Lag, Pace
from twofold.errors import CollectionNotFound, DeadlineExceeded, Overloaded


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    """Of a process that has answered one search after the other, a tenth of a second each."""
    pace = Pace(clock=clock)
    for _ in range(100):
        with pace.place(1.0):
            clock.now += 0.0999
    return pace


def admitted(pace: Pace, deadline_s: float) -> int:
    """How many of a hundred searches at once are let in."""
    with ExitStack() as places:
        for count in range(100):
            try:
                places.enter_context(pace.place(deadline_s))
            except Overloaded:
                return count
    return 100


def test_as_many_are_let_in_as_can_be_done_by_their_deadline(pace: Pace) -> None:
    # 0.7 of a second is for 7 searches of a tenth each; of five seconds, 3.5 for 35.
    assert admitted(pace, 1.0) == 7


def test_whoever_has_more_time_is_let_into_a_longer_row(pace: Pace) -> None:
    assert admitted(pace, 5.0) == 35


def test_a_few_are_let_in_whatever_is_expected(pace: Pace) -> None:
    assert admitted(pace, 0.001) == ALWAYS


def test_a_process_that_has_answered_nothing_yet_refuses_nothing() -> None:
    assert admitted(Pace(), 0.001) == 100


def test_where_workers_compute_their_queues_decide(clock: Clock) -> None:
    pace = Pace(shared=False, clock=clock)
    with pace.place(1.0):
        clock.now += 0.5
    assert admitted(pace, 1.0) == 100


def test_a_refusal_says_how_long_it_would_take_and_when_to_come_back(pace: Pace) -> None:
    places = pace.place(0.4), pace.place(0.4), pytest.raises(Overloaded, match=r"0\.3 s")
    with places[0], places[1], places[2] as refused:
        pace.place(0.4).__enter__()
    assert refused.value.retry_after == 1


def test_searches_side_by_side_count_as_what_each_costs(clock: Clock) -> None:
    pace = Pace(clock=clock)
    for _ in range(100):
        with pace.place(9.0), pace.place(9.0), pace.place(9.0), pace.place(9.0):
            clock.now += 0.3999
    assert admitted(pace, 1.0) == 7  # four at once in 0.4 s cost a tenth each


def test_what_fails_at_once_makes_no_search_look_fast(pace: Pace) -> None:
    for _ in range(100):
        with pytest.raises(CollectionNotFound), pace.place(1.0):
            raise CollectionNotFound(collection="nowhere")
    assert admitted(pace, 1.0) == 7


def test_what_misses_its_deadline_makes_the_next_ones_wait_less(pace: Pace, clock: Clock) -> None:
    def too_slow() -> None:
        with pace.place(1.0):
            clock.now += 0.5
            raise DeadlineExceeded(deadline_ms=500)

    for _ in range(100):
        with pytest.raises(DeadlineExceeded):
            too_slow()
    assert admitted(pace, 1.0) == ALWAYS


def test_a_process_that_was_slow_for_a_moment_is_fast_again(pace: Pace, clock: Clock) -> None:
    with pace.place(1.0):
        clock.now += 60.0
    assert admitted(pace, 1.0) == ALWAYS
    for _ in range(200):  # those that are always let in
        with pace.place(1.0):
            clock.now += 0.0999
    assert admitted(pace, 1.0) == 7


class StandingStill(Lag):
    seconds = 0.2


@pytest.mark.parametrize("shared", [True, False])
def test_a_loop_that_is_late_lets_in_a_few_only(shared: bool) -> None:
    # Four turns of it take 0.8 s.
    assert admitted(Pace(shared=shared, lag=StandingStill()), 1.0) == ALWAYS
    assert admitted(Pace(shared=shared, lag=StandingStill()), 2.0) == 100


@pytest.mark.anyio
async def test_the_lag_is_seen_by_whoever_runs_first_after_it() -> None:
    lag = Lag()
    watch = asyncio.create_task(lag.watch())
    await asyncio.sleep(0.1)
    time.sleep(0.3)  # noqa: ASYNC251 - the loop stands still
    assert lag.seconds >= 0.2
    watch.cancel()
    await asyncio.wait([watch])
    assert lag.seconds == 0.0
