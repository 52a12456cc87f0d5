"""One pass over the queries: each is asked for everything that the server knows of it.

A search that shows all candidates, with their scores in both lists and from the second stage,
holds what every other search over them would say (`replay.py`). So a query costs one request at
the greatest depth. To measure what other depths cost, each query is first asked at one of the
depths, by turns, before the server has seen it; then once at the greatest, for which the server
remembers what it has scored. Queries come one at a time, so that the times are those of a search
on a server that has nothing else to do.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twofold.client import Client
from twofold.errors import UnexpectedResponse
from twofold.evaluation.judgements import Judgements
from twofold.schema import (
    MAX_LIMIT,
    MAX_RECALL,
    Explanation,
    Method,
    RerankReport,
    Result,
    SearchRequest,
    SearchResponse,
    Timings,
)

DEADLINE_MS = 120_000
"""So long that it is the reranker that is measured and not the patience of the caller."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A candidate, and what each stage said of it; None: nothing."""

    chunk_id: str
    document_id: str
    name: str
    dense: float | None
    sparse: float | None
    dense_rank: int | None
    sparse_rank: int | None
    recall: float
    recall_rank: int
    rerank: float | None


@dataclass(frozen=True, slots=True)
class Timed:
    """What a search cost that the server had not seen before.

    Attributes:
        depth: Candidates that the second stage was asked to score.
        limit: Length of each list of the first stage.
    """

    depth: int
    limit: int
    timings: Timings


@dataclass(frozen=True, slots=True)
class Observation:
    """What became of a query.

    Attributes:
        passages: All candidates in the order of the first stage, scored to the greatest depth.
        method: How the server combines their scores where a request leaves it open.
        rerank: What the second stage did at the greatest depth.
        depth: At which it was asked first.
        served: Ids of the passages in the order of that first answer.
        timed: None when the server remembered some of it from before, or did not score all.
    """

    query_id: str
    passages: list[Passage]
    method: Method
    rerank: RerankReport
    depth: int
    served: list[str]
    timed: Timed | None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the server does with a request that leaves everything open.

    Attributes:
        reranker: Name of the model; None: there is no second stage.
        reranks: Whether a search that does not ask for the second stage gets it.
        warnings: What of its settings has no effect.
    """

    method: Method
    reranker: str | None
    reranks: bool
    warnings: Sequence[str] = ()

    @property
    def depth(self) -> int:
        """Candidates that are scored where there is a second stage; 0 where there is none."""
        return self.method.depth if self.reranker else 0


def ask_defaults(client: Client, collection: str, text: str) -> Defaults:
    """Search once with nothing said, which also warms the server up.

    Raises:
        CollectionNotFound: There is none of this name.
    """
    answer = client.search(
        text, collection=collection, limit=1, explain=True, deadline_ms=DEADLINE_MS
    )
    reranks = answer.rerank.status != "disabled"
    return Defaults(_method(answer), answer.rerank.model, reranks, answer.warnings)


def observe(
    client: Client,
    judgements: Judgements,
    *,
    collection: str,
    depths: Sequence[int],
    limits: Sequence[int],
    whole: int | None = None,
    seed: int = 0,
) -> Iterator[Observation]:
    """Ask every query, in an order drawn from the seed.

    Args:
        client: Of the server.
        judgements: Whose queries.
        collection: Where they are asked.
        depths: Of the second stage; none of them 0. None at all: it is left out.
        whole: Depth to which every query is scored in the end; None: the greatest of `depths`.
        limits: Lengths of the lists of the first stage, of which the greatest is what is kept.
        seed: Of the order, and so of which query is asked first at which depth.
    """
    queries = list(judgements.queries.items())
    random.Random(seed).shuffle(queries)  # noqa: S311 - nothing is secret about it
    most = (max(depths) if whole is None else whole, max(limits)) if depths else (0, max(limits))
    for turn, (query_id, text) in enumerate(queries):
        depth = depths[turn % len(depths)] if depths else 0
        limit = limits[turn // max(1, len(depths)) % len(limits)]
        first = _ask(client, collection, text, depth, limit)
        last = first if (depth, limit) == most else _ask(client, collection, text, *most)
        yield Observation(
            query_id,
            [_passage(result) for result in sorted(last.results, key=_recall_rank)],
            _method(last),
            last.rerank,
            depth,
            [result.chunk_id for result in first.results],
            Timed(depth, limit, first.timings_ms) if _fresh(first, depth) else None,
        )


def _ask(client: Client, collection: str, text: str, depth: int, limit: int) -> SearchResponse:
    """The whole ranking, with what every stage said of every candidate."""
    request = SearchRequest.model_validate(
        {
            "query": text,
            "collection": collection,
            "limit": MAX_LIMIT,
            "recall": {"limit": limit},
            "rerank": {"enabled": depth > 0, "depth": min(depth, MAX_RECALL) or None},
            "explain": True,
            "deadline_ms": DEADLINE_MS,
        }
    )
    first, *more = client.search_pages(request)
    return first.model_copy(
        update={"results": [each for page in (first, *more) for each in page.results]}
    )


def _fresh(answer: SearchResponse, depth: int) -> bool:
    """Whether nothing was left out and nothing came from memory, so that the time is a time."""
    if answer.rerank.cached or _method(answer).query_cached:
        return False
    return depth == 0 or answer.rerank.status == "applied"


def _passage(result: Result) -> Passage:
    explained = _explanation(result)
    return Passage(
        result.chunk_id,
        result.document_id,
        result.name,
        result.scores.dense,
        result.scores.sparse,
        explained.dense_rank,
        explained.sparse_rank,
        result.scores.recall,
        result.recall_rank,
        result.scores.rerank,
    )


def _recall_rank(result: Result) -> int:
    return result.recall_rank


def _explanation(result: Result) -> Explanation:
    if result.explanation is None:
        raise _not_explained()
    return result.explanation


def _method(answer: SearchResponse) -> Method:
    if answer.method is None:
        raise _not_explained()
    return answer.method


def _not_explained() -> UnexpectedResponse:
    return UnexpectedResponse(url="The search", status=200, excerpt="no explanation of its results")
