"""Connections to Redis for worker threads, and raw commands over them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from twofold.errors import ConfigurationError

Command: TypeAlias = tuple[str | bytes | int, ...]

TIMEOUT_S = 4.0


def connect(url: str) -> "redis.Redis":
    """A client that tries each command once: what a retry means is for its caller to know.

    Blocking reads have to be shorter than TIMEOUT_S, or they look like a server that hangs.

    Raises:
        ConfigurationError: The URL is none of a Redis server.
    """
    try:
        return redis.Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        )
    except ValueError as error:
        raise bad_url(error) from None


def bad_url(error: ValueError) -> ConfigurationError:
    """What to tell the operator of a URL that the library does not take."""
    return ConfigurationError(setting="TWOFOLD_REDIS_URL", reason=str(error))


# What a command answers is as different as the commands are.
def execute(client: "redis.Redis", command: Command) -> Any:
    """The answer to one command."""
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


def execute_all(
    client: "redis.Redis", commands: Sequence[Command], *, raising: bool = True
) -> list[Any]:
    """The answers to several commands in one pipeline.

    Args:
        client: Each command is sent to it once, in order.
        commands: None depends on the answer to another.
        raising: Whether the first error is raised, or errors are among the answers.
    """
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command, **hints(command))  # type: ignore[no-untyped-call]
    return pipeline.execute(raise_on_error=raising)


def hints(command: Command) -> dict[str, bool]:
    """What the library cannot tell by itself of the answer to a raw command."""
    match command[0], command[-1]:
        case "XCLAIM", "JUSTID":
            return {"parse_justid": True}
        case "XPENDING", _:
            return {"parse_detail": True}
    return {}
