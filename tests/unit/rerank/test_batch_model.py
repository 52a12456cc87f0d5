"""Any history of arrivals, departures and batches keeps the scheduler's promises."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipelines.rerank.batch import Batch, Scheduler
from pipelines.rerank.turns import Work

BUDGET = 100
MAX_PAIRS = 60
BATCH_S = 0.5


@dataclass
class Admitted:
    work: Work
    scored: int = 0
    ended: bool = False


@dataclass
class History:
    """What the scheduler was told and what it decided."""

    scheduler: Scheduler = field(
        default_factory=lambda: Scheduler(
            budget=BUDGET, quantum=70, max_pairs=MAX_PAIRS, patience_s=0.5, batch_s=BATCH_S
        )
    )
    now: float = 0.0
    admitted: dict[str, Admitted] = field(default_factory=dict)
    running: Batch | None = None

    @property
    def waiting(self) -> list[Admitted]:
        return [a for a in self.admitted.values() if not a.ended and a.scored < len(a.work.costs)]

    def offer(self, costs: list[int], slack: float) -> None:
        work = Work(f"{len(self.admitted)}", costs, self.now + slack, self.now)
        waiting = sum(len(a.work.costs) - a.scored for a in self.waiting)
        refusal = self.scheduler.offer(work, self.now)
        if refusal is None:
            assert waiting + len(costs) <= MAX_PAIRS
            self.admitted[work.id] = Admitted(work)

    def cancel(self, name: str) -> None:
        self.scheduler.cancel(name)
        self.admitted[name].ended = True

    def start(self) -> None:
        waited = bool(self.waiting)
        step = self.scheduler.next_batch(self.now)
        for late in step.expired:
            admitted = self.admitted[late.id]
            assert not admitted.ended
            assert (late.start, late.stop) == (admitted.scored, len(admitted.work.costs))
            admitted.ended = True
        if step.batch is None:
            assert not self.waiting
            assert not waited or step.expired
            return
        self.running = step.batch
        self._check(step.batch)

    def _check(self, batch: Batch) -> None:
        tokens = pairs = 0
        for piece in batch.slices:
            admitted = self.admitted[piece.id]
            assert not admitted.ended
            assert self.now < admitted.work.deadline
            assert piece.start == admitted.scored < piece.stop
            admitted.scored = piece.stop
            tokens += sum(admitted.work.costs[piece.start : piece.stop])
            pairs += piece.stop - piece.start
        assert batch.tokens == tokens
        if pairs > 1:
            done = self.now + self.scheduler.speed.seconds(tokens)
            assert tokens <= BUDGET
            assert all(done <= self.admitted[p.id].work.deadline + 1e-9 for p in batch.slices)

    def finish(self, seconds: float) -> None:
        self.now += seconds
        self.scheduler.finished(seconds)
        self.running = None


class SchedulerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.history = History()

    @rule(
        costs=st.lists(st.integers(1, 150), min_size=1, max_size=30),
        slack=st.floats(-0.5, 5.0),
    )
    def offer(self, costs: list[int], slack: float) -> None:
        self.history.offer(costs, slack)

    @rule(seconds=st.floats(0.0, 1.0))
    def tick(self, seconds: float) -> None:
        self.history.now += seconds

    @precondition(lambda self: self.history.waiting)
    @rule(pick=st.integers(0, 1_000))
    def cancel(self, pick: int) -> None:
        waiting = self.history.waiting
        self.history.cancel(waiting[pick % len(waiting)].work.id)

    @precondition(lambda self: self.history.running is None)
    @rule()
    def start(self) -> None:
        self.history.start()

    @precondition(lambda self: self.history.running is not None)
    @rule(seconds=st.floats(0.0, 1.0))
    def finish(self, seconds: float) -> None:
        self.history.finish(seconds)

    @invariant()
    def the_bound_holds(self) -> None:
        pairs = sum(len(a.work.costs) - a.scored for a in self.history.waiting)
        assert self.history.scheduler.waiting_pairs == pairs <= MAX_PAIRS

    def teardown(self) -> None:
        """Every admitted pair has been scored, dropped or cancelled in the end."""
        history = self.history
        if history.running is not None:
            history.finish(0.1)
        for _ in range(MAX_PAIRS + 1):
            history.start()
            if history.running is None:
                break
            history.finish(0.001)
        assert not history.waiting
        assert history.scheduler.waiting_pairs == 0


SchedulerMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None
)
TestAnyHistory = SchedulerMachine.TestCase


def decisions(seed: int) -> list[object]:
    """A busy minute; what the scheduler decided in it."""
    chance = random.Random(seed)
    scheduler, now, log = Scheduler(budget=500, quantum=300), 0.0, list[object]()
    for number in range(200):
        now += chance.expovariate(20.0)
        costs = [chance.randint(1, 50) for _ in range(chance.randint(1, 40))]
        log.append(scheduler.offer(Work(f"{number}", costs, now + chance.uniform(0, 3), now), now))
        step = scheduler.next_batch(now)
        log.append(step)
        if step.batch is not None:
            seconds = 0.001 * step.batch.tokens * chance.lognormvariate(0.0, 0.1)
            now += seconds
            scheduler.finished(seconds)
    return log


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_the_same_history_gives_the_same_decisions(seed: int) -> None:
    assert decisions(seed) == decisions(seed)
