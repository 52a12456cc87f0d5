"""Twofold without its HTTP: the flows themselves, called in the process that asks.

Nobody uses it like this. It says what the way to the server costs, since the peers are libraries
that are called without one.
"""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.peers.seam import DEPTH, Document
from benchmarks.peers.twofold import FACTS, INGEST_S
from pipelines.build import Twofold, serving
from pipelines.documents import Upload
from pipelines.settings import Settings
from twofold.schema import SearchRequest

Answer = TypeVar("Answer")
TENANT, COLLECTION = "default", "default"
LOOK_S = 0.05


class Contestant:
    """See `seam.Contestant`."""

    def __init__(self, folder: Path) -> None:
        self.facts = {**FACTS, "reached": "in its process"}
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="twofold", daemon=True).start()
        self._stack = AsyncExitStack()
        settings = Settings(data_dir=folder / "data")
        self._parts: Twofold = self._wait(self._stack.enter_async_context(serving(settings)))

    def ingest(self, documents: Sequence[Document]) -> None:
        self._wait(self._ingest([upload(each) for each in documents]))

    async def _ingest(self, uploads: Sequence[Upload]) -> None:
        store = self._parts.store
        await self._parts.documents.accept(TENANT, COLLECTION, uploads)
        end = time.monotonic() + INGEST_S
        while time.monotonic() < end:
            counts = await store.count_documents(TENANT, COLLECTION)
            if counts.keys() <= {"ready"}:
                return
            await asyncio.sleep(LOOK_S)
        raise RuntimeError(f"not ready after {INGEST_S:.0f} s: {counts}")

    def search(self, query: str, limit: int, *, rerank: bool) -> list[str]:
        request = SearchRequest.model_validate(
            {
                "query": query,
                "limit": limit,
                "group_by_document": 1,
                "rerank": {"enabled": True, "depth": DEPTH} if rerank else {"enabled": False},
            }
        )
        answer = self._wait(self._parts.search(TENANT, request))
        return [each.document_id for each in answer.results]

    def close(self) -> None:
        self._wait(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _wait(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def upload(document: Document) -> Upload:
    """The document as the API makes one of a text."""
    content = document.text.encode()
    return Upload(
        name=document.id,
        content=content,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        media_type="text/plain; charset=utf-8",
        id=document.id,
    )
