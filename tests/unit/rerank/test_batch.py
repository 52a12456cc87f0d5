"""The scheduler, on a clock that the tests turn."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.rerank.batch import Batch, Scheduler, Step
from pipelines.rerank.turns import Slice, Work

SECONDS_PER_TOKEN = 0.001


def measured(scheduler: Scheduler) -> Scheduler:
    """One that knows its device: a millisecond a token, no overhead."""
    scheduler.speed.observe(1_000, 1_000 * SECONDS_PER_TOKEN)
    return scheduler


def work(name: str, costs: Sequence[int], *, deadline: float = 100.0, arrival: float = 0.0) -> Work:
    return Work(name, costs, deadline, arrival)


def admit(scheduler: Scheduler, *works: Work) -> None:
    for one in works:
        assert scheduler.offer(one, one.arrival) is None


def batch_of(step: Step) -> Batch:
    assert step.batch is not None
    return step.batch


def drain(scheduler: Scheduler, now: float = 0.0) -> Iterable[Batch]:
    while (batch := scheduler.next_batch(now).batch) is not None:
        yield batch
        now += batch.tokens * SECONDS_PER_TOKEN
        scheduler.finished(batch.tokens * SECONDS_PER_TOKEN)


def order(scheduler: Scheduler) -> list[str]:
    return [piece.id for batch in drain(scheduler) for piece in batch.slices]


def test_nothing_waits_nothing_runs() -> None:
    assert Scheduler().next_batch(0.0) == Step(None, ())


def test_a_lone_request_runs_at_once_without_waiting_for_company() -> None:
    scheduler = Scheduler()
    admit(scheduler, work("a", [10, 20, 30]))
    assert scheduler.next_batch(0.0) == Step(Batch((Slice("a", 0, 3),), 60), ())
    assert scheduler.waiting_pairs == 0


def test_a_batch_holds_pairs_of_all_that_wait() -> None:
    scheduler = Scheduler()
    admit(scheduler, work("a", [10, 10]), work("b", [10]), work("c", [10, 10, 10]))
    assert batch_of(scheduler.next_batch(0.0)).slices == (
        Slice("a", 0, 2),
        Slice("b", 0, 1),
        Slice("c", 0, 3),
    )


def test_a_request_over_the_budget_continues_where_it_was_cut() -> None:
    scheduler = Scheduler(budget=100)
    admit(scheduler, work("a", [40] * 5))
    assert [batch.slices for batch in drain(scheduler)] == [
        (Slice("a", 0, 2),),
        (Slice("a", 2, 4),),
        (Slice("a", 4, 5),),
    ]


def test_a_pair_larger_than_the_budget_goes_alone() -> None:
    scheduler = Scheduler(budget=100)
    admit(scheduler, work("a", [500, 10]), work("b", [10]))
    assert [batch.tokens for batch in drain(scheduler)] == [500, 20]


def test_a_pair_that_does_not_fit_is_not_overtaken_by_smaller_ones() -> None:
    scheduler = Scheduler(budget=100)
    admit(scheduler, work("a", [60]), work("b", [60]), work("c", [10]))
    assert order(scheduler) == ["a", "b", "c"]


def test_earlier_deadlines_go_first() -> None:
    scheduler = Scheduler(budget=10)
    admit(
        scheduler,
        work("relaxed", [10], deadline=0.9),
        work("urgent", [10], deadline=0.5),
    )
    assert order(scheduler) == ["urgent", "relaxed"]


def test_ties_are_served_in_order_of_arrival() -> None:
    scheduler = Scheduler(budget=10)
    names = [f"request {number}" for number in (3, 1, 2, 0)]
    admit(scheduler, *(work(name, [10]) for name in names))
    assert order(scheduler) == names


def test_the_urgent_overtake_no_longer_than_patience_lasts() -> None:
    scheduler = Scheduler(budget=10, patience_s=1.0)
    admit(
        scheduler,
        work("patient", [10], deadline=60.0, arrival=0.0),
        work("urgent at 0.5", [10], deadline=0.9, arrival=0.5),
    )
    assert batch_of(scheduler.next_batch(0.6)).slices[0].id == "urgent at 0.5"
    scheduler.finished(0.01)
    admit(scheduler, work("urgent at 1.0", [10], deadline=1.4, arrival=1.0))
    assert batch_of(scheduler.next_batch(1.1)).slices[0].id == "patient"


def test_a_large_request_does_not_block_a_small_one() -> None:
    scheduler = Scheduler(budget=100, quantum=200)
    admit(
        scheduler,
        work("large", [10] * 500, arrival=0.0),
        work("small", [10] * 20, arrival=0.1),
    )
    served = order(scheduler)
    assert served.index("small") == 2
    assert served[2:4] == ["small", "small"]


def test_equals_are_served_one_after_the_other() -> None:
    scheduler = Scheduler(budget=100, quantum=200)
    admit(scheduler, *(work(name, [10] * 20) for name in "abc"))
    assert order(scheduler) == ["a", "a", "b", "b", "c", "c"]


def test_a_large_request_is_not_starved_by_a_stream_of_small_ones() -> None:
    """The device has work for more than all its time; turn k is served soon after it is due."""
    scheduler = measured(Scheduler(budget=100, quantum=200, patience_s=1.0, max_pairs=10_000))
    admit(scheduler, work("large", [10] * 100, deadline=1_000.0))
    now, number, done, finished_at = 0.0, 0, 0, 0.0
    while done < 100:
        while number * 0.04 <= now:
            admit(scheduler, work(f"{number}", [10] * 5, deadline=1_000.0, arrival=number * 0.04))
            number += 1
        batch = batch_of(scheduler.next_batch(now))
        now += batch.tokens * SECONDS_PER_TOKEN
        scheduler.finished(batch.tokens * SECONDS_PER_TOKEN)
        for piece in batch.slices:
            if piece.id == "large":
                assert piece.start == done
                done, finished_at = piece.stop, now
    # Five turns, the last one due at 5 s; what was due before it takes up to 1.25 times that.
    assert finished_at < 8.0


def test_the_batch_is_cut_so_that_it_ends_by_the_deadline() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("a", [10] * 100, deadline=0.255))
    step = scheduler.next_batch(0.0)
    assert batch_of(step).tokens == 250
    scheduler.finished(0.25)
    assert scheduler.next_batch(0.25) == Step(None, (Slice("a", 25, 100),))


def test_a_batch_ends_by_the_earliest_deadline_in_it() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("tight", [10] * 5, deadline=0.1), work("loose", [10] * 50, deadline=0.9))
    assert batch_of(scheduler.next_batch(0.0)).slices == (
        Slice("tight", 0, 5),
        Slice("loose", 0, 5),
    )


def test_a_batch_on_a_slow_device_is_short() -> None:
    scheduler = measured(Scheduler(batch_s=0.3))
    admit(scheduler, work("a", [10] * 100))
    assert batch_of(scheduler.next_batch(0.0)).tokens == 300


def test_what_has_expired_does_not_reach_the_device() -> None:
    scheduler = Scheduler()
    admit(scheduler, work("late", [10, 10], deadline=1.0), work("fresh", [10], deadline=3.0))
    step = scheduler.next_batch(2.0)
    assert step.expired == (Slice("late", 0, 2),)
    assert batch_of(step).slices == (Slice("fresh", 0, 1),)
    assert scheduler.waiting_pairs == 0


def test_a_request_that_would_be_late_is_refused() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("first", [100] * 10, deadline=1.2))
    reason = scheduler.offer(work("second", [100] * 10, deadline=1.5), 0.0)
    assert reason == "scores would take about 2.00 s and 1.50 s are left"
    assert scheduler.offer(work("third", [100] * 10, deadline=2.1), 0.0) is None


def test_admission_looks_at_the_first_turn_only() -> None:
    scheduler = measured(Scheduler(quantum=1_000))
    admit(scheduler, work("first", [100], deadline=10.0))
    assert scheduler.offer(work("large", [100] * 100, deadline=2.0), 0.0) is None


def test_later_turns_of_others_do_not_count_against_a_newcomer() -> None:
    scheduler = measured(Scheduler(quantum=1_000, patience_s=1.0))
    admit(scheduler, work("large", [100] * 100, deadline=60.0))
    assert scheduler.offer(work("small", [100], deadline=1.5), 0.0) is None
    assert scheduler.predicted_wait(0.0, 0) == pytest.approx(10.1)


def test_the_urgent_are_refused_when_those_admitted_before_would_miss() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("promised", [100] * 10, deadline=2.0))
    urgent = work("urgent", [100] * 11, deadline=1.5)
    reason = "requests that were admitted before would miss their deadlines"
    assert scheduler.offer(urgent, 0.0) == reason
    assert scheduler.offer(work("small and urgent", [100] * 9, deadline=1.5), 0.0) is None


def test_a_promise_that_is_broken_anyway_refuses_nobody() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("hopeless", [100] * 50, deadline=4.0))
    assert scheduler.offer(work("urgent", [100], deadline=1.0), 0.0) is None


def test_an_idle_device_tries_what_it_is_expected_to_miss() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("a", [1_000, 1_000], deadline=0.1))
    assert batch_of(scheduler.next_batch(0.0)).slices == (Slice("a", 0, 1),)
    scheduler.finished(0.001)


def test_a_wrong_prediction_mends_itself() -> None:
    scheduler = Scheduler()
    scheduler.speed.observe(100, 100.0)
    now = 0.0
    for number in range(20):
        admit(scheduler, work(f"{number}", [10] * 20, deadline=now + 1.0, arrival=now))
        for batch in drain(scheduler, now):
            now += batch.tokens * SECONDS_PER_TOKEN
    admit(scheduler, work("last", [10] * 20, deadline=now + 1.0, arrival=now))
    assert batch_of(scheduler.next_batch(now)).slices == (Slice("last", 0, 20),)


def test_a_device_that_hangs_is_not_queued_up_behind() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("stuck", [100], deadline=60.0))
    scheduler.next_batch(0.0)
    assert scheduler.predicted_wait(0.05, 0) == pytest.approx(0.05)
    assert scheduler.predicted_wait(5.1, 0) == pytest.approx(5.0)
    assert scheduler.offer(work("next", [10], deadline=8.0, arrival=5.1), 5.1) is not None


def test_more_pairs_than_the_bound_are_refused() -> None:
    scheduler = Scheduler(max_pairs=10)
    admit(scheduler, work("a", [1] * 8))
    assert (
        scheduler.offer(work("b", [1] * 3), 0.0) == "8 candidates wait already and the limit is 10"
    )
    scheduler.cancel("a")
    assert scheduler.offer(work("b", [1] * 3), 0.0) is None


def test_what_was_cancelled_is_gone() -> None:
    scheduler = Scheduler(budget=20)
    admit(scheduler, work("a", [10] * 10), work("b", [10]))
    scheduler.next_batch(0.0)
    scheduler.finished(0.1)
    scheduler.cancel("a")
    scheduler.cancel("never seen")
    assert scheduler.waiting_pairs == 1
    assert order(scheduler) == ["b"]


def test_a_failed_batch_says_nothing_about_speed() -> None:
    scheduler = measured(Scheduler())
    admit(scheduler, work("a", [100]))
    scheduler.next_batch(0.0)
    scheduler.finished(None)
    assert scheduler.speed.seconds(1_000) == pytest.approx(1.0)


def test_misuse_is_an_error() -> None:
    scheduler = Scheduler()
    admit(scheduler, work("a", [10]))
    with pytest.raises(ValueError, match="waits already"):
        scheduler.offer(work("a", [10]), 0.0)
    with pytest.raises(ValueError, match="no pairs"):
        scheduler.offer(work("b", []), 0.0)
    with pytest.raises(RuntimeError, match="nothing was running"):
        scheduler.finished(1.0)
    scheduler.next_batch(0.0)
    with pytest.raises(RuntimeError, match="busy"):
        scheduler.next_batch(0.0)


@given(st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=60), min_size=1, max_size=8))
def test_the_predicted_wait_is_what_it_takes(requests: list[list[int]]) -> None:
    """On a steady device, with requests of one turn: exact but for the cuts between batches."""
    scheduler = measured(Scheduler(quantum=1_000_000))
    admit(scheduler, *(work(f"{n}", costs) for n, costs in enumerate(requests)))
    predicted = scheduler.predicted_wait(0.0, 0)
    assert predicted == pytest.approx(sum(batch.tokens for batch in drain(scheduler)) / 1_000)
