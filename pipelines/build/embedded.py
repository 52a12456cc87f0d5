"""All of Twofold in one process, with its data in one folder."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from pipelines.answer import Answers
from pipelines.build.parts import (
    Models,
    Part,
    Twofold,
    chosen_models,
    ingest_flow,
    query_vectors,
    remembering,
    rerank_queue,
    search_defaults,
    store_part,
)
from pipelines.documents import Documents
from pipelines.drain import Drain
from pipelines.models.query import LocalQueryEmbedder
from pipelines.models.texts import LocalTextEmbedder
from pipelines.paging.memory import MemoryRankings
from pipelines.ports import Closeable
from pipelines.search import Search
from pipelines.settings import Settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.edge import EdgeStore
from pipelines.tokenizing import tokens_of_model


@asynccontextmanager
async def embedded(
    settings: Settings, *, choose: Callable[[Settings], Models] = chosen_models
) -> AsyncIterator[Twofold]:
    """The store, the models and the ingestion, all here.

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
                search_defaults(settings),
            ),
            parts={"store": store_part(store), "ingestion": Part(drain.state)},
            texts=LocalTextEmbedder(embedder),
            embed_tokens=tokens_of_model(embedder),
            rerank_tokens=tokens_of_model(model),
        )
