"""Two generations of a collection, asked the same queries before one takes the other's place.

It is the first stage that a rebuild changes, so the first stage is compared: the order of documents
by their best passage, as `fuse.rank_recall` has it.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from pipelines import fuse
from pipelines.dimensions import shortened
from pipelines.embedders import Embedders
from pipelines.ports import (
    Collection,
    Embedder,
    RecallQuery,
    SparseEmbedders,
    Store,
    takes_instructions,
)
from twofold.schema import ComparedQuery, Comparison, Quality

CUT = 10
LIMIT = 100

Order: TypeAlias = list[str]
"""Ids of documents, best first."""


@dataclass(frozen=True)
class FirstStage:
    """The first stage of a search, over one generation at a time.

    Attributes:
        instruction: For queries, when the collection has none.
    """

    store: Store
    embedders: Embedders[Embedder]
    sparse: SparseEmbedders
    instruction: str | None = None

    def over(self, tenant: str, collection: Collection) -> Callable[[str], Awaitable[Order]]:
        """What answers queries from one generation."""
        return partial(self.order, tenant, collection)

    async def order(self, tenant: str, collection: Collection, query: str) -> Order:
        """The first documents for a query; raises what store and model raise."""
        embedder = self.embedders.of(collection)
        told = collection.query_instruction or self.instruction
        [dense] = await asyncio.to_thread(
            embedder.embed_queries,
            [query],
            instruction=told if takes_instructions(embedder) else None,
        )
        found = await self.store.recall(
            tenant,
            collection.address,
            RecallQuery(
                shortened(dense, collection.dimensions),
                self.sparse(collection.language).embed_query(query),
                limit=LIMIT,
            ),
        )
        ranked = fuse.rank_recall(found, "weighted")
        return list(dict.fromkeys(each.candidate.chunk.document_id for each in ranked))[:CUT]


async def compare(
    queries: Sequence[ComparedQuery],
    old: Callable[[str], Awaitable[Order]],
    new: Callable[[str], Awaitable[Order]],
) -> Comparison:
    """Ask both, one query after another, and say how they differ.

    Args:
        queries: At least one.
        old: The order of the generation that is in use.
        new: The order of the one that is to take its place.
    """
    before, after, overlaps = list[float](), list[float](), list[float]()
    for query in queries:
        first, second = await old(query.query), await new(query.query)
        overlaps.append(overlap(first, second))
        if query.relevant:
            before.append(ndcg(first, query.relevant))
            after.append(ndcg(second, query.relevant))
    return Comparison(
        queries=len(queries),
        judged=len(before),
        old=Quality(ndcg_10=_mean(before)) if before else None,
        new=Quality(ndcg_10=_mean(after)) if after else None,
        overlap_10=_mean(overlaps),
    )


def ndcg(order: Order, relevant: Sequence[str]) -> float:
    """Discounted gain of the first ten over that of the best order, all gains 1: in 0..1.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    wanted = set(relevant)
    gain = sum(_discount(place) for place, each in enumerate(order[:CUT]) if each in wanted)
    return gain / sum(map(_discount, range(min(CUT, len(wanted)))))


def overlap(first: Order, second: Order) -> float:
    """Share of the first ten that both have, in 0..1; of the longer list, where one is shorter."""
    longer = max(len(first[:CUT]), len(second[:CUT]))
    return len(set(first[:CUT]) & set(second[:CUT])) / longer if longer else 1.0


def _discount(place: int) -> float:
    return 1 / math.log2(place + 2)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 6)
