"""A rerank worker on a thread of the tests; a supervisor brings it up again when it dies."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pipelines.rerank.streams.worker import RedisWorker
from tests.support.reranking import ThreadKilled

RESTART_S = 0.3
BEAT_S = 0.1


class SupervisedWorker:
    """Runs what `build` makes; after a death, another one a moment later."""

    def __init__(self, build: Callable[[], RedisWorker]) -> None:
        self._build = build
        self._stopped = threading.Event()
        self._worker = build()
        self._thread = threading.Thread(target=self._run, name="supervised worker", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        self._stopped.set()
        self._worker.stop()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(ThreadKilled):
                self._worker.run()
            if not self._stopped.wait(RESTART_S):
                self._worker = self._build()


@contextmanager
def supervised(build: Callable[[], RedisWorker]) -> Iterator[SupervisedWorker]:
    worker = SupervisedWorker(build)
    try:
        yield worker
    finally:
        worker.stop()


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)
