"""Connections whose client hardly sends: closed, so that nobody can hold them for nothing.

A body that is being read has its own clock (`limits.BodyLimit`). This one runs whenever a client
owes bytes that no request of ours is reading: the head of its next request, or the rest of a body
that has been refused. uvicorn has a clock for a connection that says nothing after an answer, and
none for one that says nothing at first, or a letter now and then.
"""

import asyncio
import logging

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

HEAD_S = 20.0


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an end to its patience."""

    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Let the clock run, from when it first had a reason, or stop it."""
        if not self._owing():
            self._stop()
        elif self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._cut)

    def _owing(self) -> bool:
        """Whether the client has bytes to send that nothing else waits for with a deadline."""
        if self.conn.their_state is h11.IDLE:
            return self.timeout_keep_alive_task is None
        refused = self.conn.our_state in {h11.DONE, h11.MUST_CLOSE}
        return self.conn.their_state is h11.SEND_BODY and refused

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _cut(self) -> None:
        if not self.transport.is_closing():
            log.info("closed a connection that owed a request for %.0f s", HEAD_S)
            self.transport.close()
