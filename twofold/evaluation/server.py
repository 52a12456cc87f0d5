"""The server that is asked: the one that runs, or one that is started for the time of a command."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from twofold.client import Client
from twofold.errors import ConnectionFailed, StartupError, TwofoldError

START_S, STOP_S = 180.0, 30.0
COMMAND = (sys.executable, "-m", "services.api")


@contextmanager
def serving(connect: Callable[[], Client], console: Console, *, named: bool) -> Iterator[Client]:
    """A client of a server that answers.

    Args:
        connect: Makes a client of the server that the command line means.
        console: Told when a server is started.
        named: Whether somebody said which server; then no other is started.

    Raises:
        ConnectionFailed: None answers, and none can be started here.
        StartupError: It was started and did not get ready; says what it said last.
    """
    with connect() as client:
        try:
            client.health()
        except ConnectionFailed as error:
            if named:
                raise
            if find_spec("services") is None or find_spec("qdrant_edge") is None:
                raise ConnectionFailed(
                    f"{error.message} Or install the server beside this command, and it starts "
                    "one itself: pip install 'twofold[server]' in a checkout of the repository."
                ) from None
        else:
            yield client
            return
    with _started(console) as url, Client(url) as client:
        yield client


@contextmanager
def _started(console: Console) -> Iterator[str]:
    """A server with the settings of this environment, but a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = os.environ.get("TWOFOLD_DATA_DIR") or "data"
    console.print(
        f"No server answers; starting one over the folder '{folder}' for this command ...",
        style="dim",
    )
    with tempfile.NamedTemporaryFile(prefix="twofold-", suffix=".log") as log:
        environment = {**os.environ, "TWOFOLD_PORT": str(port), "TWOFOLD_HOST": "127.0.0.1"}
        process = subprocess.Popen(COMMAND, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url, Path(log.name))
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    with Client(url, retries=0, timeout=5.0) as client:
        while time.monotonic() < end and process.poll() is None:
            try:
                if client.ready().ready:
                    return
            except TwofoldError:
                pass  # not yet
            time.sleep(0.2)
    said = log.read_text("utf-8", errors="replace").strip().splitlines()[-5:]
    raise StartupError("The server did not get ready. It said: " + " ".join(said))
