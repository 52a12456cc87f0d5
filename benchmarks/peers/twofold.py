"""Twofold as its users have it: a server in a process of its own, and the client that it ships."""

from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.seam import DEPTH, Document
from tests.support.live import live_server
from twofold import Client
from twofold.schema import DocumentText

INGEST_S = 3_600.0
FACTS = {
    "version": f"twofold {version('twofold')}",
    "index": "Qdrant's engine in the process, exact, on disk",
    "words": "BM25 with stems and stop words",
    "passages": "254 tokens at most, cut at sentences",
    "fusion": "sum of normalised scores",
    "second stage": "late interaction, fused with the first stage's scores",
}


class Contestant:
    """See `seam.Contestant`."""

    def __init__(self, folder: Path) -> None:
        self.facts = {**FACTS, "reached": "over HTTP"}
        self._stack = ExitStack()
        server = self._stack.enter_context(live_server(folder))
        self.pid = server.process.pid
        self._client = self._stack.enter_context(Client(server.url, timeout=120.0))

    def ingest(self, documents: Sequence[Document]) -> None:
        texts = (DocumentText(id=id_, text=text) for id_, text in documents)
        added = self._client.add_texts(texts, wait=INGEST_S).documents
        if unready := [each.id for each in added if each.status != "ready"]:
            raise RuntimeError(f"{len(unready)} of {len(added)} are not ready: {unready[:3]}")

    def search(self, query: str, limit: int, *, rerank: bool) -> list[str]:
        answer = self._client.search(
            query,
            limit=limit,
            group_by_document=1,
            rerank={"enabled": True, "depth": DEPTH} if rerank else {"enabled": False},
        )
        return [each.document_id for each in answer.results]

    def close(self) -> None:
        self._stack.close()
