"""The search flow: query -> embed -> recall -> rerank -> fuse -> results.

The first stage must answer; the second may. Whatever keeps the reranker from scoring, the search
returns what it has in the order that it has, and `rerank.status` says what happened.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines import fuse, rehearsal
from pipelines.answer import Answers, Page
from pipelines.defaults import NOTHING_SAID, SearchDefaults
from pipelines.instructions import InForce, Instructions, in_force, said
from pipelines.ports import (
    Candidate,
    Collection,
    RecallQuery,
    Reranker,
    RerankOutcome,
    RerankRequest,
    SparseEmbedders,
    Store,
)
from pipelines.query_vectors import QueryVectors
from pipelines.ranking import Basis, Ranking, arrange, fingerprint
from pipelines.stopwatch import Stopwatch, milliseconds
from twofold.errors import DeadlineExceeded, RerankRequired
from twofold.schema import Method, RerankReport, SearchRequest, SearchResponse, Timings

GRACE_S = 0.1  # after the deadline, for what is left to do when the scores have come


@dataclass(frozen=True)
class Search:
    """The two stages over one set of parts; safe to call concurrently.

    Attributes:
        sparse: The sparse embedder of a language.
        instructions: What the stages are told when neither request nor collection says anything.
        defaults: What else the operator has said for requests that say nothing.
    """

    store: Store
    queries: QueryVectors
    sparse: SparseEmbedders
    reranker: Reranker
    answers: Answers
    instructions: Instructions = field(default_factory=Instructions)
    defaults: SearchDefaults = NOTHING_SAID

    async def __call__(self, tenant: str, request: SearchRequest) -> SearchResponse:
        """Answer a request, by its deadline.

        Raises:
            CollectionNotFound: Nothing was ever uploaded to it.
            EmbedderMismatch: It was built with a model that this process does not have.
            DeadlineExceeded: Not even the first stage was done in time.
            RerankRequired: The request insists on the second stage and it did not score all.
            CursorExpired: The ranking that the cursor continues is not kept any more.
        """
        watch = Stopwatch()
        deadline = watch.started + request.deadline_ms / 1000
        request = self.defaults.fill(request)
        async with in_time(request, deadline):
            # One generation for the whole search: another may take its place meanwhile.
            collection = await self.store.get_collection(tenant, request.collection)
            wanted = said(request, collection, self.instructions)
            basis = Basis(collection.generation, wanted)
            if request.cursor is not None:
                ranking, page = await self.answers.following(
                    tenant, collection, request, basis, request.cursor
                )
                return response(request, ranking, page, watch.timings())
            told = self._in_force(collection, request, wanted)
            found = await self._recall(tenant, collection, request, told, deadline, watch)
        with watch("fuse"):
            recalled = fuse.rank_recall(found.candidates, request.recall.fusion)
        outcome = await self._rerank(tenant, request, told, recalled, deadline)
        with watch("fuse"):
            profile = self.reranker.profile
            ranked = fuse.rank_fused(recalled, outcome, profile=profile, fusion=request.fusion)
            ranking = Ranking(
                fingerprint(request),
                basis,
                arrange(ranked, request),
                report(outcome, self.reranker.model),
                len(found.candidates),
                self._method(collection, request, told, found),
                tuple(told.warnings),
            )
        chunks = {each.chunk.id: each.chunk for each in found.candidates}
        async with in_time(request, deadline + GRACE_S):
            page = await self.answers.first(tenant, collection, request, ranking, chunks)
        return response(request, ranking, page, watch.timings(outcome))

    def _in_force(
        self, collection: Collection, request: SearchRequest, wanted: Instructions
    ) -> InForce:
        embedder = self.queries.embedders.of(collection)
        return in_force(wanted, request, embedder=embedder, reranker=self.reranker)

    async def _recall(
        self,
        tenant: str,
        collection: Collection,
        request: SearchRequest,
        told: InForce,
        deadline: float,
        watch: Stopwatch,
    ) -> "Found":
        """Stage one: both lists of the first stage, in one query of the store."""
        mode, dense, sparse = request.recall.mode, None, None
        embedder = self.queries.embedders.of(collection)
        kept = rehearsal.smaller(request.recall, collection, embedder)
        with watch("embed"):
            if mode != "sparse":
                dense = await self.queries.of(
                    tenant,
                    collection,
                    request.query,
                    instruction=told.instructions.query,
                    deadline=deadline,
                )
            if mode != "dense":
                sparse = self.sparse(collection.language).embed_query(request.query)
        query = RecallQuery(
            dense.vector if dense else None,
            sparse,
            limit=request.recall.limit,
            filter=request.filter,
            vectors=request.diversity is not None,
        )
        with watch("recall"):
            candidates = await rehearsal.recall(self.store, tenant, collection.address, query, kept)
        return Found(candidates, query_cached=dense is not None and dense.cached)

    async def _rerank(
        self,
        tenant: str,
        request: SearchRequest,
        told: InForce,
        recalled: Sequence[fuse.Recalled],
        deadline: float,
    ) -> RerankOutcome:
        """Stage two: the head of the list, best first, for as long as the deadline allows."""
        depth = request.rerank.depth or self.reranker.profile.depth
        head = [each.candidate.chunk.passage for each in recalled[:depth]]
        if not request.rerank.enabled:
            return RerankOutcome.unscored(
                len(head), "disabled", "The request switched the second stage off."
            )
        outcome = await self.reranker.rerank(
            RerankRequest(request.query, head, deadline, told.instructions.rerank, tenant)
        )
        if request.rerank.required and outcome.status != "applied":
            raise RerankRequired(status=outcome.status)
        return outcome

    def _method(
        self, collection: Collection, request: SearchRequest, told: InForce, found: "Found"
    ) -> Method:
        """What was chosen where the request left it open."""
        profile = self.reranker.profile
        weight = request.fusion.weight
        return Method(
            recall=fuse.recall_formula(request.recall.mode, request.recall.fusion),
            fusion=fuse.fusion_formula(profile, request.fusion),
            embedder=collection.embedder,
            query_instruction=told.instructions.query,
            rerank_instruction=told.instructions.rerank,
            recall_limit=request.recall.limit,
            recall_fusion=request.recall.fusion,
            depth=request.rerank.depth or profile.depth,
            weight=profile.weight if weight is None else weight,
            calibrated=profile.calibrated,
            trust=fuse.TRUST,
            query_cached=found.query_cached,
        )


class Found(NamedTuple):
    """What the first stage has, and whether the query's vector was known from before."""

    candidates: list[Candidate]
    query_cached: bool


@asynccontextmanager
async def in_time(request: SearchRequest, deadline: float) -> AsyncIterator[None]:
    """Raise DeadlineExceeded if the block is not done by then, on the clock of `monotonic`."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            yield
    except TimeoutError:
        raise DeadlineExceeded(deadline_ms=request.deadline_ms) from None


def response(
    request: SearchRequest, ranking: Ranking, page: Page, timings: Timings
) -> SearchResponse:
    """The answer that goes out."""
    return SearchResponse(
        results=page.results,
        rerank=ranking.rerank,
        timings_ms=timings,
        candidates=ranking.candidates,
        cursor=page.cursor,
        method=ranking.method if request.explain else None,
        warnings=list(ranking.warnings),
    )


def report(outcome: RerankOutcome, model: str | None) -> RerankReport:
    """What the second stage did, for the answer."""
    return RerankReport(
        status=outcome.status,
        scored=outcome.scored,
        depth=len(outcome.scores),
        model=model,
        ms=milliseconds(outcome.queue_s + outcome.compute_s),
        cached=outcome.cached,
        reason=outcome.reason,
    )
