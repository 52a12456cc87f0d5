"""Queries embedded in this process: the model on a thread, the caller on its loop."""

import asyncio
import time

from pipelines.ports import Embedder, Vector


class LocalQueryEmbedder:
    """A QueryEmbedder over a model in this process."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def embed(self, query: str, *, instruction: str | None = None, deadline: float) -> Vector:
        async with asyncio.timeout(deadline - time.monotonic()):
            # A thread cannot be called back: at the deadline its result is left to itself.
            vectors = await asyncio.to_thread(
                self._embedder.embed_queries, [query], instruction=instruction
            )
        vector: Vector = vectors[0]
        return vector
