"""The scheduler before the device: which pairs of which requests make up the next batch.

Data in, decisions out: no thread, no clock, no model. The caller says what time it is, in seconds
on any clock that runs forward, as long as the deadlines are on the same one.

    offer(work, now)    admitted, or refused at once because something would come too late
    next_batch(now)     what the idle device does next, and what was dropped as too late
    finished(seconds)   how long that took, so that the next prediction is better

The policy:

1. A request is a list of pairs, best candidate first, and is served in turns of `quantum` tokens,
   each with a due time (`turns.py`). The earliest due goes first, ties in order of arrival. So
   the urgent overtakes, the first turn of a small request goes before the later turns of a large
   one, and nothing starves: no newcomer overtakes a turn that was due when it arrived.
2. A batch never waits to fill up. It holds at most `budget` tokens, takes at most about `batch_s`,
   and is done before the deadline of everything in it, as far as that can be predicted.
3. What can no longer be done by its deadline is dropped before it reaches the device.
4. The first turn of an admitted request is a promise, its later turns are best effort. A newcomer
   is refused if its own first turn would be late, or would make one late that was promised
   before. An idle device tries anyway: a prediction that is too dark mends itself.
"""

import heapq
import math
from collections.abc import Callable
from typing import NamedTuple

from pipelines.rerank.speed import Speed
from pipelines.rerank.turns import Slice, Waiting, Work


class Batch(NamedTuple):
    """What the device does in one go; a request has one slice in it at most."""

    slices: tuple[Slice, ...]
    tokens: int


class Step(NamedTuple):
    """A decision: the batch to run, None if nothing waits, and what was dropped as too late."""

    batch: Batch | None
    expired: tuple[Slice, ...]


class _Running(NamedTuple):
    tokens: int
    expected_end: float


class Scheduler:
    """Packs the pairs of all waiting requests into batches for one device.

    Args:
        budget: Most tokens of a batch; a single pair that is larger goes alone.
        quantum: Tokens of a turn. More than a usual request has, so that usual ones are served
            one after the other and only large ones are interleaved.
        max_pairs: Pairs that may wait.
        patience_s: How long newer requests may overtake a turn.
        batch_s: About the longest that a batch may take. It bounds how long an urgent newcomer
            waits for a slow device, and what is lost when a caller leaves.
    """

    def __init__(
        self,
        *,
        budget: int = 16_384,
        quantum: int = 16_384,
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
        self._waiting: dict[str, Waiting] = {}
        self._pairs = 0
        self._running: _Running | None = None

    @property
    def waiting_pairs(self) -> int:
        """Pairs that wait for the device; never more than `max_pairs`."""
        return self._pairs

    @property
    def room(self) -> float:
        """Tokens that are missing for a full batch; what is more need not wait here yet."""
        return self._batch_tokens - self._waiting_tokens

    @property
    def batch_tokens(self) -> int:
        """Tokens of a full batch, as far as that is known."""
        return int(self._batch_tokens)

    def offer(self, work: Work, now: float) -> str | None:
        """Admit a request, or say in one sentence why not."""
        if work.id in self._waiting or not work.costs:
            raise ValueError(f"request {work.id} waits already, or has no pairs")
        if self._pairs + len(work.costs) > self._max_pairs:
            return f"{self._pairs} candidates wait already and the limit is {self._max_pairs}"
        newcomer = Waiting(work, self._quantum, self._patience_s)
        idle = self._running is None and not self._waiting
        refusal = None if idle else self._lateness(newcomer, now)
        if refusal is None:
            self._waiting[work.id] = newcomer
            self._pairs += len(work.costs)
        return refusal

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
        batch = self._pack(now) if self._waiting else None
        if batch is not None:
            self._running = _Running(batch.tokens, now + self.speed.seconds(batch.tokens))
        return Step(batch, expired)

    def finished(self, seconds: float | None) -> None:
        """The device is idle again after `seconds`; None if the batch failed."""
        if self._running is None:
            raise RuntimeError("nothing was running")
        if seconds is not None:
            self.speed.observe(self._running.tokens, seconds)
        self._running = None

    def predicted_wait(self, now: float, tokens: int) -> float:
        """Seconds until new work of so many tokens would be done, behind all that waits.

        Cautious, and blind as long as no batch was finished.
        """
        return self._forecast(now)(self._waiting_tokens + tokens)

    # --- Admission ----------------------------------------------------------------------

    def _lateness(self, newcomer: Waiting, now: float) -> str | None:
        """Which promise could not be kept if the newcomer were admitted, if any."""
        turns = [
            (turn, waiting)
            for waiting in (*self._waiting.values(), newcomer)
            for turn in waiting.turns()
        ]
        turns.sort(key=lambda entry: entry[0].due)
        seconds_until_done = self._forecast(now)
        others = own = 0
        for turn, waiting in turns:
            if waiting is newcomer:
                own += turn.tokens
            else:
                others += turn.tokens
            if not own or not turn.first:
                continue
            left = waiting.work.deadline - now
            wait = seconds_until_done(others + own)
            if waiting is newcomer and wait > left:
                return f"scores would take about {wait:.2f} s and {max(0.0, left):.2f} s are left"
            # A promise that is broken anyway is not the newcomer's fault.
            if wait > left >= seconds_until_done(others):
                return "requests that were admitted before would miss their deadlines"
        return None

    def _forecast(self, now: float) -> Callable[[int], float]:
        """Seconds until the device has done what it is at and so many tokens more."""
        idle_s, size = self._seconds_until_idle(now), self._batch_tokens
        return lambda tokens: idle_s + self.speed.seconds(tokens, batches=math.ceil(tokens / size))

    def _seconds_until_idle(self, now: float) -> float:
        if self._running is None:
            return 0.0
        # A batch that is overdue is expected to need as long again as it is overdue by, so that
        # a device that hangs is found out and nothing is queued up behind it.
        return abs(self._running.expected_end - now)

    # --- Packing ------------------------------------------------------------------------

    @property
    def _waiting_tokens(self) -> int:
        return sum(waiting.tokens for waiting in self._waiting.values())

    @property
    def _batch_tokens(self) -> float:
        """Tokens that a batch may hold, deadlines aside."""
        # The overhead does not count: a device on which it is large wants large batches.
        return max(1.0, min(self._budget, self.speed.tokens_during(self._batch_s)))

    def _drop_late(self, now: float) -> tuple[Slice, ...]:
        late = [waiting for waiting in self._waiting.values() if self._is_late(waiting, now)]
        for waiting in late:
            self.cancel(waiting.work.id)
        return tuple(waiting.rest for waiting in late)

    def _is_late(self, waiting: Waiting, now: float) -> bool:
        left = waiting.work.deadline - now
        if waiting.taken == 0:
            # A prediction alone is no reason to drop it: the device may try it when idle.
            return left <= 0.0
        return self.speed.tokens_within(left) < waiting.next_cost

    def _pack(self, now: float) -> Batch:
        queue = [(w.due, order, w) for order, w in enumerate(self._waiting.values())]
        heapq.heapify(queue)
        first = queue[0][-1]
        starts: dict[str, int] = {}
        limit = self._batch_tokens
        tokens = 0
        while queue:
            _, order, waiting = heapq.heappop(queue)
            limit_in_time = min(limit, self.speed.tokens_within(waiting.work.deadline - now))
            start = waiting.taken
            if took := waiting.take(limit_in_time - tokens):
                starts.setdefault(waiting.work.id, start)
                tokens += took
                limit = limit_in_time
                if waiting.tokens:
                    heapq.heappush(queue, (waiting.due, order, waiting))
            elif limit_in_time == limit:
                break
        if not starts:
            starts[first.work.id] = first.taken
            tokens = first.take(first.next_cost)
        return Batch(tuple(self._hand_out(*item) for item in starts.items()), tokens)

    def _hand_out(self, request_id: str, start: int) -> Slice:
        waiting = self._waiting[request_id]
        self._pairs -= waiting.taken - start
        if not waiting.tokens:
            del self._waiting[request_id]
        return Slice(request_id, start, waiting.taken)
