"""The scheduler before the device: which pairs of which requests make up the next batch.

Data in, decisions out: no thread, no clock, no model. The caller says what time it is, on any
clock that runs forward in seconds, as long as deadlines are on the same one.

    offer(work, now)    admitted, or refused at once because it would come too late
    next_batch(now)     what the idle device does next, and what has been dropped as too late
    finished(seconds)   how long that took; the next prediction is better for it

The policy, in the order in which it decides:

1. A request is a sequence of pairs, best candidate first, and is served in turns of `quantum`
   tokens. Each turn has a due time: `min(deadline, arrival + patience_s)` for the first, and
   `patience_s` more for each further one. The earliest due goes first, ties in order of arrival.
   So the urgent overtakes (earliest deadline first), the first turn of a small request goes before
   the later turns of a large one, and nothing starves: work that arrives after a turn was due
   cannot overtake it.
2. A batch holds as many tokens as `budget` allows, takes about `batch_s` at most, and is done
   before the deadline of everything in it, as far as the device's speed can be predicted. It
   never waits to fill up.
3. What can no longer be done by its deadline is dropped before it reaches the device.
4. A request is refused when its first turn would be done after its deadline. An idle device
   tries anyway: a prediction that is too dark mends itself by being wrong.
"""

import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from pipelines.rerank.speed import Speed


@dataclass(frozen=True, slots=True)
class Work:
    """A request as the scheduler sees it.

    Attributes:
        costs: Estimated tokens of each pair, at least 1, best candidate first.
        deadline: Nothing is scored after it.
        arrival: When it was received.
    """

    id: str
    costs: Sequence[int]
    deadline: float
    arrival: float


class Slice(NamedTuple):
    """The pairs `start` to `stop` (half-open) of a request."""

    id: str
    start: int
    stop: int


class Batch(NamedTuple):
    """What the device does in one go; each request is in it once."""

    slices: tuple[Slice, ...]
    tokens: int


class Step(NamedTuple):
    """A decision: the batch to run, None if nothing waits, and what was dropped as too late."""

    batch: Batch | None
    expired: tuple[Slice, ...]


class _Waiting:
    """A request and how far it has come: `taken` of its pairs, `spent` of its tokens."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.taken = 0
        # The tokens of the first 0, 1, 2 ... pairs.
        self._sums = list(accumulate(work.costs, initial=0))

    @property
    def spent(self) -> int:
        return self._sums[self.taken]

    @property
    def total(self) -> int:
        return self._sums[-1]

    @property
    def next_cost(self) -> int:
        return self.work.costs[self.taken]

    @property
    def rest(self) -> Slice:
        return Slice(self.work.id, self.taken, len(self.work.costs))

    def take(self, room: float, quantum: int) -> int:
        """Take pairs in order until the turn ends or the next does not fit; returns tokens."""
        before = self.spent
        fitting = bisect_right(self._sums, before + room) - 1
        # A turn ends with the pair that fills it.
        turn = bisect_left(self._sums, (before // quantum + 1) * quantum)
        self.taken = max(self.taken, min(fitting, turn))
        return self.spent - before


class _Running(NamedTuple):
    tokens: int
    started: float
    predicted: float


class Scheduler:
    """Packs the pairs of all waiting requests into batches for one device.

    Args:
        budget: Most tokens of a batch; a single pair that is larger goes alone.
        quantum: Tokens of a turn. About one usual request, so that equals are served one after
            the other, and only a large one is interleaved.
        max_pairs: Pairs that may wait.
        patience_s: How long newer requests may overtake a turn.
        batch_s: About the longest a batch may take. Bounds how long an urgent newcomer waits for
            a slow device, and how much is lost when a caller leaves.
    """

    def __init__(
        self,
        *,
        budget: int = 16_384,
        quantum: int = 8_192,
        max_pairs: int = 4_096,
        patience_s: float = 1.0,
        batch_s: float = 0.5,
    ) -> None:
        self.speed = Speed()
        self._budget = budget
        self._quantum = quantum
        self._max_pairs = max_pairs
        self._patience_s = patience_s
        self._batch_s = batch_s
        self._waiting: dict[str, _Waiting] = {}
        self._pairs = 0
        self._running: _Running | None = None

    @property
    def waiting_pairs(self) -> int:
        """Pairs that wait for the device; never more than `max_pairs`."""
        return self._pairs

    def offer(self, work: Work, now: float) -> str | None:
        """Admit a request, or say in one sentence why not."""
        if work.id in self._waiting or not work.costs:
            raise ValueError(f"request {work.id} waits already, or has no pairs")
        if self._pairs + len(work.costs) > self._max_pairs:
            return f"{self._pairs} candidates wait already and the limit is {self._max_pairs}"
        waiting = _Waiting(work)
        wait = self.predicted_wait(now, min(waiting.total, self._quantum), due=self._due(waiting))
        left = work.deadline - now
        if wait > left and not self._idle:
            return f"scores would take about {wait:.2f} s and {max(0.0, left):.2f} s are left"
        self._waiting[work.id] = waiting
        self._pairs += len(work.costs)
        return None

    def cancel(self, request_id: str) -> None:
        """Forget what waits of a request, if anything does."""
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            self._pairs -= len(waiting.work.costs) - waiting.taken

    def next_batch(self, now: float) -> Step:
        """Decide what the idle device does; call `finished` before asking again."""
        if self._running is not None:
            raise RuntimeError("the device is busy; call finished() first")
        expired = self._drop_late(now)
        batch = self._pack(now)
        if batch is not None:
            predicted = self.speed.seconds(batch.tokens)
            self._running = _Running(batch.tokens, now, predicted)
        return Step(batch, expired)

    def finished(self, seconds: float | None) -> None:
        """The device is idle again after `seconds`; None if the batch failed."""
        if self._running is None:
            raise RuntimeError("nothing was running")
        if seconds is not None:
            self.speed.observe(self._running.tokens, seconds)
        self._running = None

    def predicted_wait(self, now: float, tokens: int, due: float = math.inf) -> float:
        """Seconds until new work of so many tokens would be done, behind all that is due before.

        Cautious, and 0 as long as nothing is known of the device.
        """
        tokens += sum(self._tokens_due(waiting, due) for waiting in self._waiting.values())
        batches = math.ceil(tokens / self._batch_tokens)
        return self._running_s(now) + self.speed.seconds(tokens, batches=batches)

    @property
    def _idle(self) -> bool:
        return self._running is None and not self._waiting

    @property
    def _batch_tokens(self) -> float:
        """Tokens that a batch may hold, deadlines aside."""
        # The overhead does not count: a device on which it is large wants large batches.
        return max(1.0, min(self._budget, self.speed.tokens_during(self._batch_s)))

    def _running_s(self, now: float) -> float:
        """Seconds until the device is idle."""
        if self._running is None:
            return 0.0
        # What is overdue is expected to need as long again as it is overdue by, so that a device
        # that hangs is found out and no more requests are queued up behind it.
        return abs(self._running.started + self._running.predicted - now)

    def _due(self, waiting: _Waiting) -> float:
        """When the present turn of a request is due."""
        return self._first_due(waiting) + waiting.spent // self._quantum * self._patience_s

    def _first_due(self, waiting: _Waiting) -> float:
        return min(waiting.work.deadline, waiting.work.arrival + self._patience_s)

    def _tokens_due(self, waiting: _Waiting, due: float) -> int:
        """Tokens of a request that will have been taken when a turn due at `due` begins."""
        if math.isinf(due):
            return waiting.total - waiting.spent
        turns = math.floor((due - self._first_due(waiting)) / self._patience_s) + 1
        return max(0, min(waiting.total, turns * self._quantum) - waiting.spent)

    def _drop_late(self, now: float) -> tuple[Slice, ...]:
        late = [waiting for waiting in self._waiting.values() if self._is_late(waiting, now)]
        for waiting in late:
            self.cancel(waiting.work.id)
        return tuple(waiting.rest for waiting in late)

    def _is_late(self, waiting: _Waiting, now: float) -> bool:
        left = waiting.work.deadline - now
        # One that has not had a turn yet stays: an idle device may try it.
        return left <= 0.0 or (
            waiting.taken > 0 and self.speed.tokens_within(left) < waiting.next_cost
        )

    def _pack(self, now: float) -> Batch | None:
        queue = [(self._due(w), order, w) for order, w in enumerate(self._waiting.values())]
        if not queue:
            return None
        heapq.heapify(queue)
        first = queue[0][2]
        starts: dict[str, int] = {}
        limit = self._batch_tokens
        tokens = 0
        while queue:
            _, order, waiting = heapq.heappop(queue)
            in_time = min(limit, self.speed.tokens_within(waiting.work.deadline - now))
            start = waiting.taken
            took = waiting.take(in_time - tokens, self._quantum)
            if took:
                starts.setdefault(waiting.work.id, start)
                tokens += took
                limit = in_time
                if waiting.spent < waiting.total:
                    heapq.heappush(queue, (self._due(waiting), order, waiting))
            elif in_time == limit:
                break
        if not starts:
            starts[first.work.id] = first.taken
            tokens = first.take(first.next_cost, self._quantum)
        return Batch(tuple(self._hand_out(starts)), tokens)

    def _hand_out(self, starts: dict[str, int]) -> list[Slice]:
        slices = []
        for request_id, start in starts.items():
            waiting = self._waiting[request_id]
            slices.append(Slice(request_id, start, waiting.taken))
            self._pairs -= waiting.taken - start
            if waiting.taken == len(waiting.work.costs):
                del self._waiting[request_id]
        return slices
