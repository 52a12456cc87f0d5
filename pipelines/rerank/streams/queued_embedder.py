"""Queries, and texts of other applications, embedded by the workers: the API has no model."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from pipelines.ports import TextKind, Vector
from pipelines.rerank.streams.fleet import Fleet
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.outbox import Outbox
from pipelines.rerank.streams.wire import (
    Announcement,
    EmbedCall,
    Embedded,
    Refused,
    Reply,
    Stream,
    WireError,
)
from twofold.errors import Unavailable

RETRY_S = 1
IN_FLIGHT = 32
"""Texts of one call that are with the workers at once: a batch, so that queries find a place."""


class QueuedQueryEmbedder:
    """A QueryEmbedder and a TextEmbedder over the workers of one stream; for one event loop.

    Args:
        link: To Redis; whoever made it closes it.
        name: Of the stream: the setting of the embedder, the same here and at the workers.
        most: Queries that may wait at once, of this process.
    """

    def __init__(self, link: Link, name: str, *, most: int = 1_024) -> None:
        self._fleet = Fleet(link, Stream.embed(name), role="embeds")
        self._outbox = Outbox(link, self._fleet)
        self._most = most

    @property
    def name(self) -> str:
        return self._announced.model

    @property
    def dimensions(self) -> int:
        return self._announced.dimensions or 0

    @property
    def workers(self) -> Sequence[str]:
        """Names of the workers that were there at the last look."""
        return [worker.consumer for worker in self._fleet.workers]

    async def trouble(self) -> str | None:
        """Why nothing can be embedded now, if so, in one sentence."""
        return await self._fleet.ready()

    @property
    def min_dimensions(self) -> int:
        return self._announced.min_dimensions or self.dimensions

    @property
    def max_tokens(self) -> int:
        return self._announced.max_tokens or 0

    @property
    def instructed(self) -> bool:
        return self._announced.instructed

    async def embed(self, query: str, *, instruction: str | None = None, deadline: float) -> Vector:
        return await self._embed(query, "query", instruction, deadline)

    async def embed_texts(self, texts: Sequence[str], *, kind: TextKind, deadline: float) -> Vector:
        places = asyncio.Semaphore(IN_FLIGHT)

        async def one(text: str) -> Vector:
            async with places:
                return await self._embed(text, kind, None, deadline)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(text)) for text in texts]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        vectors: Vector = np.stack([task.result() for task in tasks])
        return vectors

    async def _embed(
        self, text: str, kind: TextKind, instruction: str | None, deadline: float
    ) -> Vector:
        async with asyncio.timeout(deadline - time.monotonic()):
            trouble = await self._fleet.ready()
            if trouble is None and len(self._outbox.sent) >= self._most:
                trouble = f"{self._most} queries wait for it already"
            if trouble is not None:
                raise unavailable(trouble)
            return await self._ask(text, kind, instruction, deadline)

    async def _ask(
        self, text: str, kind: TextKind, instruction: str | None, deadline: float
    ) -> Vector:
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def make(budget_s: float, deadline_s: float) -> EmbedCall:
            return EmbedCall(text, budget_s, deadline_s, instruction, kind)

        def receive(reply: Reply) -> None:
            self._outbox.forget(sent)
            if not answer.done():
                answer.set_result(reply)

        sent = self._outbox.send(make, deadline=deadline, handler=receive)
        try:
            return self._vector(await answer)
        finally:
            self._outbox.withdraw(sent)

    def _vector(self, reply: Reply) -> Vector:
        match reply:
            case Embedded():
                try:
                    return reply.unpacked()
                except WireError as error:
                    raise unavailable(f"a worker's reply cannot be read: {error}") from None
            case Refused("timeout"):
                raise TimeoutError
            case Refused(status, reason):
                if status == "unavailable":
                    self._fleet.doubt()
                raise unavailable(reason)
        raise unavailable("a worker answered something else than a vector")

    @property
    def _announced(self) -> Announcement:
        announced = self._fleet.model
        if announced is None:
            raise unavailable(self._fleet.trouble or "no worker that embeds has ever come up")
        return announced


def unavailable(reason: str) -> Unavailable:
    """The error of a search that cannot have its query embedded."""
    return Unavailable(what="The embedder", reason=reason, seconds=RETRY_S, retry_after=RETRY_S)
