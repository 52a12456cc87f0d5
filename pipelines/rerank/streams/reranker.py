"""The rerank queue between processes: the end at which requests are made.

    rerank() ──admit──> Outbox ──> request stream ──> worker (worker.py)
       ^                                                    │
       └──────── Link <── reply stream <── the scores of each batch

Nobody waits in vain: what the workers cannot do by the deadline is refused before it is sent, by
what they have announced of their speed and by what lies in the stream. And a caller answers by its
deadline with what was scored until then, whatever Redis or a worker does meanwhile.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pipelines.ports import RerankOutcome, RerankProfile, RerankRequest
from pipelines.rerank.caller import Caller
from pipelines.rerank.streams.admission import Outlook
from pipelines.rerank.streams.fleet import Fleet
from pipelines.rerank.streams.link import Link, LinkDown
from pipelines.rerank.streams.outbox import Outbox, Sent
from pipelines.rerank.streams.wire import Refused, Reply, RerankCall, Scored, Stream, WireError
from pipelines.rerank.turns import estimate_tokens
from twofold.schema import RerankStatus

UNKNOWN_PROFILE = RerankProfile(depth=50, weight=0.5, calibrated=True)
"""Until a worker has announced its own: nothing is scored then, so only the depth is seen."""

SHUTTING_DOWN = "the reranker is shutting down"


@dataclass(eq=False)
class _Piece:
    """Consecutive passages of a call, sent as one entry."""

    caller: Caller
    costs: Sequence[int]
    start: int
    stop: int
    expected_at: float
    sent: Sent | None = None
    next: int = 0

    @property
    def tokens(self) -> int:
        return sum(self.costs[self.next : self.stop])

    @property
    def pairs(self) -> int:
        return self.stop - self.next


class RedisReranker:
    """A Reranker over the workers of one stream; for one event loop.

    Args:
        link: To Redis; whoever made it closes it.
        name: Of the stream: the setting of the reranker, the same here and at the workers.
        max_pairs: Candidates that may wait, of all API processes together.
        largest: Tokens of an entry. A larger request is sent in several, head first.
        tokens: Estimated tokens of a passage, as the workers estimate them.
        drain_s: How long `close` waits for what workers have begun.
    """

    def __init__(
        self,
        link: Link,
        name: str,
        *,
        max_pairs: int = 4_096,
        largest: int = 16_384,
        tokens: Callable[[str], int] = estimate_tokens,
        drain_s: float = 10.0,
    ) -> None:
        self._link = link
        self._fleet = Fleet(link, Stream.rerank(name), role="reranks")
        self._outbox = Outbox(link, self._fleet)
        self._max_pairs = max_pairs
        self._largest = largest
        self._tokens = tokens
        self._drain_s = drain_s
        self._pieces: dict[Caller, list[_Piece]] = {}
        self._last_sign = time.monotonic()
        self._ids = map(str, itertools.count())
        self._closed = False

    @property
    def model(self) -> str | None:
        announced = self._fleet.model
        return announced.model if announced else None

    @property
    def profile(self) -> RerankProfile:
        announced = self._fleet.model
        if announced is None or announced.profile is None:
            return UNKNOWN_PROFILE
        found = announced.profile
        return RerankProfile(found.depth, found.weight, found.calibrated, found.instructed)

    @property
    def workers(self) -> Sequence[str]:
        """Names of the workers that were there at the last look."""
        return [worker.consumer for worker in self._fleet.workers]

    async def trouble(self) -> str | None:
        """Why nothing can be reranked now, if so, in one sentence."""
        return await self._fleet.ready()

    async def rerank(self, request: RerankRequest) -> RerankOutcome:
        caller = Caller(next(self._ids), request, time.monotonic())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(request.deadline - time.monotonic()):
                    if request.passages and await self._admit(caller):
                        await caller.settled.wait()
        finally:
            self._withdraw(caller)
        return caller.outcome(time.monotonic())

    async def close(self) -> None:
        """Refuse what no worker has read, and give the rest `drain_s` to finish."""
        self._closed = True
        with suppress(LinkDown):
            taken_up = await self._outbox.taken_up()
            for caller, pieces in list(self._pieces.items()):
                if not any(piece.sent and piece.sent.id in taken_up for piece in pieces):
                    self._settle(caller, "unavailable", SHUTTING_DOWN)
        waiting = [asyncio.create_task(caller.settled.wait()) for caller in self._pieces]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=self._drain_s)
            for task in late:
                task.cancel()
        for caller in list(self._pieces):
            self._settle(caller, "unavailable", SHUTTING_DOWN)

    # --- Admission ----------------------------------------------------------------------

    async def _admit(self, caller: Caller) -> bool:
        """Send the request to the workers, or settle it at once with the reason why not."""
        trouble = SHUTTING_DOWN if self._closed else await self._fleet.ready()
        if trouble is not None or self._closed:
            caller.settle("unavailable", trouble or SHUTTING_DOWN)
            return False
        request, now = caller.request, time.monotonic()
        costs = [max(1, self._tokens(passage)) for passage in request.passages]
        outlook = Outlook.of([worker.pace for worker in self._fleet.workers])
        ahead = self._tokens_ahead(outlook)
        refusal = self._refusal(outlook, costs, ahead, request.deadline - now)
        if refusal is not None:
            caller.settle("overloaded", refusal)
            return False
        if not self._pieces:
            self._last_sign = now
        pieces = []
        for start, stop in outlook.pieces(costs, self._largest):
            ahead += sum(costs[start:stop])
            pieces.append(_Piece(caller, costs, start, stop, now + outlook.wait(ahead), next=start))
        self._pieces[caller] = pieces
        for piece in pieces:
            self._send(piece)
        return True

    def _refusal(
        self, outlook: Outlook, costs: Sequence[int], ahead: float, left: float
    ) -> str | None:
        tokens = sum(costs)
        waiting = self._own_pairs + round(self._foreign_tokens(outlook) * len(costs) / tokens)
        if waiting + len(costs) > self._max_pairs:
            return f"{waiting} candidates wait already and the limit is {self._max_pairs}"
        if not ahead:
            # Workers with nothing to do may try: a prediction that is too dark mends itself.
            return None
        wait = self._overdue + outlook.wait(ahead + min(tokens, self._largest))
        if wait > left:
            return f"scores would take about {wait:.2f} s and {max(0.0, left):.2f} s are left"
        return None

    def _tokens_ahead(self, outlook: Outlook) -> float:
        return self._foreign_tokens(outlook) + sum(
            piece.tokens for pieces in self._pieces.values() for piece in pieces
        )

    def _foreign_tokens(self, outlook: Outlook) -> float:
        """What other API processes have in the stream, as far as can be told."""
        return max(0, self._fleet.entries - len(self._outbox.sent)) * outlook.entry_tokens

    @property
    def _own_pairs(self) -> int:
        return sum(piece.pairs for pieces in self._pieces.values() for piece in pieces)

    @property
    def _overdue(self) -> float:
        """Seconds that the workers are late with what they were given first.

        They are expected to need as long again, so that workers that hang are found out.
        """
        first = next((piece for pieces in self._pieces.values() for piece in pieces), None)
        if first is None:
            return 0.0
        return max(0.0, time.monotonic() - max(first.expected_at, self._last_sign))

    # --- Calls under way ----------------------------------------------------------------

    def _send(self, piece: _Piece) -> None:
        request = piece.caller.request
        passages = list(request.passages[piece.start : piece.stop])

        def make(budget_s: float, deadline_s: float) -> RerankCall:
            return RerankCall(
                query=request.query,
                passages=passages,
                start=piece.start,
                budget_s=budget_s,
                deadline_s=deadline_s,
                instruction=request.instruction,
            )

        piece.sent = self._outbox.send(
            make, deadline=request.deadline, handler=partial(self._receive, piece)
        )

    def _receive(self, piece: _Piece, reply: Reply) -> None:
        self._last_sign = time.monotonic()
        match reply:
            case Scored():
                self._add(piece, reply)
            case Refused(status, reason):
                if status == "unavailable":
                    self._fleet.doubt()
                self._give_up(piece, status, reason)
            case _:
                self._give_up(piece, "error", "a worker answered something else than scores")

    def _add(self, piece: _Piece, reply: Scored) -> None:
        caller, now = piece.caller, time.monotonic()
        try:
            scores = reply.unpacked()
        except WireError as error:
            self._give_up(piece, "error", f"a worker's reply cannot be read: {error}")
            return
        stop = reply.start + len(scores.scores)
        if not piece.start <= reply.start < stop <= piece.stop:
            self._give_up(piece, "error", "a worker scored passages that it was not given")
            return
        caller.progress.begin(now - reply.compute_s)
        caller.progress.add(reply.start, scores, now)
        piece.next = max(piece.next, stop)
        if piece.next == piece.stop:
            self._end(piece)
        if caller.progress.complete:
            self._settle(caller, "applied", "")

    def _give_up(self, piece: _Piece, status: RerankStatus, reason: str) -> None:
        """No more of this piece; when no other is under way, that is the answer."""
        self._end(piece)
        piece.caller.status, piece.caller.reason = status, reason
        if not self._pieces.get(piece.caller):
            self._settle(piece.caller, status, reason)

    def _end(self, piece: _Piece) -> None:
        if piece.sent is not None:
            self._outbox.forget(piece.sent)
        pieces = self._pieces.get(piece.caller, [])
        if piece in pieces:
            pieces.remove(piece)

    def _settle(self, caller: Caller, status: RerankStatus, reason: str) -> None:
        self._withdraw(caller)
        caller.settle(status, reason)

    def _withdraw(self, caller: Caller) -> None:
        for piece in self._pieces.pop(caller, []):
            if piece.sent is not None:
                self._outbox.withdraw(piece.sent)
