"""The rerank worker: streams in, one device, replies out.

    read ──> embed the queries ──> offer ──> Scheduler ──next_batch──> score ──> reply, ack, delete
     ^                                                                                │
     └────────────────────────────────────────────────────────────────────────────────┘

One thread does all of it in turns, so nothing is handed from thread to thread, and no more is read
than the next batch needs: what waits in the stream is there for every worker, and goes when its
caller does. Queries come before passages: they are small, and a search can do nothing without.
"""

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
import redis

from pipelines.ports import Embedder, RerankModel
from pipelines.rerank.batch import Scheduler
from pipelines.rerank.streams.client import connect
from pipelines.rerank.streams.clock import RedisClock
from pipelines.rerank.streams.consumer import Consumer, Entry
from pipelines.rerank.streams.heartbeat import SILENT_AFTER, Heartbeat
from pipelines.rerank.streams.quiet import Quiet
from pipelines.rerank.streams.served import Served, ServedEmbedder, ServedReranker, refuse
from pipelines.rerank.streams.wire import Call, Stream
from pipelines.rerank.turns import estimate_tokens
from twofold.errors import ConfigurationError

log = logging.getLogger(__name__)

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 2.0
HANGS_AFTER_S = 120.0


class RedisWorker:
    """Serves a rerank stream, embed streams, or both, until it is stopped.

    Args:
        url: Of the Redis server.
        reranker: Name of the stream and the model that serves it; None: no rerank stream.
        embedders: The same for queries, of any number of models.
        scheduler: Decides what is scored when; None: one with the usual budget.
        tokens: Estimated tokens of a passage, as the API processes estimate them.
        drain_s: Time to finish what has been read once it is stopped.
        beat_s: Between signs of life. Five without one, and the worker counts as gone.
        clock: Seconds on any clock that runs forward.
    """

    def __init__(
        self,
        url: str,
        *,
        reranker: tuple[str, RerankModel] | None = None,
        embedders: Mapping[str, Embedder] | None = None,
        scheduler: Scheduler | None = None,
        tokens: Callable[[str], int] = estimate_tokens,
        drain_s: float = 20.0,
        beat_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        self._url = url
        self._drain_s = drain_s
        self._beat_s = beat_s
        self._stopping = threading.Event()
        self._backoff_s = FIRST_BACKOFF_S
        self._quiet = Quiet(log)
        self._clock = RedisClock(clock)
        self._last_round = clock()
        self._next_take_over = clock()
        queries = {Stream.embed(name): model for name, model in (embedders or {}).items()}
        passages = {Stream.rerank(reranker[0]): reranker[1]} if reranker else {}
        self._consumer = Consumer(connect(url), self.name, [*queries, *passages], self._clock)
        # In the order in which they are served.
        self._served: dict[Stream, Served] = {
            stream: ServedEmbedder(model, self._consumer, clock=clock)
            for stream, model in queries.items()
        }
        for stream, scorer in passages.items():
            self._served[stream] = ServedReranker(
                scorer,
                self._consumer,
                scheduler=scheduler or Scheduler(),
                tokens=tokens,
                clock=clock,
            )
        self._heartbeat = Heartbeat(
            connect(url),
            self._consumer,
            lambda: {stream: served.announcement for stream, served in self._served.items()},
            self._clock,
            comes_round=lambda: clock() - self._last_round < HANGS_AFTER_S,
            beat_s=beat_s,
        )

    def run(self) -> None:
        """Serve until `stop`, then finish what was read and hand back what is not done in time.

        Waits for a Redis that is away, here and later, for as long as it takes.

        Raises:
            ConfigurationError: Redis is there and does not let this worker in.
        """
        try:
            self._begin()
            while not self._stopping.is_set():
                self._round()
            self._drain()
        except Exception:
            log.exception("the worker ends by accident")
            raise
        except BaseException as death:
            self._bury(death)
            raise
        finally:
            self._consumer.close()
            self._heartbeat.close()

    def stop(self) -> None:
        """No more reading; `run` returns when what was read is done. From any thread."""
        self._stopping.set()

    def abandon(self) -> None:
        """Hand back all that is held while `run` hangs in a model, just before the process ends."""
        spare = Consumer(connect(self._url), self.name, self._consumer.streams, self._clock)
        for entry in list(self._consumer.held.values()):
            spare.hand_back(entry, self._rest(entry))
        spare.flush()

    # --- The loop -----------------------------------------------------------------------

    def _begin(self) -> None:
        while not self._stopping.is_set():
            try:
                self._consumer.join()
                self._heartbeat.start()
            except redis.AuthenticationError as error:
                raise ConfigurationError(
                    setting="TWOFOLD_REDIS_URL", reason=f"Redis refuses the login: {error}"
                ) from None
            except (redis.RedisError, OSError) as error:
                self._pause(error)
            else:
                log.info(
                    "worker %s serves %s",
                    self.name,
                    ", ".join(stream.key for stream in self._served),
                )
                return

    def _round(self) -> None:
        """Read what the next batches have room for and run one of each."""
        try:
            # What an outage has left.
            self._consumer.flush()
            for entry in self._read():
                self._served[entry.stream].offer(entry)
            self._serve()
            self._backoff_s = FIRST_BACKOFF_S
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                self._pause(error)
            else:
                self._join_again()
        except (redis.RedisError, OSError) as error:
            self._pause(error)

    def _read(self) -> list[Entry]:
        self._last_round = self._clock.local()
        counts = {stream: served.room for stream, served in self._served.items() if served.room}
        entries = self._take_over(counts)
        if entries or any(served.waiting for served in self._served.values()):
            return entries + (self._consumer.read(counts) if counts else [])
        return self._consumer.wait(tuple(counts), min(counts.values()), self._beat_s)

    def _take_over(self, streams: Iterable[Stream]) -> list[Entry]:
        now = self._clock.local()
        if now < self._next_take_over:
            return []
        self._next_take_over = now + self._beat_s
        idle_s = SILENT_AFTER * self._beat_s
        return [e for stream in streams for e in self._consumer.take_over(stream, idle_s)]

    def _serve(self) -> None:
        for served in self._served.values():
            if served.waiting:
                served.serve()
        self._consumer.flush()

    def _join_again(self) -> None:
        log.warning("Redis has lost its keys; the groups are made again")
        try:
            self._consumer.join()
        except (redis.RedisError, OSError) as error:
            self._pause(error)

    def _pause(self, error: Exception) -> None:
        self._quiet.warning("Redis is away, trying again: %s", error)
        self._stopping.wait(self._backoff_s)
        self._backoff_s = min(LONGEST_BACKOFF_S, 2 * self._backoff_s)

    # --- The end ------------------------------------------------------------------------

    def _drain(self) -> None:
        """Finish what was read, as far as there is time, and hand the rest back."""
        log.info("stopping: no more is read, what was read is finished")
        end = self._clock.local() + self._drain_s
        with self._quietly():
            self._heartbeat.retract()
        while self._clock.local() < end and any(s.waiting for s in self._served.values()):
            with self._quietly():
                self._serve()
        self._leave()

    def _bury(self, death: BaseException) -> None:
        """The model took the thread down: its batch is answered, the rest is for others."""
        reason = f"a worker died of {type(death).__name__}"
        log.critical("%s; it ends", reason)
        for served in self._served.values():
            for entry in served.running:
                refuse(self._consumer, entry, "unavailable", reason)
        self._leave()

    def _leave(self) -> None:
        for entry in list(self._consumer.held.values()):
            self._consumer.hand_back(entry, self._rest(entry))
        with self._quietly():
            self._heartbeat.stop()
            self._consumer.flush()
            self._consumer.leave()

    def _rest(self, entry: Entry) -> Call:
        left = max(0.0, entry.deadline - self._clock.local())
        return msgspec.structs.replace(self._served[entry.stream].rest(entry), budget_s=left)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Redis may be away at the end too; then other workers take over after a while."""
        try:
            yield
        except (redis.RedisError, OSError) as error:
            self._quiet.warning("Redis is away: %s", error)
