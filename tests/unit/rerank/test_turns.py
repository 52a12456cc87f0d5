"""Turns and their due times, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.rerank.turns import Slice, Turn, Waiting, Work


def test_turns_end_with_the_pair_that_fills_them_and_fall_due_one_after_the_other() -> None:
    waiting = Waiting(Work("a", [40, 70, 50, 60, 10], deadline=20.0, arrival=0.0), 100, 1.0)
    assert list(waiting.turns()) == [
        Turn(due=1.0, tokens=110, first=True),
        Turn(due=2.0, tokens=110, first=False),
        Turn(due=3.0, tokens=10, first=False),
    ]


def test_the_urgent_is_due_sooner_and_nothing_after_its_deadline() -> None:
    waiting = Waiting(Work("a", [100] * 6, deadline=12.0, arrival=10.0), 100, 1.0)
    assert [turn.due for turn in waiting.turns()] == [10.5, 11.0, 11.5, 12.0, 12.0, 12.0]


def test_taking_stops_where_the_room_or_the_turn_ends() -> None:
    waiting = Waiting(Work("a", [40, 40, 40, 40], deadline=9.0, arrival=0.0), 100, 1.0)
    assert waiting.take(99) == 80
    assert (waiting.due, waiting.next_cost, waiting.rest) == (1.0, 40, Slice("a", 2, 4))
    assert waiting.take(39) == 0
    assert waiting.take(1_000) == 40
    assert waiting.due == 2.0
    assert waiting.take(1_000) == 40
    assert (waiting.tokens, list(waiting.turns())) == (0, [])


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=50),
    st.lists(st.floats(-10, 500), max_size=30),
)
def test_what_is_taken_and_what_waits_is_all_there_is(costs: list[int], rooms: list[float]) -> None:
    waiting = Waiting(Work("a", costs, deadline=10.0, arrival=0.0), 200, 1.0)
    taken = 0
    for room in rooms:
        if waiting.tokens:
            due, took = waiting.due, waiting.take(room)
            assert took <= max(0.0, room)
            taken += took
            assert not waiting.tokens or waiting.due >= due
    assert taken + waiting.tokens == sum(costs)
    assert sum(turn.tokens for turn in waiting.turns()) == pytest.approx(waiting.tokens)
