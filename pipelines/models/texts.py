"""Texts embedded in this process for other applications: a slice at a time, in turns, bounded."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from pipelines.models.local import LocalFacts
from pipelines.ports import Embedder, TextKind, Vector
from twofold.errors import Unavailable

SLICE = 32
"""Texts that the model is given at once; between two slices others have their turn."""
MAX_WAITING = 8_192
"""Texts that may wait for the model before more are refused."""
RETRY_S = 5


class LocalTextEmbedder(LocalFacts):
    """A TextEmbedder over a model in this process.

    Args:
        embedder: Given one slice at a time.
        max_waiting: Texts that may wait.
    """

    def __init__(self, embedder: Embedder, *, max_waiting: int = MAX_WAITING) -> None:
        super().__init__(embedder)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._turn = asyncio.Semaphore(1)

    async def embed_texts(self, texts: Sequence[str], *, kind: TextKind, deadline: float) -> Vector:
        if self._waiting + len(texts) > self._max_waiting:
            raise Unavailable(
                what="The embedder",
                reason=f"{self._waiting} texts wait for it already",
                seconds=RETRY_S,
                retry_after=RETRY_S,
            )
        self._waiting += len(texts)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                parts = [
                    await self._embed(texts[start : start + SLICE], kind, deadline)
                    for start in range(0, len(texts), SLICE)
                ]
        finally:
            self._waiting -= len(texts)
        vectors: Vector = np.concatenate(parts)
        return vectors

    async def _embed(self, texts: Sequence[str], kind: TextKind, deadline: float) -> Vector:
        verb = self._embedder.embed_queries if kind == "query" else self._embedder.embed_passages
        async with self._turn:
            if deadline <= time.monotonic():
                raise TimeoutError
            return await asyncio.to_thread(verb, texts)
