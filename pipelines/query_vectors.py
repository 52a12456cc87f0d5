"""Vectors of queries that were asked before: people ask the same things again."""

import time
from collections.abc import Callable
from typing import NamedTuple

from cachetools import TTLCache

from pipelines.dimensions import shortened
from pipelines.embedders import Embedders
from pipelines.ports import Collection, QueryEmbedder, Vector


class QueryVector(NamedTuple):
    """The vector of a query: [dimensions] float32, and whether it was known from before."""

    vector: Vector
    cached: bool


class QueryVectors:
    """Embeds queries and remembers them, each tenant's apart. For one event loop.

    Args:
        embedders: Asked for what is not known.
        max_bytes: Of the vectors that are kept, the most recently used ones; 0 keeps none.
        ttl_s: Seconds after which a query is embedded again.
        clock: Seconds.
    """

    def __init__(
        self,
        embedders: Embedders[QueryEmbedder],
        *,
        max_bytes: int = 0,
        ttl_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.embedders = embedders
        self._known: TTLCache[tuple[str, str, int, str | None, str], Vector] = TTLCache(
            max_bytes, ttl_s, timer=clock, getsizeof=lambda vector: vector.nbytes
        )

    async def of(
        self,
        tenant: str,
        collection: Collection,
        query: str,
        *,
        instruction: str | None,
        deadline: float,
    ) -> QueryVector:
        """The vector of a query for a collection; raises what its embedder raises.

        What is remembered are whole vectors: they serve every number of dimensions.
        """
        model = self.embedders.of(collection)
        key = (tenant, model.name, model.dimensions, instruction, query)
        known = self._known.get(key)
        if known is not None:
            return QueryVector(shortened(known, collection.dimensions), cached=True)
        vector = await model.embed(query, instruction=instruction, deadline=deadline)
        if vector.nbytes <= self._known.maxsize:
            self._known[key] = vector
        return QueryVector(shortened(vector, collection.dimensions), cached=False)
