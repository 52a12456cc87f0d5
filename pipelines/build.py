"""The only place that chooses implementations. Nothing heavy is imported before it is chosen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipelines.answer import Answers
from pipelines.chunk import Chunker
from pipelines.documents import Documents
from pipelines.drain import Drain
from pipelines.embedding import SharedEmbedder
from pipelines.ingest import Ingest
from pipelines.models import select
from pipelines.models.bm25 import Bm25SparseEmbedder
from pipelines.models.query import LocalQueryEmbedder
from pipelines.models.texts import LocalTextEmbedder
from pipelines.paging.memory import MemoryRankings
from pipelines.parse.sandbox import SandboxedParser
from pipelines.parse.scans import ScanReader
from pipelines.ports import (
    Blobs,
    Closeable,
    Embedder,
    QueryEmbedder,
    Reranker,
    RerankModel,
    Store,
    TextEmbedder,
)
from pipelines.query_vectors import QueryVectors
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.cached import CachedReranker
from pipelines.rerank.client import connect
from pipelines.rerank.disabled import DisabledReranker
from pipelines.rerank.inprocess import InProcessReranker
from pipelines.rerank.redis_worker import RedisWorker
from pipelines.rerank.wire import Stream
from pipelines.search import Search
from pipelines.settings import Settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.connection import Server
from pipelines.store.edge import EdgeStore
from pipelines.store.objects import ObjectBlobs
from pipelines.store.remote import Layout
from pipelines.store.server import QdrantStore
from pipelines.tokenizing import EstimatedTokens, ModelTokens, tokens_of_model
from twofold.errors import ConfigurationError

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
    """Everything that a process serves, put together.

    Attributes:
        texts: What embeds for other applications; None where no process does.
        embed_tokens: How the first stage's model counts.
        rerank_tokens: How the second stage's model counts.
    """

    settings: Settings
    store: Store
    embedder: Embedder
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
        rankings = MemoryRankings(max_bytes=settings.pages_bytes, ttl_s=settings.cache_ttl_s)
        ingest = ingest_flow(settings, stack, store=store, blobs=blobs, embedder=embedder)
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
                ingest.sparse,
                reranker,
                Answers(store, ingest.sparse, rankings),
                settings.query_instruction,
            ),
            parts={"ingestion": Part(drain.state)},
            texts=LocalTextEmbedder(embedder),
            embed_tokens=tokens_of_model(embedder),
            rerank_tokens=tokens_of_model(model),
        )


@contextmanager
def rerank_worker(
    settings: Settings, *, choose: Callable[[Settings], Models] = chosen_models
) -> Iterator[RedisWorker]:
    """A worker that reranks, and embeds the queries of API processes that have no model.

    Raises:
        StartupError: It cannot run like this; the sentence says what to change.
    """
    url, streams = required_redis(settings), worker_streams(settings)
    if not streams:
        raise ConfigurationError(
            setting="TWOFOLD_RERANKER=none",
            reason="with TWOFOLD_QUERY_EMBEDDER=local there is nothing for this worker to do",
        )
    models = choose(settings)
    with ExitStack() as stack:
        for each in models:
            if isinstance(each, Closeable):
                stack.callback(each.close)
        embeds = Stream.embed(settings.embedder) in streams
        yield RedisWorker(
            url,
            embedder=(settings.embedder, models.embedder) if embeds else None,
            reranker=(settings.reranker, models.reranker) if models.reranker else None,
            # An urgent query waits for the batch that the device is at.
            scheduler=Scheduler(max_pairs=settings.rerank_queue_pairs, batch_s=0.2),
            drain_s=settings.drain_s,
        )


def worker_streams(settings: Settings) -> list[Stream]:
    """What a rerank worker reads."""
    streams = []
    if settings.query_embedder != "local":
        streams.append(Stream.embed(settings.embedder))
    if settings.reranker != "none":
        streams.append(Stream.rerank(settings.reranker))
    return streams


def required_redis(settings: Settings) -> str:
    """URL of the Redis server; whether it answers is another question.

    Raises:
        ConfigurationError: None is set, or it is no URL of a Redis server.
    """
    if settings.redis_url is None:
        raise ConfigurationError(
            setting="TWOFOLD_REDIS_URL", reason="a worker needs one, such as redis://HOST:6379/0"
        )
    url = settings.redis_url.get_secret_value()
    connect(url).close()
    return url


@dataclass(frozen=True)
class IngestWorker:
    """What an ingestion worker works with."""

    store: Store
    ingest: Ingest


@asynccontextmanager
async def ingest_worker(
    settings: Settings, *, choose: Callable[[Settings], Embedder] = select.choose_embedder
) -> AsyncIterator[IngestWorker]:
    """The parts of an ingestion worker beside servers for the store and the queue.

    Raises:
        StartupError: It cannot run like this; the sentence says what to change.
        Unavailable: A server does not answer yet.
    """
    async with AsyncExitStack() as stack:
        store = server_store(settings)
        stack.push_async_callback(store.close)
        embedder = await asyncio.to_thread(choose, settings)
        if isinstance(embedder, Closeable):
            stack.callback(embedder.close)
        blobs = file_store(settings)
        ingest = ingest_flow(settings, stack, store=store, blobs=blobs, embedder=embedder)
        yield IngestWorker(store, ingest)


def server_store(settings: Settings) -> Store:
    """The store on a Qdrant server; whether it answers is another question.

    Raises:
        ConfigurationError: None is named.
    """
    if not settings.qdrant_url:
        raise ConfigurationError(
            setting="TWOFOLD_QDRANT_URL", reason="a worker needs one, such as http://HOST:6333"
        )
    return QdrantStore(
        Server(settings.qdrant_url, settings.qdrant_api_key, settings.qdrant_grpc_port),
        Layout(
            settings.qdrant_replicas,
            settings.qdrant_shards,
            settings.qdrant_quantization,
            settings.qdrant_prefix_dimensions,
        ),
    )


def file_store(settings: Settings) -> Blobs:
    """Where files lie: in a folder that all processes see, or in an object store.

    Raises:
        ConfigurationError: The URL is not usable.
    """
    url = (settings.blobs_url or str(settings.data_dir / "files")).removeprefix("file://")
    return ObjectBlobs(url) if "://" in url else LocalBlobs(Path(url))


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
