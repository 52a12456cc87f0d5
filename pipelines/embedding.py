"""Passages of many documents, embedded together.

A small file has one passage or two, and a model that is called once for each stands still most of
the time. So every document in hand hands its passages in here, and one thread before the model
takes whatever waits: nothing waits for a batch to fill, and while the model computes the next
batch gathers by itself.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from pipelines.ports import Embedder, Vector
from twofold.errors import ModelUnavailable, Unavailable

log = logging.getLogger(__name__)

MAX_TEXTS = 256
MAX_CHARACTERS = 256 * 1_024
"""Bounds of what the model gets at once; it sorts by length and packs as it likes."""


class SharedEmbedder:
    """An `Embedder` for documents, shared by all that are in hand; from any event loop.

    What waits is bounded by its callers: each waits for its answer before it asks again.

    Args:
        embedder: Called from one thread at a time.
        max_texts: Passages of one call of the model, unless a single caller brings more.
        max_characters: The same, in characters.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        max_texts: int = MAX_TEXTS,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        self._embedder = embedder
        self._max_texts = max_texts
        self._max_characters = max_characters
        self._waiting: deque[_Call] = deque()
        # Guards all of the above and below; notified when somebody has come, and on close.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def embed_passages(self, texts: Sequence[str]) -> Vector:
        """See `Embedder.embed_passages`: [n, dimensions] float32, in input order.

        Raises:
            Unavailable: The process is ending.
        """
        if not texts:
            return np.empty((0, self._embedder.dimensions), np.float32)
        call = _Call(texts)
        with self._changed:
            if self._closed:
                raise _ending()
            self._waiting.append(call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="embedder", daemon=True)
                self._thread.start()
            self._changed.notify()
        # A caller that is cancelled cancels the future, and what nobody waits for is skipped.
        return await call.answer

    def close(self, timeout_s: float = 10.0) -> None:
        """Refuse what waits and end the thread, once the model has answered."""
        with self._changed:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().fail(_ending())
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _work(self) -> None:
        while calls := self._next():
            self._embed(calls)

    def _next(self) -> "list[_Call]":
        """Wait for callers and take as many as fit into a batch; empty when it is over."""
        calls: list[_Call] = []
        with self._changed:
            while not calls and not self._closed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                texts = characters = 0
                while self._waiting:
                    call = self._waiting[0]
                    texts, characters = texts + len(call.texts), characters + call.characters
                    if calls and (texts > self._max_texts or characters > self._max_characters):
                        break
                    self._waiting.popleft()
                    if not call.answer.cancelled():
                        calls.append(call)
        return calls

    def _embed(self, calls: "Sequence[_Call]") -> None:
        try:
            vectors = self._embedder.embed_passages([text for call in calls for text in call.texts])
            ends = np.cumsum([len(call.texts) for call in calls])
            for call, part in zip(calls, np.split(vectors, ends[:-1]), strict=True):
                call.give(part)
        except Exception as error:
            # One of them may be to blame; its neighbours shall not suffer for it. But a server
            # that is away was asked more than once already.
            if len(calls) == 1 or isinstance(error, ModelUnavailable):
                for call in calls:
                    call.fail(error)
                return
            log.warning("the model failed on passages of %d documents together", len(calls))
            for call in calls:
                self._embed([call])


class _Call:
    """The passages of one caller and the answer that it waits for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.characters = sum(map(len, texts))
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Vector] = self._loop.create_future()

    def give(self, vectors: Vector) -> None:
        self._settle(lambda: self.answer.set_result(vectors))

    def fail(self, error: Exception) -> None:
        self._settle(lambda: self.answer.set_exception(error))

    def _settle(self, settle: Callable[[], None]) -> None:
        def unless_gone() -> None:
            if not self.answer.done():
                settle()

        # A loop that is closed has no caller left to answer.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(unless_gone)


def _ending() -> Unavailable:
    return Unavailable(what="The embedder", reason="the process is ending", seconds=5)
