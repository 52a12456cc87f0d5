"""A rerank worker as a process of its own, with small models: `-m tests.support.worker_process`."""

import argparse
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.ports import Pairs, PairScores
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.streams.worker import RedisWorker
from services.reranker.serve import serve
from tests.support.live import ROOT, clean_environment
from tests.support.models import WordEmbedder
from tests.support.reranking import OverlapModel

BEAT_S = 0.2
BATCH = 10
CRASH = "crash"


class DeviceModel(OverlapModel):
    """Takes its time over each passage, and takes the process down where it is told to."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        texts = [text for pairs in batch for text in pairs.passages]
        if any(CRASH in text for text in texts):
            signal.raise_signal(signal.SIGKILL)
        time.sleep(self._seconds * len(texts))
        return super().score_batch(batch)


class WorkerProcess:
    """A running worker, in batches of ten passages.

    Args:
        url: Of Redis.
        name: Of its streams, one for passages and one for queries.
        log: Where it writes.
        seconds: That a passage takes.
        drain_s: Its time to finish when it is stopped.
    """

    def __init__(
        self, url: str, name: str, log: Path, *, seconds: float = 0.0, drain_s: float = 10.0
    ) -> None:
        self.log = log
        options = ("--seconds", str(seconds), "--drain", str(drain_s))
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.worker_process", url, name, *options],
                cwd=ROOT,
                env=clean_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 20.0) -> int:
        """Its exit status."""
        return self.process.wait(seconds)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("name")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--drain", type=float)
    told = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(process)d %(levelname)s %(message)s")
    worker = RedisWorker(
        told.url,
        reranker=(told.name, DeviceModel(told.seconds)),
        embedders={told.name: WordEmbedder()},
        scheduler=Scheduler(budget=BATCH, quantum=50),
        tokens=lambda _: 1,
        drain_s=told.drain,
        beat_s=BEAT_S,
    )
    serve(worker, told.drain)


if __name__ == "__main__":
    main()
