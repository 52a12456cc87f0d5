"""What is put together, and what both modes put together in the same way."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.chunk import Chunker
from pipelines.defaults import SearchDefaults
from pipelines.documents import Documents
from pipelines.embedding import SharedEmbedder
from pipelines.ingest import Ingest
from pipelines.models import select
from pipelines.models.bm25 import Bm25SparseEmbedder
from pipelines.parse.sandbox import SandboxedParser
from pipelines.parse.scans import ScanReader
from pipelines.ports import (
    Blobs,
    Embedder,
    EmbedderIdentity,
    QueryEmbedder,
    Reranker,
    RerankModel,
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

LONGEST_CHUNK = 512
"""Tokens of a chunk when nobody says otherwise: passages that an answer can quote, also from a
model that would take a whole book."""

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
        texts: What embeds for other applications; None where no process does.
        embed_tokens: How the first stage's model counts.
        rerank_tokens: How the second stage's model counts.
    """

    settings: Settings
    store: Store
    embedder: EmbedderIdentity
    reranker: Reranker
    documents: Documents
    search: Search
    parts: Mapping[str, Part]
    texts: TextEmbedder | None = None
    embed_tokens: ModelTokens = field(default_factory=EstimatedTokens)
    rerank_tokens: ModelTokens = field(default_factory=EstimatedTokens)


class Models(NamedTuple):
    """The two models of a process; without the second there is no reranking."""

    embedder: Embedder
    reranker: RerankModel | None


def chosen_models(settings: Settings) -> Models:
    """Load the models that the settings name."""
    embedder = select.choose_embedder(settings)
    return Models(embedder, select.choose_reranker(settings, embedder))


def ingest_flow(
    settings: Settings, stack: AsyncExitStack, *, store: Store, blobs: Blobs, embedder: Embedder
) -> Ingest:
    """The ingest flow over these parts; what it opens is closed with the stack."""
    passages = SharedEmbedder(embedder)
    stack.callback(passages.close)
    parser = ScanReader(settings.ocr) if settings.ocr else SandboxedParser()
    stack.callback(parser.close)
    return Ingest(
        store=store,
        blobs=blobs,
        parser=parser,
        chunker=Chunker(embedder.tokenizer_json, chunk_tokens(settings, embedder)),
        embedder=passages,
        sparse=Bm25SparseEmbedder(),
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


def query_vectors(embedder: QueryEmbedder, settings: Settings) -> QueryVectors:
    """The embedding of queries behind its memory."""
    return QueryVectors(embedder, max_bytes=settings.query_cache_bytes, ttl_s=settings.cache_ttl_s)


def chunk_tokens(settings: Settings, embedder: Embedder) -> int:
    """Longest chunk: as set, and never more than the embedder takes whole."""
    return min(settings.chunk_tokens or LONGEST_CHUNK, embedder.max_tokens)
