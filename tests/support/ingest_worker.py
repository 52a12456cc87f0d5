"""An ingestion worker as a process of its own, with small models and plain text only.

Words in a text make things happen to its worker, as far as a test needs them: `KILLER` ends the
process in mid-work, `GATED` waits for as long as the gate of the test is shut.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pipelines import build
from pipelines.build import IngestWorker
from pipelines.ingest import Ingest
from pipelines.ports import Block, Parsed
from pipelines.settings import Settings, read_settings
from pipelines.store.blobs import LocalBlobs
from services.ingest.worker import run
from tests.support.ingesting import first_stage, makers
from tests.support.live import ROOT, STOP_S, clean_environment
from tests.support.models import WordEmbedder

KILLER, GATED = "KILLER", "GATED"
GATE_S = 120.0


class PlainParser:
    """Reads UTF-8, and obeys the words above."""

    def parse(self, path: Path, *, name: str, media_type: str | None) -> Parsed:
        text = path.read_text(encoding="utf-8")
        if KILLER in text:
            time.sleep(0.2)  # so that neighbours are in hand as well
            os.kill(os.getpid(), signal.SIGKILL)
        end = time.monotonic() + GATE_S
        while GATED in text and Path(os.environ["TEST_GATE"]).exists():
            assert time.monotonic() < end, "a test left the gate shut"
            time.sleep(0.05)
        return Parsed(text, (Block(0, len(text)),), "text/plain")


@asynccontextmanager
async def small_parts(settings: Settings) -> AsyncIterator[IngestWorker]:
    store = build.server_store(settings)
    model = WordEmbedder()
    passages = makers(model)
    try:
        yield IngestWorker(
            store,
            Ingest(
                store=store,
                blobs=LocalBlobs(settings.data_dir / "files"),
                parser=PlainParser(),
                makers=passages,
                attempts=settings.ingest_attempts,
                timeout_s=settings.ingest_timeout_s,
                heartbeat_s=settings.heartbeat_s,
            ),
            first_stage(store, model),
        )
    finally:
        passages.close()
        await store.close()


class WorkerProcess:
    """A worker that a test can kill and start again.

    Args:
        folder: Of the files, the log, and the gate: a file, which is shut while it is there.
        settings: By their names without prefix.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.log = folder / "worker.log"
        told = {"DATA_DIR": str(folder / "data"), **settings}
        self.gate = folder / "gate"
        self.environment = {
            **clean_environment(),
            **{f"TWOFOLD_{key}": value for key, value in told.items()},
            "TEST_GATE": str(self.gate),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, in whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_S)

    def healthy(self) -> bool:
        """What the health check of a container says."""
        command = [sys.executable, "-m", "services.ingest", "--health"]
        return subprocess.run(command, cwd=ROOT, env=self.environment, timeout=60).returncode == 0


def main() -> None:
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = read_settings()
    assert settings.redis_url is not None
    run(settings, settings.redis_url.get_secret_value(), small_parts)


if __name__ == "__main__":
    main()
