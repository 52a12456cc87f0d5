"""Queries embedded in this process: the model on a thread, the caller on its loop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from pipelines.ports import Embedder, Vector


class LocalQueryEmbedder:
    """A QueryEmbedder over a model in this process, for one query at a time.

    A computation has all cores already: side by side, queries would share them, each be done
    later, and hold up the loop that answers. One that waits is given up at its deadline.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queries")

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def embed(self, query: str, *, instruction: str | None = None, deadline: float) -> Vector:
        async with asyncio.timeout(deadline - time.monotonic()):
            # A thread cannot be called back: what it has begun is left to itself at the deadline.
            vectors = await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: self._embedder.embed_queries([query], instruction=instruction)
            )
        vector: Vector = vectors[0]
        return vector
