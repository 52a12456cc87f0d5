"""The API beside a Qdrant server, Redis and workers: it holds no data, and usually no model.

A model behind a URL is asked from here: it is a worker already. Every other model runs in the
workers, unless TWOFOLD_QUERY_EMBEDDER=local wants the embedders in this process.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from pipelines.answer import Answers
from pipelines.build.parts import (
    OK,
    Part,
    Twofold,
    close_with,
    founder,
    instructions,
    query_vectors,
    remembering,
    rerank_queue,
    search_defaults,
    sparse_embedder,
    store_part,
)
from pipelines.collections import Collections
from pipelines.documents import Documents
from pipelines.embedders import Embedders
from pipelines.models import select
from pipelines.models.query import LocalQueryEmbedder
from pipelines.models.texts import LocalTextEmbedder
from pipelines.paging.redis import RedisRankings
from pipelines.ports import (
    Blobs,
    Embedder,
    QueryEmbedder,
    Reranker,
    Store,
    TextEmbedder,
)
from pipelines.queue.celery import CeleryQueue
from pipelines.queue.roster import Roster
from pipelines.rerank.disabled import DisabledReranker
from pipelines.rerank.streams.client import connect
from pipelines.rerank.streams.link import Link
from pipelines.rerank.streams.queued_embedder import QueuedQueryEmbedder
from pipelines.rerank.streams.reranker import RedisReranker
from pipelines.search import Search
from pipelines.settings import Settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.connection import Server
from pipelines.store.objects import ObjectBlobs
from pipelines.store.remote import Layout
from pipelines.store.server import QdrantStore
from pipelines.tokenizing import EstimatedTokens, tokens_of_model
from twofold.errors import ConfigurationError

CONNECT_S = 2.0


@asynccontextmanager
async def distributed(settings: Settings) -> AsyncIterator[Twofold]:
    """An API process; it comes up before servers and workers do, and says what it misses.

    Raises:
        StartupError: It cannot run like this; the sentence says what to change.
    """
    redis_url = required_redis(settings)
    async with AsyncExitStack() as stack:
        store = server_store(settings)
        stack.push_async_callback(store.close)
        link = Link(redis_url)
        stack.push_async_callback(link.close)
        await link.start()
        parts = {"store": store_part(store)}
        first, *others = [
            await _embedding(settings, each, stack, link, parts) for each in settings.embedders
        ]
        embedders = Embedders(first.queries, *(each.queries for each in others))
        reranker = remembering(await _reranker(settings, link, parts), settings)
        stack.push_async_callback(reranker.close)
        blobs = file_store(settings)
        queue = CeleryQueue(redis_url, ingest_timeout_s=settings.ingest_timeout_s)
        stack.push_async_callback(queue.close)
        roster = Roster(redis_url)
        stack.push_async_callback(roster.close)
        parts["ingestion"] = Part(_ingestion(roster), vital=False, workers=_on_the_roster(roster))
        redis = await stack.enter_async_context(
            Redis.from_url(redis_url, socket_timeout=None, socket_connect_timeout=CONNECT_S)
        )
        rankings = RedisRankings(redis, ttl_s=settings.cache_ttl_s)
        founding = founder(settings, embedders)
        yield Twofold(
            settings=settings,
            store=store,
            embedders=embedders,
            reranker=reranker,
            documents=Documents(store, blobs, queue, founding),
            collections=Collections(store, blobs, queue, founding),
            search=Search(
                store,
                query_vectors(embedders, settings),
                sparse_embedder,
                reranker,
                Answers(store, sparse_embedder, rankings),
                instructions(settings),
                search_defaults(settings),
            ),
            parts=parts,
            texts=first.texts,
            embed_tokens=tokens_of_model(first.model) if first.model else EstimatedTokens(),
        )


class _Embedding(NamedTuple):
    """One embedder as both seams see it; `model` is None where it runs in the workers."""

    queries: QueryEmbedder
    texts: TextEmbedder
    model: Embedder | None = None


async def _embedding(
    settings: Settings, setting: str, stack: AsyncExitStack, link: Link, parts: dict[str, Part]
) -> _Embedding:
    if embeds_elsewhere(settings, setting):
        queued = QueuedQueryEmbedder(link, setting)
        place = settings.embedders.index(setting)
        name = f"embedder {place + 1}" if place else "embedder"
        parts[name] = Part(_well(queued.trouble), vital=place == 0, workers=_seen(queued))
        return _Embedding(queued, queued)
    model = await asyncio.to_thread(select.choose_embedder, settings, setting)
    close_with(stack, [model])
    return _Embedding(LocalQueryEmbedder(model), LocalTextEmbedder(model), model)


async def _reranker(settings: Settings, link: Link, parts: dict[str, Part]) -> Reranker:
    if reranks_elsewhere(settings):
        queued = RedisReranker(
            link,
            settings.reranker,
            max_pairs=settings.rerank_queue_pairs,
            drain_s=settings.drain_s,
        )
        parts["reranker"] = Part(_well(queued.trouble), vital=False, workers=_seen(queued))
        return queued
    if settings.reranker == "none":
        return DisabledReranker()
    model = await asyncio.to_thread(select.choose_reranker_server, settings)
    return rerank_queue(model, max_pairs=settings.rerank_queue_pairs)


def _well(trouble: Callable[[], Awaitable[str | None]]) -> Callable[[], Awaitable[str]]:
    """The state of a part, by what is wrong with it."""

    async def state() -> str:
        return await trouble() or OK

    return state


def _ingestion(roster: Roster) -> Callable[[], Awaitable[str]]:
    async def state() -> str:
        if await roster.workers():
            return OK
        return "no ingestion worker is running, uploads wait; start `python -m services.ingest`"

    return state


def _seen(queued: RedisReranker | QueuedQueryEmbedder) -> Callable[[], Awaitable[int]]:
    async def workers() -> int:
        return len(queued.workers)

    return workers


def _on_the_roster(roster: Roster) -> Callable[[], Awaitable[int]]:
    async def workers() -> int:
        return len(await roster.workers())

    return workers


def embeds_elsewhere(settings: Settings, setting: str) -> bool:
    """Whether API processes leave the embedding of queries with this embedder to a worker."""
    if settings.query_embedder is not None:
        return settings.query_embedder == "queue"
    return "://" not in setting


def reranks_elsewhere(settings: Settings) -> bool:
    """Whether API processes leave the second stage to a worker."""
    return settings.reranker != "none" and "://" not in settings.reranker


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
