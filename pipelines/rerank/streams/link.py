"""An API process's way to the workers: commands out in pipelines, replies in through one stream.

    send()    the sender puts whatever callers want sent meanwhile into one pipeline
    expect()  the reader reads the reply stream and hands each reply to its call
    watch()   the beat lets everybody look, once in a while, at how the workers fare

Whatever Redis does, nobody waits here: a command that is not answered in time takes the link down,
and while it is down every command fails at once. The next beat that gets through puts it up again.
"""

import asyncio
import itertools
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar

import redis
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipelines.rerank.streams.client import Command, bad_url, hints
from pipelines.rerank.streams.clock import RedisClock
from pipelines.rerank.streams.consumer import dead_letter
from pipelines.rerank.streams.quiet import Quiet
from pipelines.rerank.streams.wire import (
    REPLIES,
    Fields,
    Refused,
    Reply,
    WireError,
    read_reply,
    unseal,
)

log = logging.getLogger(__name__)

TIMEOUT_S = 1.0
READ_S = 1.0
RETRY_S = 0.25
BYTES_AT_ONCE = 1_000_000
REPLIES_AT_ONCE = 100
DEAD_REPLIES = "twofold:replies-dead"

T = TypeVar("T")
Handler: TypeAlias = Callable[[Reply], None]
Watcher: TypeAlias = Callable[[], Awaitable[None]]


class LinkDown(Exception):
    """Redis does not answer; the message says how."""


Done: TypeAlias = Callable[[list[Any] | LinkDown], None]


class _Order(NamedTuple):
    commands: Sequence[Command]
    done: Done | None

    @property
    def size(self) -> int:
        """Its bytes, roughly."""
        return sum(
            len(part) for command in self.commands for part in command if not isinstance(part, int)
        )


class Link:
    """Connects one process, on one event loop, with the queues; shared by all that use them.

    Args:
        url: Of the Redis server.
        beat_s: Between two looks at the workers.

    Raises:
        ConfigurationError: The URL is none of a Redis server.
    """

    def __init__(self, url: str, *, beat_s: float = 1.0) -> None:
        self.clock = RedisClock()
        self.inbox = f"{REPLIES}{uuid.uuid4().hex}"
        self._beat_s = beat_s
        self._sending = _client(url)
        self._reading = _client(url)
        self._ids = map(str, itertools.count())
        self._handlers: dict[str, Handler] = {}
        self._watchers: list[Watcher] = []
        self._orders: asyncio.Queue[_Order] = asyncio.Queue()
        self._down: LinkDown | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._quiet = Quiet(log)

    @property
    def down(self) -> LinkDown | None:
        """Why nothing can be sent, if so."""
        return self._down

    async def start(self) -> None:
        """Begin, unless that was done before; the first look at the workers is over then."""
        async with self._starting:
            if not self._tasks:
                await self._look()
                tasks = (self._send_orders(), self._read_replies(), self._beat())
                self._tasks = [asyncio.create_task(task) for task in tasks]

    async def close(self) -> None:
        """End, and leave nothing behind in Redis."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(LinkDown):
            await self.ask([("DEL", self.inbox)])
        await self._sending.aclose()
        await self._reading.aclose()

    def watch(self, watcher: Watcher) -> None:
        """Call this with every beat; it may raise LinkDown."""
        self._watchers.append(watcher)

    def expect(self, handler: Handler) -> str:
        """The id for a new call, whose replies go to the handler."""
        call_id = next(self._ids)
        self._handlers[call_id] = handler
        return call_id

    def forget(self, call_id: str) -> None:
        """No more replies are wanted for a call."""
        self._handlers.pop(call_id, None)

    def send(self, commands: Sequence[Command], done: Done | None = None) -> None:
        """Send commands soon, in order; `done` gets their answers (errors among them) or LinkDown.

        Never waits; at once LinkDown while the link is down.
        """
        if self._down is None:
            self._orders.put_nowait(_Order(commands, done))
        elif done is not None:
            done(self._down)

    async def ask(self, commands: Sequence[Command], *, raising: bool = True) -> list[Any]:
        """Send commands now, whether the link is up or not: the answer decides.

        Raises:
            LinkDown: There was none; or, if `raising`, Redis refused a command.
        """
        pipeline = self._sending.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command, **hints(command))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answers = await pipeline.execute(raise_on_error=raising)
        except (redis.RedisError, OSError) as error:
            raise self._take_down(error) from None
        self._put_up()
        return answers

    # --- Tasks --------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s if self._down is None else RETRY_S)
            await self._look()

    async def _look(self) -> None:
        for watcher in self._watchers:
            try:
                await watcher()
            except LinkDown:
                return
            except Exception:
                log.exception("a look at the workers failed; the next beat looks again")

    async def _send_orders(self) -> None:
        while True:
            orders = await self._next_orders()
            commands = [command for order in orders for command in order.commands]
            try:
                answers = iter(await self.ask(commands, raising=False))
            except LinkDown as down:
                for order in orders:
                    _tell(order.done, down)
                continue
            for order in orders:
                _tell(order.done, list(itertools.islice(answers, len(order.commands))))

    async def _next_orders(self) -> list[_Order]:
        """What waits, but no more than Redis takes well within the time limit."""
        orders = [await self._orders.get()]
        size = orders[0].size
        while not self._orders.empty() and size < BYTES_AT_ONCE:
            orders.append(self._orders.get_nowait())
            size += orders[-1].size
        return orders

    async def _read_replies(self) -> None:
        read: list[bytes] = []
        while True:
            # What was read is deleted with the next read, and that begins at the very beginning:
            # there is no position to lose when the stream or the server is a new one.
            pipeline = self._reading.pipeline(transaction=False)
            if read:
                pipeline.execute_command("XDEL", self.inbox, *read)
            pipeline.execute_command(
                *("XREAD", "COUNT", REPLIES_AT_ONCE, "BLOCK", round(READ_S * 1000)),
                *("STREAMS", self.inbox, "0"),
            )
            try:
                async with asyncio.timeout(READ_S + TIMEOUT_S):
                    *_, found = await pipeline.execute()
            except (redis.RedisError, OSError) as error:
                self._take_down(error)
                await asyncio.sleep(RETRY_S)
                continue
            entries = found[0][1] if found else []
            read = [entry_id for entry_id, _ in entries]
            for entry_id, fields in entries:
                self._deliver(entry_id, fields)

    def _deliver(self, entry_id: bytes, fields: Fields) -> None:
        call_id = None
        try:
            envelope = unseal(fields)
            call_id = envelope.id
            reply = read_reply(envelope)
        except WireError as error:
            self._quiet.warning("reply %s is put aside: %s", entry_id.decode(), error)
            self.send([dead_letter(DEAD_REPLIES, fields, str(error))])
            reply = Refused("error", f"a worker's reply cannot be read: {error}")
        if call_id is not None:
            _tell(self._handlers.get(call_id), reply)

    # --- Up and down --------------------------------------------------------------------

    def _take_down(self, error: Exception) -> LinkDown:
        down = LinkDown(f"Redis does not answer: {str(error) or 'it has let the time run out'}")
        if self._down is None:
            log.warning("%s", down)
        self._down = down
        return self._down

    def _put_up(self) -> None:
        if self._down is not None:
            log.info("Redis answers again")
        self._down = None


def _tell(listener: Callable[[T], None] | None, news: T) -> None:
    """Tell somebody, whose mistakes are not to end the task that everybody depends on."""
    if listener is not None:
        try:
            listener(news)
        except Exception:
            log.exception("an answer could not be taken in")


def _client(url: str) -> "aioredis.Redis":
    """A client that tries once and leaves time limits to its caller.

    The library's own limit on writing costs a task for every command, and loses a cancellation
    that comes while one is written (asyncio.wait_for before Python 3.12).
    """
    try:
        return aioredis.Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=TIMEOUT_S,
        )
    except ValueError as error:
        raise bad_url(error) from None
