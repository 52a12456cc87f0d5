"""A worker in a process: signals end it, in order or at once."""

import logging
import os
import signal
import threading
from types import FrameType

from pipelines.rerank.streams.worker import RedisWorker

log = logging.getLogger("twofold")

GRACE_S = 1.0
"""After the time to drain, for the last words to Redis."""

POLL_S = 0.2


def serve(worker: RedisWorker, drain_s: float) -> None:
    """Run the worker until SIGTERM or SIGINT; a second one ends the process at once."""
    running = _Running(worker)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, running.on_signal)
    running.start()
    running.join(drain_s + GRACE_S)
    if running.is_alive():
        log.warning("the model did not come back in %g s; what it was at is handed back", drain_s)
        worker.abandon()
        logging.shutdown()
        os._exit(0)
    if running.failure is not None:
        raise running.failure


class _Running(threading.Thread):
    """The worker on a thread, so that signals are heard while a model computes."""

    def __init__(self, worker: RedisWorker) -> None:
        super().__init__(name="worker", daemon=True)
        self.failure: BaseException | None = None
        self._worker = worker
        # No Event: its lock might be held by what the signal handler interrupts.
        self._stopping = False

    def run(self) -> None:
        try:
            self._worker.run()
        except BaseException as failure:
            self.failure = failure

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end; once a signal has come, for `timeout` at most."""
        while self.is_alive() and not self._stopping:
            super().join(POLL_S)
        super().join(timeout)

    def on_signal(self, number: int, _: FrameType | None) -> None:
        if self._stopping:
            os._exit(128 + number)
        self._stopping = True
        self._worker.stop()
