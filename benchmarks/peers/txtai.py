"""txtai: Embeddings with `hybrid=True`, then its Reranker pipeline; all else as it comes.

Its database is for one thread at a time, so clients take turns.
"""

import os
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from txtai import Embeddings
from txtai.pipeline import Reranker

from benchmarks.peers.scorer import SCORER, scores
from benchmarks.peers.seam import DEPTH, Document, distinct, weights

FACTS = {
    "version": f"txtai {version('txtai')}",
    "index": "faiss; approximate (IVF) where the first ingest brings more than 5,000 texts",
    "words": "its own BM25: lower case, no stems, on disk",
    "passages": "whole texts, of which the model reads 512 tokens and was trained for 256",
    "fusion": "sum of normalised scores",
    "second stage": SCORER,
}


def late_interaction(query: str, texts: Sequence[str]) -> list[tuple[int, float]]:
    """The scoring model as txtai asks for one: places and scores."""
    return list(enumerate(scores(query, texts)))


class Contestant:
    """See `seam.Contestant`."""

    facts = FACTS

    def __init__(self, folder: Path) -> None:
        del folder  # all is kept in memory
        self.pid = os.getpid()
        self._embeddings = Embeddings(path=weights(), hybrid=True, content=True)
        self._reranker = Reranker(self._embeddings, late_interaction)
        self._empty = True
        self._turn = threading.Lock()

    def ingest(self, documents: Sequence[Document]) -> None:
        take_in = self._embeddings.index if self._empty else self._embeddings.upsert
        take_in(list(documents))
        self._empty = False

    def search(self, query: str, limit: int, *, rerank: bool) -> list[str]:
        with self._turn:
            if rerank:
                found = self._reranker(query, limit=DEPTH, factor=1)
            else:
                found = self._embeddings.search(query, limit)
        return distinct((each["id"] for each in found), limit)

    def close(self) -> None:
        self._embeddings.close()
