"""All of Twofold in one process, with its data in one folder."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from pipelines.answer import Answers
from pipelines.build.parts import (
    Part,
    Twofold,
    close_with,
    first_stage,
    founder,
    ingest_flow,
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
from pipelines.drain import Drain
from pipelines.embedders import Embedders
from pipelines.models.query import LocalQueryEmbedder
from pipelines.models.select import Models, chosen_models
from pipelines.models.texts import LocalTextEmbedder
from pipelines.paging.memory import MemoryRankings
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
        models = await asyncio.to_thread(choose, settings)
        close_with(stack, [*models.embedders, models.reranker])
        embedders = Embedders(*map(LocalQueryEmbedder, models.embedders))
        reranker = remembering(
            rerank_queue(models.reranker, max_pairs=settings.rerank_queue_pairs), settings
        )
        stack.push_async_callback(reranker.close)
        blobs = LocalBlobs(settings.data_dir / "files")
        rankings = MemoryRankings(max_bytes=settings.pages_bytes, ttl_s=settings.cache_ttl_s)
        ingest = ingest_flow(settings, stack, store=store, blobs=blobs, embedders=models.embedders)
        drain = Drain(store, ingest, first_stage(settings, store, models.embedders))
        drain.start()
        stack.push_async_callback(asyncio.to_thread, drain.stop)
        founding = founder(settings, embedders)
        yield Twofold(
            settings=settings,
            store=store,
            embedders=embedders,
            reranker=reranker,
            documents=Documents(store, blobs, drain, founding),
            collections=Collections(store, blobs, drain, founding),
            search=Search(
                store,
                query_vectors(embedders, settings),
                sparse_embedder,
                reranker,
                Answers(store, sparse_embedder, rankings),
                instructions(settings),
                search_defaults(settings),
            ),
            parts={"store": store_part(store), "ingestion": Part(drain.state)},
            texts=LocalTextEmbedder(models.embedder),
            embed_tokens=tokens_of_model(models.embedder),
            rerank_tokens=tokens_of_model(models.reranker),
        )
