"""The search flow: query -> embed -> recall -> rerank -> fuse -> results.

The first stage must answer; the second may. Whatever keeps the reranker from scoring, the search
returns what it has in the order that it has, and `rerank.status` says what happened.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from pipelines import fuse
from pipelines.ports import (
    Candidate,
    QueryEmbedder,
    RecallQuery,
    Reranker,
    RerankOutcome,
    RerankRequest,
    SparseEmbedder,
    Store,
)
from twofold.errors import DeadlineExceeded, RerankRequired
from twofold.schema import (
    RerankReport,
    Result,
    Scores,
    SearchRequest,
    SearchResponse,
    Timings,
)


@dataclass(frozen=True)
class Search:
    """The two stages over one set of parts; safe to call concurrently.

    Attributes:
        instruction: What query embeddings are told when the request says nothing.
    """

    store: Store
    embedder: QueryEmbedder
    sparse: SparseEmbedder
    reranker: Reranker
    instruction: str | None = None

    async def __call__(self, tenant: str, request: SearchRequest) -> SearchResponse:
        """Answer a request, by its deadline.

        Raises:
            CollectionNotFound: Nothing was ever uploaded to it.
            EmbedderMismatch: It was built with another model than this process runs.
            DeadlineExceeded: Not even the first stage was done in time.
            RerankRequired: The request insists on the second stage and it did not score all.
        """
        watch = Stopwatch()
        deadline = watch.started + request.deadline_ms / 1000
        try:
            async with asyncio.timeout(request.deadline_ms / 1000):
                candidates = await self._recall(tenant, request, deadline, watch)
        except TimeoutError:
            raise DeadlineExceeded(deadline_ms=request.deadline_ms) from None
        with watch("fuse"):
            recalled = fuse.rank_recall(candidates)
        outcome = await self._rerank(request, recalled, deadline)
        with watch("fuse"):
            ranked = fuse.rank_fused(
                recalled, outcome, profile=self.reranker.profile, fusion=request.fusion
            )
            results = page_of(ranked, request)
        return SearchResponse(
            results=results,
            rerank=report(outcome, self.reranker.model),
            timings_ms=watch.timings(outcome),
            candidates=len(candidates),
        )

    async def _recall(
        self, tenant: str, request: SearchRequest, deadline: float, watch: "Stopwatch"
    ) -> list[Candidate]:
        """Stage one: both lists of the first stage, in one query of the store."""
        collection = await self.store.get_collection(tenant, request.collection)
        collection.require(self.embedder)
        mode, dense, sparse = request.recall.mode, None, None
        with watch("embed"):
            if mode != "sparse":
                dense = await self.embedder.embed(
                    request.query, instruction=self.instruction, deadline=deadline
                )
            if mode != "dense":
                sparse = self.sparse.embed_query(request.query)
        with watch("recall"):
            return await self.store.recall(
                tenant,
                request.collection,
                RecallQuery(dense, sparse, limit=request.recall.limit, filter=request.filter),
            )

    async def _rerank(
        self, request: SearchRequest, recalled: Sequence[fuse.Recalled], deadline: float
    ) -> RerankOutcome:
        """Stage two: the head of the list, best first, for as long as the deadline allows."""
        depth = request.rerank.depth or self.reranker.profile.depth
        head = [each.candidate.chunk.passage for each in recalled[:depth]]
        if not request.rerank.enabled:
            return unscored(len(head))
        outcome = await self.reranker.rerank(
            RerankRequest(request.query, head, deadline, request.rerank.instruction)
        )
        if request.rerank.required and outcome.status != "applied":
            raise RerankRequired(status=outcome.status)
        return outcome


def unscored(depth: int) -> RerankOutcome:
    """The outcome of a second stage that nobody asked for."""
    return RerankOutcome(
        status="disabled",
        scores=np.full(depth, np.nan, dtype=np.float32),
        truncated=np.zeros(depth, dtype=np.bool_),
        reason="The request switched the second stage off.",
    )


def report(outcome: RerankOutcome, model: str | None) -> RerankReport:
    """What the second stage did, for the answer."""
    return RerankReport(
        status=outcome.status,
        scored=outcome.scored,
        depth=len(outcome.scores),
        model=model,
        ms=milliseconds(outcome.queue_s + outcome.compute_s),
        reason=outcome.reason,
    )


def page_of(ranked: Sequence[fuse.Fused], request: SearchRequest) -> list[Result]:
    """The results that the request asked for, out of the whole ranking."""
    enough = [
        (rank, each)
        for rank, each in enumerate(ranked, start=1)
        if request.min_score is None or each.score >= request.min_score
    ]
    page = enough[request.offset : request.offset + request.limit]
    return [result_of(rank, each) for rank, each in page]


def result_of(rank: int, fused: fuse.Fused) -> Result:
    """A ranked candidate as it goes out, with its source and what each stage said of it."""
    recalled = fused.recalled
    candidate = recalled.candidate
    chunk = candidate.chunk
    return Result(
        rank=rank,
        score=fused.score,
        document_id=chunk.document_id,
        chunk_id=chunk.id,
        name=chunk.name,
        title=chunk.title,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        headings=list(chunk.headings),
        metadata=chunk.metadata,
        truncated=fused.truncated,
        recall_rank=recalled.rank,
        scores=Scores(
            dense=candidate.dense,
            sparse=candidate.sparse,
            recall=recalled.score,
            rerank=fused.rerank,
        ),
    )


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to the microsecond."""
    return round(seconds * 1000, 3)


@dataclass
class Stopwatch:
    """Adds up the time of each step of one request."""

    started: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Count the time of the block towards a step."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.steps[step] = self.steps.get(step, 0.0) + time.monotonic() - begin

    def timings(self, outcome: RerankOutcome) -> Timings:
        """All steps so far, those of the second stage as it measured them itself."""
        return Timings(
            **{step: milliseconds(seconds) for step, seconds in self.steps.items()},
            queue=milliseconds(outcome.queue_s),
            rerank=milliseconds(outcome.compute_s),
            total=milliseconds(time.monotonic() - self.started),
        )
