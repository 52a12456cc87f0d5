"""A Qdrant server to test against: the one that TWOFOLD_TEST_QDRANT_URL names, or the stand-in."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient

from pipelines.store.connection import Server
from pipelines.store.remote import Layout
from pipelines.store.server import QdrantStore
from tests.support.live import clean_environment, free_port

ROOT = Path(__file__).parents[2]
TRUE_SERVER = os.environ.get("TWOFOLD_TEST_QDRANT_URL")
TRUE_KEY = os.environ.get("TWOFOLD_TEST_QDRANT_API_KEY")


class StandIn:
    """The stand-in as a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path, *, api_key: str | None = None) -> None:
        self._folder = folder
        self._api_key = api_key
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> Server:
        key = SecretStr(self._api_key) if self._api_key else None
        return Server(f"http://127.0.0.1:{self._port}", key)

    def start(self) -> None:
        environment = clean_environment()
        if self._api_key:
            environment["QDRANT__SERVICE__API_KEY"] = self._api_key
        command = [sys.executable, "-m", "infra.qdrant.standin", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [*command, "--path", str(self._folder)], cwd=ROOT, env=environment
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                httpx.get(f"{self.server.url}/healthz", timeout=1.0)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the stand-in did not start")

    def freeze(self) -> None:
        """Let it accept connections and never answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process and self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.wait(30)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """The true server if there is one, else the stand-in for the time of the context."""
    if TRUE_SERVER:
        yield Server(TRUE_SERVER, SecretStr(TRUE_KEY) if TRUE_KEY else None)
        return
    stand_in = StandIn(folder)
    stand_in.start()
    try:
        yield stand_in.server
    finally:
        stand_in.kill()


@asynccontextmanager
async def fresh_store(server: Server, layout: Layout | None = None) -> AsyncIterator[QdrantStore]:
    """A store that shares its server with other tests and sees nothing of them."""
    prefix = unique_prefix()
    store = QdrantStore(server, layout, prefix=prefix)
    try:
        yield store
    finally:
        await store.close()
        await drop(server, prefix)


def unique_prefix() -> str:
    return f"test-{uuid4().hex[:12]}-"


async def drop(server: Server, prefix: str) -> None:
    """Delete the collections of a test."""
    client: AsyncQdrantClient = server.client()
    for each in (await client.get_collections()).collections:
        if each.name.startswith(prefix):
            await client.delete_collection(each.name)
    await client.close()
