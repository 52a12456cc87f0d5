"""The only place that chooses implementations. Nothing heavy is imported before it is chosen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.answer import Answers
from pipelines.chunk import Chunker
from pipelines.documents import Documents
from pipelines.drain import Drain
from pipelines.ingest import Ingest
from pipelines.models import select
from pipelines.models.bm25 import Bm25SparseEmbedder
from pipelines.models.query import LocalQueryEmbedder
from pipelines.paging.memory import MemoryRankings
from pipelines.parse.sandbox import SandboxedParser
from pipelines.ports import Closeable, Embedder, QueryEmbedder, Reranker, RerankModel, Store
from pipelines.query_vectors import QueryVectors
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.cached import CachedReranker
from pipelines.rerank.disabled import DisabledReranker
from pipelines.rerank.inprocess import InProcessReranker
from pipelines.search import Search
from pipelines.settings import Settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.edge import EdgeStore

LONGEST_CHUNK = 512
"""Tokens of a chunk when nobody says otherwise: passages that an answer can quote, also from a
model that would take a whole book."""


OK = "ok"


class Part(NamedTuple):
    """Something that serving depends on, for `/readyz`.

    Attributes:
        state: Says `ok`, or in one sentence what is the matter.
        vital: Whether nothing can be served without it.
    """

    state: Callable[[], Awaitable[str]]
    vital: bool = True


@dataclass(frozen=True)
class Twofold:
    """Everything that a process serves, put together."""

    settings: Settings
    store: Store
    embedder: Embedder
    reranker: Reranker
    documents: Documents
    search: Search
    parts: Mapping[str, Part]


class Models(NamedTuple):
    """The two models of a process; without the second there is no reranking."""

    embedder: Embedder
    reranker: RerankModel | None


def chosen_models(settings: Settings) -> Models:
    """Load the models that the settings name."""
    embedder = select.choose_embedder(settings)
    return Models(embedder, select.choose_reranker(settings, embedder))


@asynccontextmanager
async def embedded(
    settings: Settings, *, choose: Callable[[Settings], Models] = chosen_models
) -> AsyncIterator[Twofold]:
    """All of Twofold in this process, with its data in one folder.

    Args:
        settings: Where the data lies and what the limits are.
        choose: Loads the models, in a thread and after the data folder has been taken.

    Raises:
        StartupError: It cannot run like this; the sentence says what to change.
    """
    async with AsyncExitStack() as stack:
        store = EdgeStore.open(settings.data_dir / "store")
        stack.push_async_callback(store.close)
        # Loading weights blocks for seconds; the loop has signals to hear meanwhile.
        embedder, model = await asyncio.to_thread(choose, settings)
        for each in (embedder, model):
            if isinstance(each, Closeable):
                stack.callback(each.close)
        reranker = remembering(rerank_queue(model, max_pairs=settings.rerank_queue_pairs), settings)
        stack.push_async_callback(reranker.close)
        blobs = LocalBlobs(settings.data_dir / "files")
        sparse = Bm25SparseEmbedder()
        rankings = MemoryRankings(max_bytes=settings.pages_bytes, ttl_s=settings.cache_ttl_s)
        parser = SandboxedParser()
        stack.callback(parser.close)
        ingest = Ingest(
            store=store,
            blobs=blobs,
            parser=parser,
            chunker=Chunker(embedder.tokenizer_json, chunk_tokens(settings, embedder)),
            embedder=embedder,
            sparse=sparse,
            attempts=settings.ingest_attempts,
            heartbeat_s=settings.heartbeat_s,
        )
        drain = Drain(store, ingest)
        drain.start()
        stack.push_async_callback(asyncio.to_thread, drain.stop)
        yield Twofold(
            settings=settings,
            store=store,
            embedder=embedder,
            reranker=reranker,
            documents=Documents(store, blobs, drain, embedder),
            search=Search(
                store,
                query_vectors(LocalQueryEmbedder(embedder), settings),
                sparse,
                reranker,
                Answers(store, sparse, rankings),
                settings.query_instruction,
            ),
            parts={"ingestion": Part(drain.state)},
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
