"""The rerank queue inside one process: callers on event loops, one thread before the model.

    rerank() ──offer──> Scheduler ──next_batch──> worker thread ──> RerankModel
       ^                                               │
       └──────────── the scores of each batch ─────────┘

A caller waits on its own loop and answers by its deadline with what was scored until then,
whatever the model does meanwhile. The thread starts with the first request, ends after a while
without any, and starts again should it die.
"""

import asyncio
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from pipelines.ports import (
    Pairs,
    PairScores,
    RerankModel,
    RerankOutcome,
    RerankProfile,
    RerankRequest,
)
from pipelines.rerank.attempt import Failure
from pipelines.rerank.batch import Batch, Scheduler
from pipelines.rerank.caller import Caller
from pipelines.rerank.grouping import score_each
from pipelines.rerank.turns import Slice, Work, estimate_tokens
from twofold.schema import RerankStatus

log = logging.getLogger(__name__)

LINGER_S = 5.0
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 8.0


class InProcessReranker:
    """A Reranker over a model in this process; several event loops may call it at once.

    Args:
        model: Called from one thread at a time.
        scheduler: Decides what is scored when, and what is refused.
        tokens: Estimated tokens of a passage. Runs on the event loop, so it has to be quick.
        clock: Seconds; the deadlines of requests are on it.
        drain_s: How long `close` waits for the batch that is running.
    """

    def __init__(
        self,
        model: RerankModel,
        *,
        scheduler: Scheduler | None = None,
        tokens: Callable[[str], int] = estimate_tokens,
        clock: Callable[[], float] = time.monotonic,
        drain_s: float = 10.0,
    ) -> None:
        self._model = model
        self._scheduler = scheduler or Scheduler()
        self._tokens = tokens
        self._clock = clock
        self._drain_s = drain_s
        self._ids = map(str, itertools.count())
        # Guards the scheduler and all below; notified when there is work, and on close.
        self._changed = threading.Condition()
        self._calls: dict[str, Caller] = {}
        self._worker: threading.Thread | None = None
        self._closed = False
        self._deaths = 0
        self._down_until = -math.inf

    @property
    def model(self) -> str | None:
        return self._model.name

    @property
    def profile(self) -> RerankProfile:
        return self._model.profile

    async def rerank(self, request: RerankRequest) -> RerankOutcome:
        call = Caller(next(self._ids), request, self._clock())
        costs = [max(1, self._tokens(passage)) for passage in request.passages]
        if costs and self._admit(call, costs):
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(request.deadline - self._clock()):
                        await call.settled.wait()
            finally:
                self._withdraw(call)
        return call.outcome(self._clock())

    async def close(self) -> None:
        """Refuse what waits, give the running batch `drain_s` to finish, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            worker = self._worker
            for call in [call for call in self._calls.values() if not call.progress.begun]:
                self._settle(call, "unavailable", "the reranker is shutting down")
        if worker is not None:
            await asyncio.to_thread(worker.join, self._drain_s)
            if worker.is_alive():
                log.warning("the reranker did not finish its batch in %g s", self._drain_s)
        with self._changed:
            self._settle_all("unavailable", "the reranker is shutting down")

    # --- On the caller's loop -----------------------------------------------------------

    def _admit(self, call: "Caller", costs: Sequence[int]) -> bool:
        """Queue the call, or settle it at once with the reason why not."""
        with self._changed:
            now = self._clock()
            refusal = self._refusal(call, costs, now)
            if refusal is not None:
                call.status, call.reason = refusal
                return False
            self._calls[call.id] = call
            if self._worker is None:
                self._start_worker()
            self._changed.notify()
            return True

    def _start_worker(self) -> None:
        self._worker = threading.Thread(target=self._work, name="reranker")
        try:
            self._worker.start()
        except RuntimeError as no_thread:
            self._bury(no_thread)

    def _refusal(
        self, call: "Caller", costs: Sequence[int], now: float
    ) -> tuple[RerankStatus, str] | None:
        deadline = call.request.deadline
        if self._closed:
            return "unavailable", "the reranker is shutting down"
        if now < self._down_until:
            wait = self._down_until - now
            return "unavailable", f"the reranker's thread has died; it restarts in {wait:.1f} s"
        if deadline <= now:
            return "timeout", "the deadline had passed before the reranker was asked"
        overload = self._scheduler.offer(Work(call.id, costs, deadline, call.arrival), now)
        return None if overload is None else ("overloaded", overload)

    def _withdraw(self, call: "Caller") -> None:
        """The caller stops waiting: scored, at its deadline, or gone."""
        with self._changed:
            self._scheduler.cancel(call.id)
            self._calls.pop(call.id, None)

    # --- On the worker thread -----------------------------------------------------------

    def _work(self) -> None:
        try:
            while parts := self._next_parts():
                self._serve(parts)
        except BaseException as death:
            log.exception("the reranker's thread died")
            self._bury(death)

    def _next_parts(self) -> list["_Part"]:
        """Wait for work and take the next batch of it; empty when the thread is to end."""
        with self._changed:
            while self._changed.wait_for(self._has_news, LINGER_S) and not self._closed:
                now = self._clock()
                batch, expired = self._scheduler.next_batch(now)
                for late in expired:
                    self._settle(self._calls[late.id], "timeout", "the deadline came first")
                if batch is not None:
                    return self._begin(batch, now)
            self._worker = None
            return []

    def _has_news(self) -> bool:
        return self._closed or self._scheduler.waiting_pairs > 0

    def _begin(self, batch: Batch, now: float) -> list["_Part"]:
        parts = [_Part(self._calls[piece.id], piece) for piece in batch.slices]
        for part in parts:
            part.call.progress.begin(now)
        return parts

    def _serve(self, parts: list["_Part"]) -> None:
        seconds = None
        try:
            started = self._clock()
            if score_each(
                self._model,
                [part.pairs for part in parts],
                wanted=lambda number: self._wanted(parts[number]),
                deliver=lambda number, result: self._deliver(parts[number], result),
            ):
                seconds = self._clock() - started
                self._deaths = 0
        finally:
            with self._changed:
                self._scheduler.finished(seconds)

    def _wanted(self, part: "_Part") -> bool:
        with self._changed:
            return part.call.id in self._calls and part.call.request.deadline > self._clock()

    def _deliver(self, part: "_Part", result: PairScores | Failure) -> None:
        with self._changed:
            if part.call.id not in self._calls:
                return
            if isinstance(result, Failure):
                self._settle(part.call, result.status, result.reason)
                return
            part.call.progress.add(part.piece.start, result, self._clock())
            if part.call.progress.complete:
                self._settle(part.call, "applied", "")

    def _bury(self, death: BaseException) -> None:
        """The thread ends by accident: answer everybody, and let the next one wait a little."""
        with self._changed:
            self._worker = None
            backoff = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**self._deaths)
            self._down_until = self._clock() + backoff
            self._deaths += 1
            self._settle_all("unavailable", f"the reranker's thread died of {type(death).__name__}")

    # --- On either, under the lock ------------------------------------------------------

    def _settle(self, call: "Caller", status: RerankStatus, reason: str) -> None:
        """End a call; whatever of it still waits is not scored any more."""
        self._scheduler.cancel(call.id)
        self._calls.pop(call.id, None)
        call.settle(status, reason)

    def _settle_all(self, status: RerankStatus, reason: str) -> None:
        for call in list(self._calls.values()):
            self._settle(call, status, reason)


class _Part(NamedTuple):
    """What a batch holds of one call."""

    call: Caller
    piece: Slice

    @property
    def pairs(self) -> Pairs:
        request = self.call.request
        passages = request.passages[self.piece.start : self.piece.stop]
        return Pairs(request.query, passages, request.instruction)
