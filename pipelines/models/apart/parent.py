"""The models of a child process, as if they were here."""

import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Client, Connection
from typing import Any

from pipelines.models.apart.wire import Call, Facts, Failed, Ready, Task
from pipelines.models.select import Models, chosen_models
from pipelines.ports import Pairs, PairScores, RerankProfile, Vector
from pipelines.settings import Settings
from twofold.errors import ServiceError, StartupError, Unavailable

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "pipelines.models.apart.child")
LOAD_S = 1_800.0  # weights of 16 GB from a slow disk take minutes
END_S = 10.0
DEATHS, WITHIN_S = 3, 60.0  # a child that dies more often is left dead for the rest of that time


def models_apart(settings: Settings) -> Models:
    """Load the models that the settings name, in a process of their own.

    Models that are all behind a URL compute nowhere near, and stay here.

    Raises:
        StartupError: They cannot be loaded, with the error that says why; or the process died.
    """
    if not any(computes(each) for each in (*settings.embedders, settings.reranker)):
        return chosen_models(settings)
    process = ModelProcess(settings)
    embedders = [
        EmbedderApart(process, number, facts) for number, facts in enumerate(process.told.embedders)
    ]
    rerank = process.told.reranker
    reranker = RerankModelApart(process, rerank) if rerank is not None else None
    return Models(embedders[0], reranker, tuple(embedders[1:]))


def computes(setting: str) -> bool:
    """Whether a model is computed by whoever chooses it."""
    return "://" not in setting and setting != "none"


class ModelProcess:
    """A child with models, and the connections to it; may be called from any thread.

    A child that dies is replaced with the next call. The call that it died in fails, for what it
    was given may be why.

    Args:
        settings: Name the models.

    Attributes:
        told: What the child has said of its models.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._free: deque[Connection] = deque()
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._closed = False
        self._child, self.told = self._start()

    def call(self, model: int | None, method: str, *arguments: object, **named: object) -> Any:
        """What the model answers; raises what it raises.

        Raises:
            ServiceError: The child has died in the call.
            Unavailable: It dies again and again, or the process is ending.
        """
        connection = self._connection()
        try:
            connection.send(Call(model, method, arguments, named))
            answer = connection.recv()
        except (EOFError, OSError):
            connection.close()
            reason = "the process of the models has died in this call; its log may say why."
            raise ServiceError(reason=reason) from None
        self._free.append(connection)
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    def close(self) -> None:
        """End the child; what it computes is lost."""
        with self._lock:
            self._closed = True
            self._end()

    def _connection(self) -> Connection:
        with self._lock:
            if self._closed:
                raise Unavailable(what="The model", reason="the process is ending", seconds=5)
            if self._child.poll() is not None:
                self._replace()
            with suppress(IndexError):
                return self._free.popleft()
            try:
                return Client(self.told.address, authkey=self._key)
            except (OSError, EOFError):  # it is about to die: its threads go one by one
                self._child.kill()
                self._child.wait()
                self._replace()
                return Client(self.told.address, authkey=self._key)

    def _replace(self) -> None:
        """Start another child in the place of the one that died, unless they all die."""
        now = time.monotonic()
        if len(self._deaths) == DEATHS and (since := now - self._deaths[0]) < WITHIN_S:
            reason = f"its process has died {DEATHS} times in {since:.0f} s, see the log"
            raise Unavailable(what="The model", reason=reason, seconds=round(WITHIN_S - since))
        self._deaths.append(now)
        log.error("the process of the models died (%s); it is started again", self._child.poll())
        self._end()
        try:
            self._child, self.told = self._start()
        except StartupError as error:
            raise Unavailable(what="The model", reason=error.message, seconds=5) from None

    def _start(self) -> tuple[subprocess.Popen[bytes], Ready]:
        """A child that has loaded all.

        Raises:
            StartupError: What it says of why not, or it died without a word.
        """
        child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdin is not None  # noqa: S101 - both are pipes
        assert child.stdout is not None  # noqa: S101
        overdue = threading.Timer(LOAD_S, child.kill)
        overdue.start()
        try:
            pickle.dump(Task(self._settings, self._key), child.stdin)
            child.stdin.flush()
            said: Ready | Failed = pickle.load(child.stdout)  # noqa: S301 - its own child
        except (EOFError, OSError, pickle.UnpicklingError):
            child.kill()
            status = _ended(child)
            reason = f"the process that loads the models ended with {status}; see above."
            raise StartupError(reason=reason) from None
        finally:
            overdue.cancel()
            child.stdout.close()
        if isinstance(said, Failed):
            _ended(child)
            raise said.error
        return child, said

    def _end(self) -> None:
        while self._free:
            self._free.popleft().close()
        _ended(self._child)


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Take its lease from a child and wait for its end; returns its status."""
    if child.stdin is not None:
        with suppress(OSError):
            child.stdin.close()
    try:
        return child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


class _Apart:
    """A model of the child; what is known of it without asking is an attribute here."""

    def __init__(self, process: ModelProcess, facts: Facts) -> None:
        self._process = process
        vars(self).update(facts)

    def close(self) -> None:
        """Let the child go, with all its models."""
        self._process.close()


class EmbedderApart(_Apart):
    """An `Embedder`; it is `Shortenable` and `Instructable` where the one in the child is."""

    name: str
    dimensions: int
    max_tokens: int
    tokenizer_json: str | None

    def __init__(self, process: ModelProcess, number: int, facts: Facts) -> None:
        super().__init__(process, facts)
        self._number = number

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        vectors: Vector = self._process.call(
            self._number, "embed_queries", list(texts), instruction=instruction
        )
        return vectors

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        vectors: Vector = self._process.call(self._number, "embed_passages", list(texts))
        return vectors


class RerankModelApart(_Apart):
    """A `RerankModel`."""

    name: str
    profile: RerankProfile

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        scores: list[PairScores] = self._process.call(None, "score_batch", list(batch))
        return scores
