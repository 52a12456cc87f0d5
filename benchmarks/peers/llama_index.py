"""LlamaIndex: a VectorStoreIndex and BM25 in a QueryFusionRetriever, then a node postprocessor.

As in its examples "BM25 retriever" and "Reciprocal rerank fusion retriever", with one query, since
more would be made up by a language model.
"""

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from llama_index.core import Document as Source
from llama_index.core import VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.bm25 import BM25Retriever

from benchmarks.peers.scorer import SCORER, scores
from benchmarks.peers.seam import DEPTH, POOL, Document, distinct, weights

FACTS = {
    "version": f"llama-index-core {version('llama-index-core')}",
    "index": "SimpleVectorStore, exact, in Python",
    "words": "bm25s with stems and stop words, rebuilt at each ingest",
    "passages": "512 tokens at most, of which the model reads 256",
    "fusion": "RRF",
    "second stage": SCORER,
}


class LateInteraction(BaseNodePostprocessor):
    """The scoring model as LlamaIndex asks for one."""

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        assert query_bundle is not None
        found = scores(query_bundle.query_str, [each.node.get_content() for each in nodes])
        for each, score in zip(nodes, found, strict=True):
            each.score = score
        return sorted(nodes, key=lambda each: each.score or 0.0, reverse=True)


class Contestant:
    """See `seam.Contestant`."""

    facts = FACTS

    def __init__(self, folder: Path) -> None:
        del folder  # all is kept in memory
        self.pid = os.getpid()
        self._index = VectorStoreIndex([], embed_model=HuggingFaceEmbedding(model_name=weights()))
        self._splitter = SentenceSplitter(chunk_size=512)
        self._postprocessor = LateInteraction()

    def ingest(self, documents: Sequence[Document]) -> None:
        sources = [Source(text=text, id_=id_) for id_, text in documents]
        self._index.insert_nodes(self._splitter.get_nodes_from_documents(sources))
        self._hybrid = QueryFusionRetriever(
            [
                self._index.as_retriever(similarity_top_k=POOL),
                BM25Retriever.from_defaults(docstore=self._index.docstore, similarity_top_k=POOL),
            ],
            llm=MockLLM(),
            mode="reciprocal_rerank",
            similarity_top_k=POOL,
            num_queries=1,
            use_async=False,
        )

    def search(self, query: str, limit: int, *, rerank: bool) -> list[str]:
        found = self._hybrid.retrieve(query)
        if rerank:
            found = self._postprocessor.postprocess_nodes(found[:DEPTH], query_str=query)
        return distinct((each.node.ref_doc_id or "" for each in found), limit)

    def close(self) -> None:
        pass
