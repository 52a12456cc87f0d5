"""Calls of this process on their way through a request stream."""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from pipelines.rerank.streams.client import Command
from pipelines.rerank.streams.fleet import Fleet
from pipelines.rerank.streams.link import Handler, Link, LinkDown
from pipelines.rerank.streams.wire import GROUP, Call, Refusal, Refused, WireError, seal


@dataclass(eq=False)
class Sent:
    """A call that was sent and has not been answered to the end.

    Attributes:
        make: The call, given its budget and its deadline on the clock of Redis.
        deadline: On the clock of `time.monotonic()`.
        entry: Id of its entry in the stream, once Redis has confirmed it.
    """

    id: str
    make: Callable[[float, float], Call]
    deadline: float
    handler: Handler
    entry: bytes | None = None


class Outbox:
    """Sends calls, withdraws them, and sends them again when Redis has lost its keys.

    A handler hears of everything that ends its call, also that it could not be sent; it never
    hears of a call that was withdrawn.
    """

    def __init__(self, link: Link, fleet: Fleet) -> None:
        self._link = link
        self._fleet = fleet
        self._stream = fleet.stream
        self._sent: dict[str, Sent] = {}
        fleet.lost = self._send_again

    @property
    def sent(self) -> Collection[Sent]:
        """What is under way, in the order in which it was sent."""
        return self._sent.values()

    def send(
        self, make: Callable[[float, float], Call], *, deadline: float, handler: Handler
    ) -> Sent:
        """Put a call on its way; returns at once."""
        sent = Sent(self._link.expect(handler), make, deadline, handler)
        self._sent[sent.id] = sent
        self._send(sent)
        return sent

    def forget(self, sent: Sent) -> None:
        """Its last reply is there."""
        self._sent.pop(sent.id, None)
        self._link.forget(sent.id)

    def withdraw(self, sent: Sent) -> None:
        """Nobody waits for it any more; a worker that has it already is left alone."""
        if self._sent.pop(sent.id, None) is not None:
            self._link.forget(sent.id)
            if sent.entry is not None:
                self._take_back(sent.entry)

    async def taken_up(self) -> set[str]:
        """Ids of those calls that a worker has read.

        Raises:
            LinkDown: Redis does not answer.
        """
        entries = {sent.entry: sent.id for sent in self._sent.values() if sent.entry is not None}
        if not entries:
            return set()
        answers = await self._link.ask(
            [("XPENDING", self._stream.key, GROUP, entry, entry, 1) for entry in entries]
        )
        return {call for call, found in zip(entries.values(), answers, strict=True) if found}

    def _send(self, sent: Sent) -> None:
        left = max(0.0, sent.deadline - time.monotonic())
        try:
            call = sent.make(left, self._link.clock.now() + left)
            fields = seal(sent.id, call, to=self._link.inbox)
        except WireError as error:
            self._end(sent, "error", f"the request cannot be sent: {error}")
            return
        commands: list[Command] = [
            ("XADD", self._stream.key, "*", *fields),
            ("XLEN", self._stream.key),
        ]
        self._link.send(commands, lambda answers: self._confirm(sent, answers))

    def _confirm(self, sent: Sent, answers: list[Any] | LinkDown) -> None:
        """Redis has taken the call, or not."""
        if isinstance(answers, LinkDown):
            self._end(sent, "unavailable", str(answers))
            return
        entry, length = answers
        if isinstance(entry, Exception):
            self._end(sent, "unavailable", f"Redis does not take the request: {entry}")
            return
        self._fleet.entries = length
        sent.entry = entry
        if sent.id not in self._sent:
            self._take_back(entry)

    def _end(self, sent: Sent, status: Refusal, reason: str) -> None:
        if self._sent.pop(sent.id, None) is not None:
            self._link.forget(sent.id)
            # Soon, not now: whoever is sending does not expect an answer before `send` returns.
            asyncio.get_running_loop().call_soon(sent.handler, Refused(status, reason))

    def _take_back(self, entry: bytes) -> None:
        key = self._stream.key
        self._link.send([("XACK", key, GROUP, entry), ("XDEL", key, entry)])

    def _send_again(self) -> None:
        for sent in list(self._sent.values()):
            if sent.entry is not None:
                sent.entry = None
                self._send(sent)
