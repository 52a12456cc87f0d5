"""The workers beside the API of the distributed mode."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from pipelines.build.distributed import (
    embeds_elsewhere,
    file_store,
    required_redis,
    reranks_elsewhere,
    server_store,
)
from pipelines.build.parts import (
    close_with,
    first_stage,
    ingest_flow,
)
from pipelines.comparison import FirstStage
from pipelines.embedders import Embedders
from pipelines.ingest import Ingest
from pipelines.models.select import Models, chosen_embedders, chosen_models
from pipelines.ports import Embedder, Store
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.streams.wire import Stream
from pipelines.rerank.streams.worker import RedisWorker
from pipelines.settings import Settings
from twofold.errors import ConfigurationError


@dataclass(frozen=True)
class IngestWorker:
    """What an ingestion worker works with."""

    store: Store
    ingest: Ingest
    first_stage: FirstStage


@asynccontextmanager
async def ingest_worker(
    settings: Settings, *, choose: Callable[[Settings], Embedders[Embedder]] = chosen_embedders
) -> AsyncIterator[IngestWorker]:
    """The parts of an ingestion worker beside servers for the store and the queue.

    Raises:
        StartupError: It cannot run like this; the sentence says what to change.
        Unavailable: A server does not answer yet.
    """
    async with AsyncExitStack() as stack:
        store = server_store(settings)
        stack.push_async_callback(store.close)
        embedders = await asyncio.to_thread(choose, settings)
        close_with(stack, embedders)
        blobs = file_store(settings)
        ingest = ingest_flow(settings, stack, store=store, blobs=blobs, embedders=embedders)
        yield IngestWorker(store, ingest, first_stage(settings, store, embedders))


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
            setting=f"TWOFOLD_RERANKER={settings.reranker}",
            reason="there is nothing for this worker to do: queries are embedded by the API, and "
            "model servers are asked by it directly",
        )
    models = choose(settings)
    with ExitStack() as stack:
        close_with(stack, [*models.embedders, models.reranker])
        embedders = zip(settings.embedders, models.embedders, strict=True)
        reranks = Stream.rerank(settings.reranker) in streams
        yield RedisWorker(
            url,
            embedders={name: model for name, model in embedders if Stream.embed(name) in streams},
            reranker=(settings.reranker, models.reranker) if reranks and models.reranker else None,
            # An urgent query waits for the batch that the device is at.
            scheduler=Scheduler(max_pairs=settings.rerank_queue_pairs, batch_s=0.2),
            drain_s=settings.drain_s,
        )


def worker_streams(settings: Settings) -> list[Stream]:
    """What a rerank worker reads."""
    streams = [
        Stream.embed(each) for each in settings.embedders if embeds_elsewhere(settings, each)
    ]
    if reranks_elsewhere(settings):
        streams.append(Stream.rerank(settings.reranker))
    return streams
