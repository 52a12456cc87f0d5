"""An ingestion worker as a process of its own, with small models and plain text only.

Words in a text make things happen to its worker, as far as a test needs them: `KILLER` ends the
process in mid-work, `SLOW` takes a while.
"""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pipelines.build import IngestWorker
from pipelines.chunk import Chunker
from pipelines.embedding import SharedEmbedder
from pipelines.ingest import Ingest
from pipelines.models.bm25 import Bm25SparseEmbedder
from pipelines.ports import Block, Parsed
from pipelines.settings import Settings, read_settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.edge import EdgeStore
from services.ingest.worker import run
from tests.support.models import WordEmbedder

KILLER, SLOW = "KILLER", "SLOW"
SLOW_S = 3.0


class PlainParser:
    """Reads UTF-8, and obeys the words above."""

    def parse(self, path: Path, *, name: str, media_type: str | None) -> Parsed:
        text = path.read_text(encoding="utf-8")
        if KILLER in text:
            time.sleep(0.2)  # so that neighbours are in hand as well
            os.kill(os.getpid(), signal.SIGKILL)
        if SLOW in text:
            time.sleep(SLOW_S)
        return Parsed(text, (Block(0, len(text)),), "text/plain")


@asynccontextmanager
async def small_parts(settings: Settings) -> AsyncIterator[IngestWorker]:
    store = EdgeStore.open(settings.data_dir / "store")
    embedder = SharedEmbedder(WordEmbedder())
    try:
        yield IngestWorker(
            store,
            Ingest(
                store=store,
                blobs=LocalBlobs(settings.data_dir / "files"),
                parser=PlainParser(),
                chunker=Chunker(None, 100),
                embedder=embedder,
                sparse=Bm25SparseEmbedder(),
                attempts=settings.ingest_attempts,
                timeout_s=settings.ingest_timeout_s,
                heartbeat_s=settings.heartbeat_s,
            ),
        )
    finally:
        embedder.close()
        await store.close()


def main() -> None:
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = read_settings()
    assert settings.redis_url is not None
    run(settings, settings.redis_url.get_secret_value(), small_parts)


if __name__ == "__main__":
    main()
