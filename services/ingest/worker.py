"""The Celery side: one process with threads that only wait, and one task.

    Redis ──> Celery, main thread ──> a thread for each document ──> the workshop's event loop

Celery takes announcements, acknowledges them when their document is done, and hears signals. The
documents themselves are worked on in the workshop, see there.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from celery import Celery, signals
from celery.exceptions import Reject
from pydantic import TypeAdapter, ValidationError

from pipelines.build import IngestWorker
from pipelines.queue.broker import TASK, celery_app
from pipelines.settings import Settings
from services.ingest.workshop import Workshop

log = logging.getLogger(__name__)

SLACK_S = 15.0
"""Seconds after the drain in which a worker that was stopped closes what it holds, or is ended."""

_ARGUMENTS: TypeAdapter[tuple[str, str, str, int]] = TypeAdapter(tuple[str, str, str, int])

Build: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[IngestWorker]]


def run(settings: Settings, redis_url: str, build: Build) -> None:
    """Work off announcements until a signal says stop; ends the process.

    Args:
        settings: Of concurrency and times.
        redis_url: Of the queue.
        build: Makes the parts, within the workshop's event loop.

    Raises:
        StartupError: It cannot run like this.
        Unavailable: A part that it needs did not come up in time.
    """
    workshop = Workshop(settings, redis_url, lambda: build(settings))
    workshop.start()
    listen(workshop, settings.drain_s)
    app = celery_app(redis_url, ingest_timeout_s=settings.ingest_timeout_s)
    register(app, workshop)
    worker = app.Worker(
        hostname=f"ingest@{workshop.name}",
        pool="threads",
        concurrency=settings.ingest_concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    log.info("an ingestion worker for %d documents at once", settings.ingest_concurrency)
    try:
        worker.start()
    except Exception:
        log.exception("the connection to Redis could not be kept")
        worker.exitcode = 1
    workshop.stop(SLACK_S)
    end(int(worker.exitcode or 0))


def register(app: Celery, workshop: Workshop) -> None:
    """Make the task known."""
    signals.setup_logging.connect(keep_our_logging)

    @app.task(name=TASK, shared=False)  # type: ignore[untyped-decorator]  # Celery has no types
    def ingest(*arguments: object) -> None:
        try:
            announced = _ARGUMENTS.validate_python(arguments, strict=True)
        except ValidationError:
            log.warning("an announcement that names no document was dropped: %.200r", arguments)
            return
        try:
            workshop.work_on(*announced)
        except CancelledError:
            # The worker is ending: another one shall have it.
            raise Reject(requeue=True) from None
        except Exception:
            # Its row stays as it is, and the reconciler comes back to it.
            log.exception("document %r could not be worked on", announced[2])


def keep_our_logging(**_: Any) -> None:
    """With a receiver of this signal Celery leaves logging as it is."""


def listen(workshop: Workshop, drain_s: float) -> None:
    """React to what Celery says of itself: it is there, and it has been told to stop."""

    def ready(**_: Any) -> None:
        workshop.open()

    def stopping(**_: Any) -> None:
        workshop.drain(drain_s)
        timer = threading.Timer(drain_s + SLACK_S, end, (1,))
        timer.daemon = True
        timer.start()

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(stopping, weak=False)


def end(code: int) -> None:
    """End the process at once.

    A thread may still wait for a parser's child, which ends by its own limits and whose answer
    nobody wants any more; an ordinary exit would wait for it.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
