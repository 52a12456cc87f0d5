"""What is put together, and what both modes put together in the same way."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from pipelines.collections import Collections
from pipelines.comparison import FirstStage
from pipelines.defaults import SearchDefaults
from pipelines.documents import Documents
from pipelines.embedders import Embedders
from pipelines.founding import LANGUAGE, Founder
from pipelines.ingest import Ingest
from pipelines.instructions import Instructions
from pipelines.models.bm25 import Bm25SparseEmbedder
from pipelines.parse.sandbox import SandboxedParser
from pipelines.parse.scans import ScanReader
from pipelines.passages import PassageMakers
from pipelines.ports import (
    Blobs,
    Closeable,
    Embedder,
    EmbedderFacts,
    QueryEmbedder,
    Reranker,
    RerankModel,
    SparseEmbedder,
    Store,
    TextEmbedder,
)
from pipelines.query_vectors import QueryVectors
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.cached import CachedReranker
from pipelines.rerank.disabled import DisabledReranker
from pipelines.rerank.inprocess import InProcessReranker
from pipelines.search import Search
from pipelines.settings import Settings
from pipelines.tokenizing import EstimatedTokens, ModelTokens

OK = "ok"


class Part(NamedTuple):
    """Something that serving depends on, for `/readyz`.

    Attributes:
        state: Says `ok`, or in one sentence what is the matter.
        vital: Whether nothing can be served without it.
        workers: Counts the processes that do its work; None where it is done in this one.
    """

    state: Callable[[], Awaitable[str]]
    vital: bool = True
    workers: Callable[[], Awaitable[int]] | None = None


def store_part(store: Store) -> Part:
    """The store, as readiness sees it."""

    async def state() -> str:
        health = await store.health()
        return OK if health.state == "ok" else f"{health.state}: {health.reason}"

    return Part(state)


def search_defaults(settings: Settings) -> SearchDefaults:
    """What the operator wants of searches that do not say."""
    return SearchDefaults(
        settings.recall_limit,
        settings.recall_fusion,
        settings.rerank_depth,
        settings.rerank_weight,
    )


@dataclass(frozen=True)
class Twofold:
    """Everything that a process serves, put together.

    Attributes:
        embedders: Of the first stage; a collection names one of them.
        texts: What embeds for other applications; None where no process does.
        embed_tokens: How the first stage's model counts.
        rerank_tokens: How the second stage's model counts.
    """

    settings: Settings
    store: Store
    embedders: Embedders[QueryEmbedder]
    reranker: Reranker
    documents: Documents
    collections: Collections
    search: Search
    parts: Mapping[str, Part]
    texts: TextEmbedder | None = None
    embed_tokens: ModelTokens = field(default_factory=EstimatedTokens)
    rerank_tokens: ModelTokens = field(default_factory=EstimatedTokens)


def close_with(stack: ExitStack | AsyncExitStack, models: Iterable[object]) -> None:
    """Let the models go when the stack does, as far as they hold anything."""
    for each in models:
        if isinstance(each, Closeable):
            stack.callback(each.close)


@cache
def sparse_embedder(language: str | None) -> SparseEmbedder:
    """BM25 in a language; raises ConfigurationError where there is no stemmer for it."""
    return Bm25SparseEmbedder(language or LANGUAGE)


def founder(settings: Settings, embedders: Iterable[EmbedderFacts]) -> Founder:
    """What decides on the settings of new collections."""
    return Founder(Embedders(*embedders), sparse_embedder, settings.chunk_tokens)


def first_stage(settings: Settings, store: Store, embedders: Embedders[Embedder]) -> FirstStage:
    """What compares two generations of a collection."""
    return FirstStage(store, embedders, sparse_embedder, settings.query_instruction)


def instructions(settings: Settings) -> Instructions:
    """What the stages are told when nobody else says anything."""
    return Instructions(settings.query_instruction, settings.rerank_instruction)


def ingest_flow(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    store: Store,
    blobs: Blobs,
    embedders: Embedders[Embedder],
) -> Ingest:
    """The ingest flow over these parts; what it opens is closed with the stack."""
    makers = PassageMakers(embedders, sparse_embedder)
    stack.callback(makers.close)
    parser = ScanReader(settings.ocr) if settings.ocr else SandboxedParser()
    stack.callback(parser.close)
    return Ingest(
        store=store,
        blobs=blobs,
        parser=parser,
        makers=makers,
        attempts=settings.ingest_attempts,
        timeout_s=settings.ingest_timeout_s,
        heartbeat_s=settings.heartbeat_s,
    )


def rerank_queue(model: RerankModel | None, *, max_pairs: int) -> Reranker:
    """The second stage: a queue before the model, or what says that there is none."""
    if model is None:
        return DisabledReranker()
    return InProcessReranker(model, scheduler=Scheduler(max_pairs=max_pairs))


def remembering(reranker: Reranker, settings: Settings) -> Reranker:
    """The second stage behind a memory of its scores, unless that is switched off."""
    if not settings.score_cache_entries:
        return reranker
    return CachedReranker(
        reranker, entries=settings.score_cache_entries, ttl_s=settings.cache_ttl_s
    )


def query_vectors(embedders: Embedders[QueryEmbedder], settings: Settings) -> QueryVectors:
    """The embedding of queries behind its memory."""
    return QueryVectors(embedders, max_bytes=settings.query_cache_bytes, ttl_s=settings.cache_ttl_s)
