"""LangChain: FAISS and BM25 in an EnsembleRetriever, then a CrossEncoderReranker.

As in its guides "EnsembleRetriever" and "Cross encoder reranker"; texts are split as in the
tutorial "Semantic search engine".
"""

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_classic.retrievers.document_compressors.cross_encoder import BaseCrossEncoder
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document as Passage
from langchain_core.retrievers import BaseRetriever
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

from benchmarks.peers.scorer import SCORER, scores
from benchmarks.peers.seam import DEPTH, POOL, Document, distinct, weights

FACTS = {
    "version": f"langchain-classic {version('langchain-classic')}",
    "index": "FAISS, exact",
    "words": "rank-bm25 over text.split(): case counts, no stems, rebuilt at each ingest",
    "passages": "1,000 characters, 200 shared",
    "fusion": "RRF, 0.5 each",
    "second stage": SCORER,
}


class LateInteraction(BaseCrossEncoder):
    """The scoring model as LangChain asks for one."""

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """See `BaseCrossEncoder`: all pairs are of one query."""
        return scores(text_pairs[0][0], [text for _, text in text_pairs])


class Contestant:
    """See `seam.Contestant`."""

    facts = FACTS

    def __init__(self, folder: Path) -> None:
        del folder  # all is kept in memory
        self.pid = os.getpid()
        self._embeddings = HuggingFaceEmbeddings(model_name=weights())
        self._splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
        self._passages: list[Passage] = []
        self._store: FAISS | None = None

    def ingest(self, documents: Sequence[Document]) -> None:
        new = self._splitter.split_documents(
            [Passage(page_content=text, metadata={"id": id_}) for id_, text in documents]
        )
        self._passages += new
        if self._store is None:
            self._store = FAISS.from_documents(new, self._embeddings)
        else:
            self._store.add_documents(new)
        words = BM25Retriever.from_documents(self._passages, k=POOL)
        near = self._store.as_retriever(search_kwargs={"k": POOL})
        self._hybrid = EnsembleRetriever(retrievers=[words, near], weights=[0.5, 0.5])
        self._reranked = ContextualCompressionRetriever(
            base_compressor=CrossEncoderReranker(model=LateInteraction(), top_n=DEPTH),
            base_retriever=self._hybrid | (lambda found: found[:DEPTH]),
        )

    def search(self, query: str, limit: int, *, rerank: bool) -> list[str]:
        retriever: BaseRetriever = self._reranked if rerank else self._hybrid
        return distinct((each.metadata["id"] for each in retriever.invoke(query)), limit)

    def close(self) -> None:
        self._store = None
