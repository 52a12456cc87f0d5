"""Who waits for a rerank request, whichever queue it is in."""

import asyncio
from contextlib import suppress

from pipelines.ports import RerankOutcome, RerankRequest
from pipelines.rerank.progress import Progress
from twofold.schema import RerankStatus


class Caller:
    """A caller and the answer that it waits for."""

    def __init__(self, call_id: str, request: RerankRequest, arrival: float) -> None:
        self.id = call_id
        self.request = request
        self.arrival = arrival
        self.progress = Progress(len(request.passages), arrival)
        self.settled = asyncio.Event()
        self.status: RerankStatus = "timeout"
        self.reason = "the deadline came first"
        self._loop = asyncio.get_running_loop()

    def settle(self, status: RerankStatus, reason: str) -> None:
        """Wake the caller, from any thread."""
        self.status, self.reason = status, reason
        # A loop that is closed has no caller left to wake.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.settled.set)

    def outcome(self, now: float) -> RerankOutcome:
        """The answer as it stands now."""
        return self.progress.outcome(self.status, self.reason, now)
