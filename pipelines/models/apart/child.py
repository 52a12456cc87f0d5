"""The process that computes: `python -m pipelines.models.apart.child`, started by `parent.py`.

Its standard input is its lease: it ends when that does, so with its parent, however that ends. An
interrupt at the terminal reaches it as well, and is left to the parent.
"""

import gc
import logging
import os
import pickle
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener

from pipelines.logs import log_to_stderr
from pipelines.models.apart.wire import Call, Failed, Task, ready
from pipelines.models.select import Models, chosen_models
from twofold.errors import ServiceError, TwofoldError

log = logging.getLogger(__name__)


def main() -> None:
    """Load what the settings name, say so or why not, and answer until nobody is left to ask."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as said:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
        task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 - from its own parent
        threading.Thread(target=end_with_parent, daemon=True).start()
        log_to_stderr(task.settings.log_level)
        try:
            models = chosen_models(task.settings)
        except TwofoldError as failure:
            pickle.dump(Failed(failure), said)
            return
        listener = Listener(backlog=16, authkey=task.key)
        pickle.dump(ready(str(listener.address), models), said)
    gc.collect()
    gc.freeze()
    with listener:
        answer_all(listener, models)


def end_with_parent() -> None:
    """Wait for the end of standard input, and then for nothing any more."""
    sys.stdin.buffer.read()
    os._exit(0)


def answer_all(listener: Listener, models: Models) -> None:
    """Give every connection a thread; the models know how many may call them at once."""
    while True:
        with suppress(AuthenticationError, EOFError, ConnectionError):
            asking = (listener.accept(), models)
            threading.Thread(target=answer_one, args=asking, daemon=True).start()


def answer_one(connection: "Connection", models: Models) -> None:
    """Answer call after call, until the other end closes."""
    with connection, suppress(EOFError, ConnectionError):
        while True:
            answer = answered(models, connection.recv())
            try:
                connection.send(answer)
            except (pickle.PicklingError, TypeError, AttributeError):
                log.exception("a model answered what cannot be handed on: %r", answer)
                error = ServiceError(reason="a model has failed; see the log of the server.")
                connection.send(Failed(error))


def answered(models: Models, call: Call) -> object:
    """What the model says, or what it raises."""
    embedders = (models.embedder, *models.others)
    model = models.reranker if call.model is None else embedders[call.model]
    try:
        return getattr(model, call.method)(*call.arguments, **call.named)
    except TwofoldError as error:
        return Failed(error)
    except Exception as error:
        log.exception("a model has failed in '%s'", call.method)
        return Failed(error)


if __name__ == "__main__":
    main()
