"""The two models of a worker, each before its stream: entries in, replies out."""

import math
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import msgspec

from pipelines.ports import (
    Embedder,
    Pairs,
    PairScores,
    RerankModel,
    TextKind,
    Vector,
    shortest,
    takes_instructions,
)
from pipelines.rerank.attempt import Failure, attempt
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.grouping import score_each
from pipelines.rerank.streams.consumer import Consumer, Entry
from pipelines.rerank.streams.wire import (
    Announcement,
    Call,
    EmbedCall,
    Embedded,
    Pace,
    Profile,
    Refusal,
    Refused,
    RerankCall,
    Scored,
)
from pipelines.rerank.turns import Slice, Work, estimate_tokens

MOST_QUERIES = 32
MOST_ENTRIES = 128
LATE = "the deadline came first"


class Served(Protocol):
    """A model, and the entries of its stream that a worker holds."""

    @property
    def announcement(self) -> Announcement:
        """What API processes have to know of it now."""
        ...

    @property
    def room(self) -> int:
        """How many entries the next batch has room for."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether there is something to do."""
        ...

    def offer(self, entry: Entry) -> None:
        """Take an entry in, or answer it at once."""
        ...

    def serve(self) -> None:
        """Run one batch of what waits and answer it."""
        ...

    @property
    def running(self) -> Sequence[Entry]:
        """The entries of the batch that the model is at, or was when it died."""
        ...

    def rest(self, entry: Entry) -> Call:
        """What of an entry has no results yet."""
        ...


class ServedEmbedder:
    """Queries in, vectors out; all that wait go into one batch."""

    def __init__(
        self, embedder: Embedder, consumer: Consumer, *, clock: Callable[[], float]
    ) -> None:
        self._embedder = embedder
        self._consumer = consumer
        self._clock = clock
        self._entries: list[Entry] = []
        self.running: Sequence[Entry] = ()

    @property
    def announcement(self) -> Announcement:
        return Announcement(
            consumer=self._consumer.name,
            host=socket.gethostname(),
            model=self._embedder.name,
            dimensions=self._embedder.dimensions,
            min_dimensions=shortest(self._embedder),
            max_tokens=self._embedder.max_tokens,
            instructed=takes_instructions(self._embedder),
        )

    @property
    def room(self) -> int:
        return MOST_QUERIES - len(self._entries)

    @property
    def waiting(self) -> bool:
        return bool(self._entries)

    def offer(self, entry: Entry) -> None:
        self._entries.append(entry)

    def serve(self) -> None:
        groups: dict[tuple[TextKind, str | None], list[Entry]] = {}
        now = self._clock()
        for entry in self._entries:
            if entry.deadline <= now:
                refuse(self._consumer, entry, "timeout", LATE)
            else:
                call = cast("EmbedCall", entry.call)
                groups.setdefault((call.kind, call.instruction), []).append(entry)
        self._entries = []
        for (kind, instruction), entries in groups.items():
            self._embed(kind, instruction, entries)

    def rest(self, entry: Entry) -> Call:
        return entry.call

    def _embed(self, kind: TextKind, instruction: str | None, entries: Sequence[Entry]) -> None:
        self.running = entries

        def run(numbers: Sequence[int]) -> list[Vector | Failure]:
            texts = [entries[number].call.query for number in numbers]
            if kind == "passage":
                return list(self._embedder.embed_passages(texts))
            return list(self._embedder.embed_queries(texts, instruction=instruction))

        def deliver(number: int, result: Vector | Failure) -> None:
            if isinstance(result, Failure):
                refuse(self._consumer, entries[number], result.status, result.reason)
            else:
                self._consumer.answer(entries[number], Embedded.of(result), last=True)

        attempt(
            run,
            len(entries),
            wanted=lambda number: entries[number].deadline > self._clock(),
            deliver=deliver,
        )
        self.running = ()


@dataclass
class _Ranked:
    """An entry of passages, and how many of them have been answered."""

    entry: Entry
    done: int = 0

    @property
    def call(self) -> RerankCall:
        return cast("RerankCall", self.entry.call)

    def pairs(self, piece: Slice) -> Pairs:
        passages = self.call.passages[piece.start : piece.stop]
        return Pairs(self.call.query, passages, self.call.instruction)


class ServedReranker:
    """Passages in, scores out, in the batches that the scheduler packs.

    Args:
        model: Called from the worker's one thread.
        scheduler: Decides what is scored when, and what cannot be done in time.
        tokens: Estimated tokens of a passage, as the API processes estimate them.
        clock: The one that the deadlines of entries are on.
    """

    def __init__(
        self,
        model: RerankModel,
        consumer: Consumer,
        *,
        scheduler: Scheduler,
        tokens: Callable[[str], int] = estimate_tokens,
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._consumer = consumer
        self._scheduler = scheduler
        self._tokens = tokens
        self._clock = clock
        self._ranked: dict[str, _Ranked] = {}
        self.running: Sequence[Entry] = ()
        self._entry_tokens = 0.0

    @property
    def announcement(self) -> Announcement:
        speed, profile = self._scheduler.speed, self._model.profile
        return Announcement(
            consumer=self._consumer.name,
            host=socket.gethostname(),
            model=self._model.name,
            profile=Profile(profile.depth, profile.weight, profile.calibrated, profile.instructed),
            pace=Pace(
                overhead_s=speed.spread * speed.overhead_s,
                per_token_s=speed.spread * speed.per_token_s,
                batch_tokens=self._scheduler.batch_tokens,
                entry_tokens=self._entry_tokens,
            ),
        )

    @property
    def room(self) -> int:
        room = self._scheduler.room
        usual = self._entry_tokens or room
        return min(MOST_ENTRIES, math.ceil(room / usual)) if room > 0 else 0

    @property
    def waiting(self) -> bool:
        return self._scheduler.waiting_pairs > 0

    def offer(self, entry: Entry) -> None:
        ranked, now = _Ranked(entry), self._clock()
        if entry.deadline <= now:
            refuse(self._consumer, entry, "timeout", LATE)
            return
        costs = [max(1, self._tokens(passage)) for passage in ranked.call.passages]
        # A running mean over the last eight or so.
        self._entry_tokens += (sum(costs) - self._entry_tokens) / (8 if self._entry_tokens else 1)
        arrival = entry.deadline - ranked.call.budget_s
        refusal = self._scheduler.offer(Work(entry.id, costs, entry.deadline, arrival), now)
        if refusal is None:
            self._ranked[entry.id] = ranked
        else:
            refuse(self._consumer, entry, "overloaded", refusal)

    def serve(self) -> None:
        now = self._clock()
        batch, expired = self._scheduler.next_batch(now)
        for late in expired:
            self._end(late.id, "timeout", LATE)
        if batch is None:
            return
        parts = [(self._ranked[piece.id], piece) for piece in batch.slices]
        self.running = [ranked.entry for ranked, _ in parts]

        def deliver(number: int, result: PairScores | Failure) -> None:
            self._deliver(*parts[number], result, self._clock() - now)

        whole = score_each(
            self._model,
            [ranked.pairs(piece) for ranked, piece in parts],
            wanted=lambda number: parts[number][0].entry.deadline > self._clock(),
            deliver=deliver,
        )
        self._scheduler.finished(self._clock() - now if whole else None)
        self.running = ()

    def rest(self, entry: Entry) -> Call:
        call = cast("RerankCall", entry.call)
        ranked = self._ranked.get(entry.id)
        done = ranked.done if ranked else 0
        return msgspec.structs.replace(call, start=call.start + done, passages=call.passages[done:])

    def _deliver(
        self, ranked: _Ranked, piece: Slice, result: PairScores | Failure, seconds: float
    ) -> None:
        if isinstance(result, Failure):
            self._end(piece.id, result.status, result.reason)
            return
        ranked.done = piece.stop
        last = ranked.done == len(ranked.call.passages)
        if last:
            del self._ranked[piece.id]
        scored = Scored.of(ranked.call.start + piece.start, result, seconds)
        self._consumer.answer(ranked.entry, scored, last=last)

    def _end(self, entry_id: str, status: str, reason: str) -> None:
        self._scheduler.cancel(entry_id)
        refuse(self._consumer, self._ranked.pop(entry_id).entry, status, reason)


def refuse(consumer: Consumer, entry: Entry, status: str, reason: str) -> None:
    """Answer an entry without, or without further, results."""
    consumer.answer(entry, Refused(cast("Refusal", status), reason), last=True)
