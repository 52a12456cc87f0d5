"""A Twofold server as a user starts it: a process of its own, on a socket."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

ROOT = Path(__file__).resolve().parents[2]
SERVER = (sys.executable, "-m", "services.api")
START_S, STOP_S = 120.0, 30.0


def clean_environment() -> dict[str, str]:
    """The environment without the settings of whoever runs the tests."""
    return {key: value for key, value in os.environ.items() if not key.startswith("TWOFOLD_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Live(NamedTuple):
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]


def environment(folder: Path, port: int, settings: Mapping[str, str]) -> dict[str, str]:
    """What the server is told: its port, its data folder, and more settings without prefix."""
    told = {"PORT": str(port), "DATA_DIR": str(folder / "data"), **settings}
    return clean_environment() | {f"TWOFOLD_{name}": value for name, value in told.items()}


@contextmanager
def live_server(folder: Path, **settings: str) -> Iterator[Live]:
    """A server that is ready; its process has ended when the context has.

    Args:
        folder: Of the data and the log.
        settings: By their names without prefix, such as `RERANKER`.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            SERVER,
            cwd=ROOT,
            env=environment(folder, port, settings),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, url, log)
        yield Live(url, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server did not get ready:\n{log.read_text()}")
