"""A service as a process: small shell scripts in place of servers."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from infra.local.compose import Service
from infra.local.programs import Program
from infra.local.unit import Unit

pytestmark = pytest.mark.anyio
PATIENCE_S = 200.0


def unit(folder: Path, script: str, *, health: str = "", **said: Any) -> Unit:
    check = {"test": ["CMD", "true"], "interval": "200ms", "start_interval": "100ms", "retries": 2}
    service = Service.model_validate(
        {"image": "x:1", "restart": "unless-stopped", "healthcheck": check, **said}
    )
    program = Program(
        command=("/bin/sh", "-c", script),
        environment={"PATH": os.environ["PATH"]},
        health=("/bin/sh", "-c", health) if health else (),
        folder=folder,
        note="",
    )
    return Unit("x", service, program, folder / "log")


@asynccontextmanager
async def running(unit: Unit) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(unit.run())
    try:
        yield task
    finally:
        await unit.stop()
        await asyncio.wait_for(task, PATIENCE_S)


async def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.02)


def alive(process_id: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process_id, 0)
        return Path(f"/proc/{process_id}/stat").read_text().split()[2] != "Z"
    return False


async def test_a_service_is_healthy_when_its_check_says_so_and_not_before(tmp_path: Path) -> None:
    one = unit(tmp_path, "sleep 60", health="test -e ready")
    async with running(one):
        await until(lambda: one.process_id)
        await asyncio.sleep(0.1)
        assert one.state == "starting" or one.state == "unhealthy"
        assert not one.well.is_set()
        (tmp_path / "ready").touch()
        await until(lambda: one.state == "healthy")
        (tmp_path / "ready").unlink()
        await until(lambda: one.state == "unhealthy")


async def test_a_service_that_is_killed_is_started_again(tmp_path: Path) -> None:
    one = unit(tmp_path, "exec sleep 60")
    async with running(one):
        await until(lambda: one.state == "healthy")
        first = one.process_id
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: one.restarts == 1 and one.state == "healthy")
        assert one.process_id not in {None, first}
    assert one.state == "stopped"


async def test_a_service_that_never_starts_is_given_up_with_its_words_in_the_log(
    tmp_path: Path,
) -> None:
    one = unit(tmp_path, "echo no port; exit 1", health="false")
    async with running(one) as task:
        await asyncio.wait_for(asyncio.shield(task), PATIENCE_S)
    assert one.state == "failed"
    assert one.log.read_text().splitlines() == ["no port"] * (one.restarts + 1)


async def test_a_service_is_asked_to_end_and_what_does_not_is_killed_with_its_children(
    tmp_path: Path,
) -> None:
    polite = unit(tmp_path, "trap 'echo bye; exit 0' TERM; sleep 60 & wait")
    async with running(polite):
        await until(lambda: polite.state == "healthy")
        await asyncio.sleep(0.2)
    assert "bye" in polite.log.read_text()
    script = "trap '' TERM; sleep 60 & echo $! > child; wait; sleep 60"
    stubborn = unit(tmp_path, script, stop_grace_period="300ms")
    async with running(stubborn):
        await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
        child = int((tmp_path / "child").read_text())
        assert alive(child)
    await until(lambda: not alive(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_tethered_process_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    tether = Path(__file__).parents[3] / "infra" / "local" / "tether.py"
    script = (
        "import os, subprocess, sys, time\n"
        f"command = [sys.executable, {str(tether)!r}, str(os.getpid()), 'sleep', '60']\n"
        "print(subprocess.Popen(command).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    end = time.monotonic() + PATIENCE_S
    while alive(child):
        assert time.monotonic() < end, "the child is an orphan"
        time.sleep(0.02)
