"""A request on its way through the scheduler: pairs, grouped into turns with due times."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

HASTE = 4
"""The first turn is due when this part of the time to the deadline has passed."""


def estimate_tokens(passage: str) -> int:
    """Tokens of a pair, roughly: four characters each, and some for what surrounds them."""
    return len(passage) // 4 + 16


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


class Turn(NamedTuple):
    """What is left of one turn: when it is due, its tokens, and whether it is the first."""

    due: float
    tokens: int
    first: bool


class Waiting:
    """A request that waits, and how far it has come.

    Turn k ends with the pair that brings the request to `(k + 1) * quantum` tokens. It is due
    `(k + 1) * min(patience_s, time to the deadline / HASTE)` after the arrival, and by the
    deadline at the latest.

    Attributes:
        taken: Pairs that have been handed out.
    """

    def __init__(self, work: Work, quantum: int, patience_s: float) -> None:
        self.work = work
        self.taken = 0
        self._quantum = quantum
        self._pace_s = min(patience_s, (work.deadline - work.arrival) / HASTE)
        # Tokens of the first 0, 1, 2 ... pairs.
        self._sums = list(accumulate(work.costs, initial=0))

    @property
    def tokens(self) -> int:
        """Tokens of the pairs that wait."""
        return self._sums[-1] - self._sums[self.taken]

    @property
    def next_cost(self) -> int:
        """Tokens of the next pair."""
        return self.work.costs[self.taken]

    @property
    def rest(self) -> Slice:
        """The pairs that wait."""
        return Slice(self.work.id, self.taken, len(self.work.costs))

    @property
    def due(self) -> float:
        """When the present turn is due."""
        return self._due(self._turn_of(self.taken))

    def turns(self) -> Iterator[Turn]:
        """The turns that are left, in order."""
        start = self.taken
        while start < len(self.work.costs):
            turn = self._turn_of(start)
            stop = self._end_of(turn)
            yield Turn(self._due(turn), self._sums[stop] - self._sums[start], turn == 0)
            start = stop

    def take(self, room: float) -> int:
        """Hand out pairs to the end of the turn, or until the next does not fit into `room`.

        Returns:
            Their tokens.
        """
        before = self._sums[self.taken]
        fitting = bisect_right(self._sums, before + room) - 1
        self.taken = max(self.taken, min(fitting, self._end_of(self._turn_of(self.taken))))
        return self._sums[self.taken] - before

    def _turn_of(self, pair: int) -> int:
        return self._sums[pair] // self._quantum

    def _end_of(self, turn: int) -> int:
        end = bisect_left(self._sums, (turn + 1) * self._quantum)
        return min(end, len(self.work.costs))

    def _due(self, turn: int) -> float:
        return min(self.work.deadline, self.work.arrival + (turn + 1) * self._pace_s)
