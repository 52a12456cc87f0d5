"""A worker's signs of life, from a thread of their own: the device may be busy for seconds.

Each beat announces the worker, keeps the entries that it holds from being taken over, and asks
Redis for the time. There is none while the worker's own loop has not come round for long: a worker
that hangs looks like one that is dead, to API processes, to other workers and to its health check.
"""

import logging
import threading
from collections.abc import Callable, Mapping

import redis

from pipelines.rerank.streams.client import Command, execute_all
from pipelines.rerank.streams.clock import RedisClock
from pipelines.rerank.streams.consumer import Consumer
from pipelines.rerank.streams.quiet import Quiet
from pipelines.rerank.streams.wire import GROUP, Announcement, Stream, pack_announcement

log = logging.getLogger(__name__)

SILENT_AFTER = 5
"""Beats without a sign of life after which a worker counts as gone."""

LISTED_S = 3_600


class Heartbeat:
    """Announces a worker on its streams, every `beat_s` seconds until it is stopped.

    Args:
        client: A connection of its own.
        consumer: Whose entries it keeps.
        announcements: What to say on each stream now.
        comes_round: Whether the worker's loop has given a sign of life of its own.
    """

    def __init__(
        self,
        client: "redis.Redis",
        consumer: Consumer,
        announcements: Callable[[], Mapping[Stream, Announcement]],
        clock: RedisClock,
        *,
        comes_round: Callable[[], bool],
        beat_s: float,
    ) -> None:
        self._client = client
        self._consumer = consumer
        self._announcements = announcements
        self._clock = clock
        self._comes_round = comes_round
        self._beat_s = beat_s
        self._announced = True
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._quiet = Quiet(log)

    def start(self) -> None:
        """Announce the worker, then go on doing so.

        Raises:
            redis.RedisError: The first beat did not reach Redis.
        """
        self.beat()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def retract(self) -> None:
        """Take the announcements back; what is held is still kept."""
        self._announced = False
        name, commands = self._consumer.name, list[Command]()
        for stream in self._consumer.streams:
            commands += [("SREM", stream.workers, name), ("DEL", stream.worker(name))]
        execute_all(self._client, commands)

    def stop(self) -> None:
        """No more beats, and nothing announced."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(2 * self._beat_s)
        self.retract()

    def close(self) -> None:
        """Let go of the connection."""
        self._stopped.set()
        self._client.close()

    def beat(self) -> None:
        """One sign of life, in one pipeline."""
        name, commands = self._consumer.name, list[Command]()
        for stream, announcement in self._announcements().items() if self._announced else ():
            packed = pack_announcement(announcement)
            expiry = ("PX", round(SILENT_AFTER * self._beat_s * 1000))
            commands += [
                ("SET", stream.worker(name), packed, *expiry),
                ("SADD", stream.workers, name),
                ("EXPIRE", stream.workers, LISTED_S),
                ("SET", stream.model, packed),
            ]
        for stream, ids in self._held().items():
            # JUSTID: it stays the same delivery, only its idle time begins anew.
            commands.append(("XCLAIM", stream.key, GROUP, name, 0, *ids, "JUSTID"))
        *_, time = execute_all(self._client, [*commands, ("TIME",)], raising=False)
        if isinstance(time, redis.RedisError):
            raise time
        self._clock.set(time)

    def _run(self) -> None:
        while not self._stopped.wait(self._beat_s):
            if not self._comes_round():
                self._quiet.warning("the model has not answered for long; this worker keeps still")
                continue
            try:
                self.beat()
            except (redis.RedisError, OSError) as error:
                self._quiet.warning("no sign of life can be given, Redis is away: %s", error)

    def _held(self) -> dict[Stream, list[str]]:
        held: dict[Stream, list[str]] = {}
        for stream, entry_id in list(self._consumer.held):
            held.setdefault(stream, []).append(entry_id)
        return held
