"""Time between hosts: only the clock of Redis counts."""

import pytest

from pipelines.rerank.streams.clock import RedisClock

NOW = 1_700_000_000.0


def clock_at(local: list[float], redis_now: float = NOW) -> RedisClock:
    clock = RedisClock(lambda: local[0])
    clock.set((int(redis_now), round(redis_now % 1 * 1e6)))
    return clock


@pytest.mark.parametrize("local", [0.0, 5.0, 1e9])
def test_the_local_clock_may_show_anything(local: float) -> None:
    shown = [local]
    clock = clock_at(shown)
    assert clock.now() == pytest.approx(NOW)
    shown[0] += 2.5
    assert clock.now() == pytest.approx(NOW + 2.5)


def test_a_budget_counts_from_when_redis_took_the_entry() -> None:
    entry = f"{round((NOW - 3.0) * 1000)}-0"
    left = clock_at([0.0]).left(entry, budget_s=5.0, deadline_s=NOW + 100.0)
    assert left == pytest.approx(2.0)


def test_the_deadline_counts_what_an_entry_waited_for_on_its_way() -> None:
    entry = f"{round(NOW * 1000)}-0"
    assert clock_at([0.0]).left(entry, budget_s=5.0, deadline_s=NOW + 1.0) == pytest.approx(1.0)


def test_an_entry_from_the_future_has_its_budget_and_no_more() -> None:
    entry = f"{round((NOW + 3_600.0) * 1000)}-0"
    left = clock_at([0.0]).left(entry, budget_s=5.0, deadline_s=NOW + 3_600.0)
    assert left == pytest.approx(5.0)


def test_nothing_is_known_before_redis_was_asked() -> None:
    with pytest.raises(RuntimeError):
        RedisClock().now()
