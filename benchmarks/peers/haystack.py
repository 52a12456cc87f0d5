"""Haystack: the pipeline of its tutorial "Creating a hybrid retrieval pipeline".

The tutorial's joiner only concatenates, which is an order of its own only after a ranker; alone,
the first stage takes the joiner's reciprocal rank fusion.
"""

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from haystack import Document as Passage
from haystack import Pipeline, component
from haystack.components.joiners import DocumentJoiner
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.retrievers.in_memory import (
    InMemoryBM25Retriever,
    InMemoryEmbeddingRetriever,
)
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

from benchmarks.peers.scorer import SCORER, scores
from benchmarks.peers.seam import DEPTH, POOL, Document, distinct, weights

FACTS = {
    "version": f"haystack-ai {version('haystack-ai')}",
    "index": "InMemoryDocumentStore, exact",
    "words": "BM25L in Python, lower case, no stems",
    "passages": "512 words, 32 shared, of which the model reads 256 tokens",
    "fusion": "RRF",
    "second stage": SCORER,
}


@component
class LateInteraction:
    """The scoring model as Haystack asks for one."""

    @component.output_types(documents=list[Passage])
    def run(self, query: str, documents: list[Passage]) -> dict[str, Any]:
        """Order documents by their scores, best first."""
        found = scores(query, [each.content or "" for each in documents])
        order = sorted(zip(found, documents, strict=True), key=lambda pair: pair[0], reverse=True)
        return {"documents": [each for _, each in order]}


class Contestant:
    """See `seam.Contestant`."""

    facts = FACTS

    def __init__(self, folder: Path) -> None:
        del folder  # all is kept in memory
        self.pid = os.getpid()
        store = InMemoryDocumentStore()
        self._indexing = Pipeline()
        self._indexing.add_component(
            "splitter", DocumentSplitter(split_by="word", split_length=512, split_overlap=32)
        )
        self._indexing.add_component(
            "embedder", SentenceTransformersDocumentEmbedder(model=weights(), progress_bar=False)
        )
        self._indexing.add_component("writer", DocumentWriter(store))
        self._indexing.connect("splitter", "embedder")
        self._indexing.connect("embedder", "writer")
        self._hybrid = querying(store)
        self._hybrid.warm_up()
        self._ranker = LateInteraction()

    def ingest(self, documents: Sequence[Document]) -> None:
        passages = [Passage(content=text, meta={"source": id_}) for id_, text in documents]
        self._indexing.run({"splitter": {"documents": passages}})

    def search(self, query: str, limit: int, *, rerank: bool) -> list[str]:
        answer = self._hybrid.run({"embedder": {"text": query}, "words": {"query": query}})
        found = answer["joiner"]["documents"]
        if rerank:
            found = self._ranker.run(query, found[:DEPTH])["documents"]
        return distinct((each.meta["source"] for each in found), limit)

    def close(self) -> None:
        pass


def querying(store: InMemoryDocumentStore) -> Pipeline:
    """Both retrievers and the joiner."""
    pipeline = Pipeline()
    pipeline.add_component(
        "embedder", SentenceTransformersTextEmbedder(model=weights(), progress_bar=False)
    )
    pipeline.add_component("near", InMemoryEmbeddingRetriever(store, top_k=POOL))
    pipeline.add_component("words", InMemoryBM25Retriever(store, top_k=POOL))
    pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=POOL))
    pipeline.connect("embedder", "near")
    pipeline.connect("near", "joiner")
    pipeline.connect("words", "joiner")
    return pipeline
