"""A worker's end of the request streams: read, take over, answer, hand back.

Every entry that was read is held until it is answered: it stays in the stream and on the group's
list of pending entries, so that another worker takes it over when this one dies. Answer,
acknowledgement and deletion leave in one pipeline. The stream has no MAXLEN, which would silently
drop entries that are pending; what waits in it is bounded by the admission of the API processes.
"""

import itertools
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import redis

from pipelines.rerank.streams.client import Command, execute, execute_all
from pipelines.rerank.streams.clock import RedisClock
from pipelines.rerank.streams.quiet import Quiet
from pipelines.rerank.streams.wire import (
    GROUP,
    REPLIES,
    Call,
    Envelope,
    Fields,
    Refused,
    Reply,
    Stream,
    WireError,
    read_call,
    seal,
    unseal,
)

log = logging.getLogger(__name__)

DELIVERIES = 3
DEAD_LETTERS, DEAD_LETTER_FIELDS, DEAD_LETTER_BYTES = 1_000, 8, 4_096
REPLIES_KEPT, REPLIES_KEPT_S = 10_000, 60
UNSENT = 10_000
TAKEN_OVER_AT_ONCE = 16

Found: TypeAlias = Sequence[tuple[bytes, Sequence[tuple[bytes, Fields]]]]


@dataclass(frozen=True)
class Entry:
    """A request in a worker's hands.

    Attributes:
        id: Of the entry in its stream.
        deadline: On the worker's own clock, seconds.
    """

    stream: Stream
    id: str
    call_id: str
    to: str
    call: Call
    deadline: float


class Consumer:
    """Reads as one consumer of the group; used by one thread.

    Args:
        client: For blocking reads as well, so its timeout has to be longer than they are.
        name: Of the consumer; no other process may use it.
        streams: What it reads, the most urgent first.
        clock: Kept right by whoever asks Redis for the time.
    """

    def __init__(
        self,
        client: "redis.Redis",
        name: str,
        streams: Sequence[Stream],
        clock: RedisClock,
    ) -> None:
        self.name = name
        self.streams = tuple(streams)
        # Shared with the heartbeat, which only iterates over a copy.
        self.held: dict[tuple[Stream, str], Entry] = {}
        self._client = client
        self._clock = clock
        self._unsent: deque[Command] = deque(maxlen=UNSENT)
        self._inboxes: set[str] = set()
        self._by_key = {stream.key.encode(): stream for stream in streams}
        self._quiet = Quiet(log)

    def join(self) -> None:
        """Make what is missing of the groups; they begin with the oldest entry there is."""
        self._clock.set(execute(self._client, ("TIME",)))
        for stream in self.streams:
            try:
                self._client.xgroup_create(stream.key, GROUP, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def read(self, counts: Mapping[Stream, int]) -> list[Entry]:
        """Take up to so many new entries from each stream; what is there, without waiting.

        Raises:
            redis.ResponseError: NOGROUP, when the server has lost its keys; `join` mends that.
        """
        commands = [
            (*self._read(count), "STREAMS", stream.key, ">") for stream, count in counts.items()
        ]
        found = execute_all(self._client, commands)
        return [entry for each in found for entry in self._entries(each)]

    def wait(self, streams: Sequence[Stream], count: int, seconds: float) -> list[Entry]:
        """Take up to `count` entries from each stream once there are any; raises as `read`."""
        block = ("BLOCK", max(1, round(seconds * 1000)))
        keys = (stream.key for stream in streams)
        command = (*self._read(count), *block, "STREAMS", *keys, *(">" for _ in streams))
        found = execute(self._client, command)
        return list(self._entries(found))

    def take_over(self, stream: Stream, idle_s: float) -> list[Entry]:
        """Take entries whose consumer has not been heard of for so long; give up hopeless ones."""
        idle_ms = round(idle_s * 1000)
        pending = self._client.xpending_range(
            stream.key, GROUP, "-", "+", TAKEN_OVER_AT_ONCE, idle=idle_ms
        )
        deliveries = {
            cast("bytes", each["message_id"]): cast("int", each["times_delivered"])
            for each in pending
        }
        ids: list[Any] = [key for key in deliveries if (stream, key.decode()) not in self.held]
        if not ids:
            return []
        entries = []
        claimed: list[Any] = self._client.xclaim(stream.key, GROUP, self.name, idle_ms, ids)
        for entry_id, fields in filter(None, claimed):
            if deliveries[entry_id] >= DELIVERIES:
                self._give_up(stream, entry_id, fields)
            elif (entry := self._take(stream, entry_id, fields)) is not None:
                entries.append(entry)
        log.info("took over %d requests of workers that fell silent", len(claimed))
        return entries

    def answer(self, entry: Entry, reply: Reply, *, last: bool) -> None:
        """Put a reply into the next pipeline; with the last one the entry is done."""
        self._reply(entry.call_id, entry.to, reply)
        if last:
            self._done(entry.stream, entry.id)

    def hand_back(self, entry: Entry, rest: Call) -> None:
        """Put what is left of an entry back into its stream, for whoever reads next."""
        fields = seal(entry.call_id, rest, to=entry.to)
        self._unsent.append(("XADD", entry.stream.key, "*", *fields))
        self._done(entry.stream, entry.id)

    def flush(self) -> None:
        """Send what waits, in one pipeline; when that fails, it waits for the next call."""
        if not self._unsent:
            return
        # An API process that has died reads no more; its replies go after a while.
        commands: list[Command] = [
            *self._unsent,
            *(("EXPIRE", inbox, REPLIES_KEPT_S) for inbox in self._inboxes),
        ]
        results = execute_all(self._client, commands, raising=False)
        for command, result in zip(commands, results, strict=True):
            if isinstance(result, redis.RedisError):
                self._quiet.warning("Redis refused %s: %s", command[0], result)
        self._unsent.clear()
        self._inboxes.clear()

    def leave(self) -> None:
        """Leave the group, unless something is pending: that would be lost with the consumer."""
        for stream in self.streams:
            if not self._client.xpending_range(stream.key, GROUP, "-", "+", 1, self.name):
                self._client.xgroup_delconsumer(stream.key, GROUP, self.name)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    # --- Entries ------------------------------------------------------------------------

    def _read(self, count: int) -> Command:
        return ("XREADGROUP", "GROUP", GROUP, self.name, "COUNT", count)

    def _entries(self, found: "Found | None") -> Iterator[Entry]:
        for key, entries in found or ():
            for entry_id, fields in entries:
                entry = self._take(self._by_key[key], entry_id, fields)
                if entry is not None:
                    yield entry

    def _take(self, stream: Stream, raw_id: bytes, fields: Fields) -> Entry | None:
        """An entry that can be worked on; any other is answered and put aside at once."""
        entry_id = raw_id.decode()
        envelope = None
        try:
            envelope = unseal(fields)
            call = read_call(envelope, stream.calls)
        except WireError as error:
            self._reject(stream, entry_id, fields, envelope, str(error))
            return None
        left = self._clock.left(entry_id, budget_s=call.budget_s, deadline_s=call.deadline_s)
        deadline = self._clock.local() + left
        entry = Entry(stream, entry_id, envelope.id, envelope.to, call, deadline)
        self.held[stream, entry_id] = entry
        return entry

    def _give_up(self, stream: Stream, raw_id: bytes, fields: Fields) -> None:
        try:
            envelope = unseal(fields)
        except WireError:
            envelope = None
        reason = f"given up after {DELIVERIES} workers took it and fell silent"
        self._reject(stream, raw_id.decode(), fields, envelope, reason)

    def _reject(
        self, stream: Stream, entry_id: str, fields: Fields, envelope: Envelope | None, why: str
    ) -> None:
        self._quiet.warning("entry %s of %s is put aside: %s", entry_id, stream.key, why)
        if envelope is not None and envelope.to.startswith(REPLIES):
            self._reply(
                envelope.id, envelope.to, Refused("error", f"the request was refused: {why}")
            )
        self._unsent.append(dead_letter(stream.dead, fields, why))
        self._done(stream, entry_id)

    def _reply(self, call_id: str, to: str, reply: Reply) -> None:
        fields = seal(call_id, reply)
        self._unsent.append(("XADD", to, "MAXLEN", "~", REPLIES_KEPT, "*", *fields))
        self._inboxes.add(to)

    def _done(self, stream: Stream, entry_id: str) -> None:
        self._unsent.append(("XACK", stream.key, GROUP, entry_id))
        self._unsent.append(("XDEL", stream.key, entry_id))
        self.held.pop((stream, entry_id), None)


def dead_letter(key: str, fields: Fields, why: str) -> Command:
    """The command that keeps the head of an entry for the operator, among the latest such."""
    few = itertools.islice(fields.items(), DEAD_LETTER_FIELDS)
    clipped = (part[:DEAD_LETTER_BYTES] for item in few for part in item)
    return ("XADD", key, "MAXLEN", "~", DEAD_LETTERS, "*", "why", why, *clipped)
