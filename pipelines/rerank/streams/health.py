"""Whether the worker of this machine does its work, asked from outside of it."""

import socket
from collections.abc import Iterable

import redis

from pipelines.rerank.streams.client import connect, execute, execute_all
from pipelines.rerank.streams.wire import Stream, WireError, read_announcement


def trouble(url: str, streams: Iterable[Stream]) -> str | None:
    """What keeps a worker on this machine from serving all the streams, None if nothing does.

    A worker whose loop does not come round stops announcing itself, so this is proof that it
    consumes, not only that it is connected.
    """
    client = connect(url)
    try:
        silent = [stream.key for stream in streams if not _served_from_here(client, stream)]
    except (redis.RedisError, OSError) as error:
        return f"Redis does not answer: {error}"
    finally:
        client.close()
    return f"no worker on this machine serves {', '.join(silent)}" if silent else None


def _served_from_here(client: "redis.Redis", stream: Stream) -> bool:
    names = execute(client, ("SMEMBERS", stream.workers))
    found = execute_all(client, [("GET", stream.worker(name.decode())) for name in names])
    return socket.gethostname() in {_host(each) for each in found if each is not None}


def _host(stored: bytes) -> str | None:
    try:
        return read_announcement(stored).host
    except WireError:
        return None
