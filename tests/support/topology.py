"""`make up` as a user starts it, on a folder and a port of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.support.live import ROOT, clean_environment, free_port

START_S, HEAL_S, STOP_S = 180.0, 60.0, 90.0
Found = TypeVar("Found")


class Up:
    """A running topology.

    Attributes:
        data: The folder of its volumes, secrets and logs.
        process: The runner.
    """

    def __init__(self, data: Path, process: subprocess.Popen[bytes], output: Path) -> None:
        self.data = data
        self.process = process
        self._output = output

    @property
    def url(self) -> str:
        return str(self._state()["url"])

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """By name: state, pid and restarts."""
        with suppress(FileNotFoundError):
            return dict(self._state()["services"])
        return {}

    def wait_until_healthy(self, within_s: float = START_S) -> None:
        self.until(
            lambda: {each["state"] for each in self.services.values()} == {"healthy"}, within_s
        )

    def kill(self, name: str) -> None:
        """SIGKILL one service; returns when it has been started again and is healthy."""
        before = self.services[name]
        os.kill(before["pid"], signal.SIGKILL)
        self.until(
            lambda: (
                self.services[name]["restarts"] > before["restarts"]
                and self.services[name]["state"] == "healthy"
            ),
            HEAL_S,
        )

    def until(self, condition: Callable[[], Found], within_s: float) -> Found:
        """The first value of the condition that counts as true."""
        end = time.monotonic() + within_s
        while time.monotonic() < end and self.process.poll() is None:
            if found := condition():
                return found
            time.sleep(0.1)
        raise AssertionError(f"it did not happen; {self.services}\n{self.said()}")

    def said(self) -> str:
        """The last lines of the runner and of every service."""
        logs = [self._output, *sorted((self.data / "logs").glob("*.log"))]
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            for log in logs
        )

    def processes(self) -> list[int]:
        """Every process that was started for this folder and still runs, the runner aside."""
        mark = str(self.data).encode()
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and int(folder.name) != self.process.pid:
                    told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
                    if mark in told and (folder / "stat").read_text().split()[2] != "Z":
                        found.append(int(folder.name))
        return found

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.data / "run" / "state.json").read_text())
        return state


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[Up]:
    """The topology, being started; nothing of it is left when the context ends."""
    data, output = folder / "data", folder / "up.log"
    environment = clean_environment() | {"TWOFOLD_PORT": str(free_port())}
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local", "--data", str(data), *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Up(data, process, output)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
