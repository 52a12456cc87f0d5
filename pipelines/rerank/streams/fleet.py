"""The workers of a stream as an API process sees them: who there is, how fast, how much waits."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from pipelines.rerank.streams.link import Link, LinkDown
from pipelines.rerank.streams.quiet import Quiet
from pipelines.rerank.streams.wire import (
    Announcement,
    Stream,
    WireError,
    read_announcement,
)

log = logging.getLogger(__name__)

SETTLED_S = 0.05


class Fleet:
    """Looks at the announcements with every beat of the link.

    Args:
        link: Which it watches from.
        stream: Whose workers they are.
        role: What they do, for the sentences.

    Attributes:
        workers: Those that have given a sign of life within their time.
        entries: Length of the stream when last seen: all that is not answered, of all processes.
        lost: Called when Redis has lost its keys, and with them what had been sent.
    """

    def __init__(self, link: Link, stream: Stream, *, role: str) -> None:
        self.stream = stream
        self.workers: tuple[Announcement, ...] = ()
        self.entries = 0
        self.lost: Callable[[], None] = _nothing_was_sent
        self._link = link
        self._role = role
        self._model: Announcement | None = None
        self._strangers = 0
        self._epoch: bytes | None = None
        self._looked_at = 0.0
        self._looking = asyncio.Lock()
        self._quiet = Quiet(log)
        link.watch(self.look)

    @property
    def model(self) -> Announcement | None:
        """The last that was ever announced; None if no worker has ever come up."""
        return self._model

    async def ready(self) -> str | None:
        """Why nothing can be sent to the workers now, if so, in one sentence."""
        await self._link.start()
        trouble = self.trouble
        if trouble is None or self._link.down is not None:
            return trouble
        async with self._looking:
            # A worker may have come up since; of all who ask at once, one looks.
            if self._is_old:
                with suppress(LinkDown):
                    await self.look()
        return self.trouble

    @property
    def trouble(self) -> str | None:
        """As `ready`, as of the last look."""
        if self._link.down is not None:
            return str(self._link.down)
        if self.workers:
            return None
        if self._strangers:
            return f"the workers that {self._role} are of another version of Twofold than this API"
        return f"no worker that {self._role} is running; start `python -m services.reranker`"

    def doubt(self) -> None:
        """A worker has said that it ends: look again before the next call."""
        self.workers = ()
        self._looked_at = 0.0

    async def look(self) -> None:
        """See who is there.

        Raises:
            LinkDown: Redis does not answer.
        """
        stream = self.stream
        commands = [
            ("TIME",),
            ("SET", stream.epoch, uuid.uuid4().hex, "NX"),
            ("GET", stream.epoch),
            ("GET", stream.model),
            ("XLEN", stream.key),
            ("SMEMBERS", stream.workers),
        ]
        now, _, epoch, model, entries, names = await self._link.ask(commands)
        self._link.clock.set(now)
        keys = [stream.worker(name.decode()) for name in sorted(names)]
        [stored] = await self._link.ask([("MGET", *keys)]) if keys else [[]]
        gone = [name for name, found in zip(sorted(names), stored, strict=True) if found is None]
        if gone:
            self._link.send([("SREM", stream.workers, *gone)])
        known = [self._read(each) for each in stored if each is not None]
        self.workers = tuple(worker for worker in known if worker is not None)
        self._strangers = len(known) - len(self.workers)
        self._model = (self._read(model) if model else None) or self._model
        self.entries = entries
        self._looked_at = time.monotonic()
        if self._epoch not in (None, epoch):
            log.warning("Redis has lost its keys; what waits for an answer is sent again")
            self.lost()
        self._epoch = epoch

    @property
    def _is_old(self) -> bool:
        return time.monotonic() - self._looked_at > SETTLED_S

    def _read(self, stored: bytes) -> Announcement | None:
        try:
            return read_announcement(stored)
        except WireError as error:
            self._quiet.warning("a worker's announcement on %s: %s", self.stream.key, error)
            return None


def _nothing_was_sent() -> None:
    """What is lost when nobody has sent anything."""
