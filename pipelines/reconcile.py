"""The reconciler: finds on the ledger what the queue has lost, and what a dead worker has left.

Redis may forget announcements, and workers may be killed. So a row that is `queued` and that
nobody takes is announced again, and a row in work that gives no sign of life goes back to the
queue, or has failed when that was its last attempt.

Clocks of other hosts are not read. What is watched is that the heartbeat of a row *changes*, on
the clock of this process; so skew does no harm, and a new reconciler watches for a while first.
"""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipelines.ports import IngestQueue, Store
from pipelines.work import death, place, rest_s
from twofold.errors import NotFound
from twofold.schema import Document

log = logging.getLogger(__name__)

GRACE_S = 2.0  # between an announcement and the worker's first write, while nothing waits
WINDOW_S = 60.0  # before a row is announced again while others wait; doubles each time
LONGEST_WINDOW_S = 960.0


@dataclass(slots=True)
class _Sighting:
    """A row in one state, for as long as it stays in it."""

    state: tuple[object, ...]
    since: float
    announced: int = 0
    walk: int = 0


@dataclass
class Reconciler:
    """Walks over what is unfinished, a stretch of it in each round.

    One process at a time should run it; when two do, a document is announced twice, no more.

    Args:
        store: With the ledger.
        queue: Where to announce.
        backlog: How many announcements wait there.
        attempts: Tries before a document is failed.
        stale_s: Silence after which the worker of a row is dead.
        rows: Looked at in a round.
        enough: Announcements that may wait; with so many the workers lack nothing.
        clock: Seconds, of this process.
    """

    store: Store
    queue: IngestQueue
    backlog: Callable[[], Awaitable[int]]
    attempts: int = 3
    stale_s: float = 15.0
    rows: int = 2_000
    enough: int = 1_000
    clock: Callable[[], float] = time.monotonic
    _seen: dict[tuple[str, str, str], _Sighting] = field(default_factory=dict, repr=False)
    _walk: AsyncIterator[tuple[str, Document]] | None = field(default=None, repr=False)
    _walks: int = 0

    async def round(self) -> None:
        """Look at the next stretch of the ledger and do what is due there."""
        waiting = await self.backlog()
        room = max(0, self.enough - waiting)
        due: dict[str, list[Document]] = {}
        try:
            async for tenant, row in self._stretch():
                if row.status != "queued":
                    if self._since(tenant, row) >= self.stale_s:
                        await self._bury(tenant, row)
                elif room and self._is_due(tenant, row, waiting):
                    due.setdefault(tenant, []).append(row)
                    room -= 1
        except BaseException:
            self._walk = None
            raise
        for tenant, rows in due.items():
            await self.queue.submit(tenant, rows)

    async def _stretch(self) -> AsyncIterator[tuple[str, Document]]:
        """The next rows of a walk that goes on over the rounds; it ends where the ledger does."""
        if self._walk is None:
            self._walk = self.store.unfinished()
            self._walks += 1
        for _ in range(self.rows):
            try:
                yield await anext(self._walk)
            except StopAsyncIteration:
                self._walk = None
                self._forget()
                return

    def _forget(self) -> None:
        """At the end of a walk: what was not met on it is finished or gone."""
        self._seen = {key: seen for key, seen in self._seen.items() if seen.walk == self._walks}

    def _sight(self, tenant: str, row: Document) -> _Sighting:
        state = (row.version, row.status, row.attempts, row.heartbeat_at, row.updated_at)
        key = place(tenant, row)
        seen = self._seen.get(key)
        if seen is None or seen.state != state:
            seen = self._seen[key] = _Sighting(state, self.clock())
        seen.walk = self._walks
        return seen

    def _since(self, tenant: str, row: Document) -> float:
        """Seconds for which the row has been seen as it is."""
        return self.clock() - self._sight(tenant, row).since

    def _is_due(self, tenant: str, row: Document, waiting: int) -> bool:
        """Whether a queued row is to be announced now; if so, notes that it is."""
        seen = self._sight(tenant, row)
        if not seen.announced and row.attempts:
            wait_s = rest_s(row.attempts)
        elif not waiting:
            # Whatever was announced has been taken or lost.
            wait_s = GRACE_S if seen.announced else 0.0
        else:
            wait_s = min(WINDOW_S * 2**seen.announced, LONGEST_WINDOW_S)
        if self.clock() - seen.since < wait_s:
            return False
        seen.announced += 1
        seen.since = self.clock()
        return True

    async def _bury(self, tenant: str, row: Document) -> None:
        """The worker of a row is dead: let another one have it, or give the document up."""
        with suppress(NotFound):
            # It may have been published since the walk came by.
            if await self.store.get_document(*place(tenant, row)) != row:
                return
            status, failure = death(row, self.attempts)
            change = {"status": status, "progress": 0.0, "error": failure}
            lost = row.model_copy(update={**change, "updated_at": datetime.now(UTC)})
            if await self.store.touch_document(tenant, lost):
                log.warning("document %r lost its worker: %s", row.id, failure.message)
