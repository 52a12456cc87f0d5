"""Connections whose client hardly sends, or never comes to the point: cut off.

A body that is being read has its own clock and its own cap (`limits.BodyLimit`). This clock runs
whenever a client owes bytes that no request of ours is reading: the head of its next request, or
the rest of a body that has been refused. uvicorn has one for a connection that says nothing after
an answer, and none for one that says nothing at first, or a letter now and then. The parser has no
cap on what it gathers before it has anything to say (a head, the trailers of a body), so that is
counted here.
"""

import asyncio
import logging

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger(__name__)

HEAD_S = 20.0
HEAD_BYTES = 64 * 1024


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with an end to its patience."""

    _clock: asyncio.TimerHandle | None = None
    _arriving = False  # whether a request has begun to arrive, and has not ended
    _pointless = 0  # bytes that came since the parser last had something to say

    # --- The connection -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._pointless += len(data)
        super().data_received(data)
        if self._pointless > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    # --- What the parser says -----------------------------------------------------------

    def on_message_begin(self) -> None:
        self._arriving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._pointless = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._pointless = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._arriving, self._pointless = False, 0
        super().on_message_complete()

    # --- The clock ----------------------------------------------------------------------

    def _watch(self) -> None:
        """Let the clock run, from when it first had a reason, or stop it."""
        if not self._owing():
            self._stop()
        elif self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._cut)

    def _owing(self) -> bool:
        """Whether the client has bytes to send that nothing else waits for with a deadline."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and (self._arriving or self.timeout_keep_alive_task is None)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _cut(self) -> None:
        if not self.transport.is_closing():
            log.info("closed a connection that owed a request for %.0f s", HEAD_S)
            self.transport.close()
