import socket
from pathlib import Path

import pytest

from infra.local.places import Places, free_port
from twofold.errors import ConfigurationError

PLACES = Places(
    "api",
    {("redis", 6379): 40001, ("qdrant", 6333): 40002, ("api", 8000): 40003},
    {"/data": Path("/home/me/data"), "/data/deep": Path("/x"), "/tmp": Path("/home/me/tmp")},
)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("redis://:secret@redis:6379/0", "redis://:secret@127.0.0.1:40001/0"),
        ("http://qdrant:6333", "http://127.0.0.1:40002"),
        ("http://127.0.0.1:8000/readyz", "http://127.0.0.1:40003/readyz"),
        ("http://localhost:8000", "http://127.0.0.1:40003"),
        ("exec 3<>/dev/tcp/127.0.0.1/8000 && x", "exec 3<>/dev/tcp/127.0.0.1/40003 && x"),
        ("/data", "/home/me/data"),
        ("/data/deep/file", "/x/file"),
        ("--dir=/data", "--dir=/home/me/data"),
        ("/tmp/.ready", "/home/me/tmp/.ready"),
    ],
)
def test_what_a_container_calls_something_becomes_where_it_is_here(there: str, here: str) -> None:
    assert PLACES.here(there) == here


@pytest.mark.parametrize(
    "text",
    [
        "http://qdrant:6334",
        "http://my-redis:6379",
        "http://redis.example:6379",
        "http://127.0.0.1:6379",
        "/database",
        "/srv/data",
        "twofold:rerank:late-interaction",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert PLACES.here(text) == text


def test_what_was_put_in_is_not_replaced_again() -> None:
    places = Places("x", {}, {"/tmp": Path("/tmp/run/tmp")})
    assert places.here("/tmp/a /tmp") == "/tmp/run/tmp/a /tmp/run/tmp"


def test_a_port_that_is_taken_is_refused_by_its_number() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            free_port(port)
    assert free_port() > 0
