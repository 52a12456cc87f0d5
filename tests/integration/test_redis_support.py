"""The Redis that tests harm behaves as the fault tests take for granted."""

import pytest
import redis as client_library

from tests.support.redis import RedisServer


def test_what_was_written_survives_a_sigkill_on_the_same_port(redis: RedisServer) -> None:
    with redis.client() as client:
        client.xadd("stream", {"field": "value"})
        redis.kill()
        with pytest.raises(client_library.ConnectionError):
            client.ping()
        redis.start()
        assert client.xlen("stream") == 1


def test_a_flush_leaves_nothing(redis: RedisServer) -> None:
    with redis.client() as client:
        client.set("key", "value")
        redis.flush()
        assert client.dbsize() == 0


def test_a_paused_server_is_silent_and_goes_on_afterwards(redis: RedisServer) -> None:
    with client_library.Redis.from_url(redis.url, socket_timeout=0.2, retry=None) as client:
        client.ping()
        redis.pause()
        with pytest.raises(client_library.TimeoutError):
            client.ping()
        redis.resume()
        assert client.ping()
