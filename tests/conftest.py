import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from pipelines.store.connection import Server
from tests.support.qdrant_server import running_server
from tests.support.redis import RedisServer, redis_server
from tests.support.s3 import BUCKET, environment, s3_endpoint

IN_MEMORY = Path("/dev/shm")
ENOUGH = 2**31  # bytes; a container has 64 MB there, and a full one kills whoever has mapped it


# A shell that starts the tests in the background has them ignore Ctrl-C, and they pass that on to
# the processes that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """For as long as the longest fixture that is a coroutine may live."""
    return "asyncio"


@pytest.fixture(scope="session")
def memory_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where the system has one.

    Making a collection syncs some thousand times, which is seconds on a busy disk.
    """
    if not os.access(IN_MEMORY, os.W_OK) or shutil.disk_usage(IN_MEMORY).free < ENOUGH:
        yield tmp_path_factory.mktemp("memory")
        return
    folder = Path(mkdtemp(prefix="twofold-test-", dir=IN_MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def memory_path(memory_folder: Path) -> Iterator[Path]:
    """A new folder in memory, for a test that reads nothing from a disk but its store.

    It goes with the test: the logs of a store have 64 MB, and there are hundreds of tests.
    """
    folder = Path(mkdtemp(dir=memory_folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def qdrant(memory_folder: Path) -> Iterator[Server]:
    """A Qdrant server that all tests of this process share; see `unique_prefix`."""
    with running_server(memory_folder / "qdrant") as server:
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to harm at will."""
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests of a module that leave it alive; keys are theirs to keep apart."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3-compatible server in a thread of this process."""
    with s3_endpoint() as url:
        yield url


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that is there, and the environment that leads to it."""
    for name, value in environment(s3_server).items():
        monkeypatch.setenv(name, value)
    return BUCKET
