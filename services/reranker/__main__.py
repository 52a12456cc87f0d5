"""`python -m services.reranker`: the worker that reranks and embeds queries.

With `--health` it asks whether the worker of this machine does its work, and exits with 0 or 1.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from types import FrameType

from pipelines.build import required_redis, rerank_worker, worker_streams
from pipelines.rerank import health
from pipelines.rerank.redis_worker import RedisWorker
from pipelines.settings import Settings, read_settings
from twofold.errors import TwofoldError

log = logging.getLogger("twofold")

GRACE_S = 1.0
"""After the time to drain, for the last words to Redis."""

POLL_S = 0.2


def main() -> None:
    """Serve until told to stop; exits with 1 and one sentence when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m services.reranker", description=__doc__)
    parser.add_argument("--health", action="store_true", help="ask whether the worker works")
    arguments = parser.parse_args()
    # A thread that has nothing to do leaves its core to the others. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        settings = read_settings()
        if arguments.health:
            sys.exit(check(settings))
        logging.basicConfig(
            level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s"
        )
        with rerank_worker(settings) as worker:
            serve(worker, settings.drain_s)
    except TwofoldError as error:
        sys.exit(f"twofold: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


def check(settings: Settings) -> str | None:
    """What is wrong with the worker of this machine; None if nothing is."""
    found = health.trouble(required_redis(settings), worker_streams(settings))
    return f"twofold: {found}" if found else None


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


if __name__ == "__main__":
    main()
