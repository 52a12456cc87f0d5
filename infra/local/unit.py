"""One service as a process: started, watched, started again, stopped."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from infra.local.compose import Healthcheck, Service
from infra.local.programs import Program

State = Literal["waiting", "starting", "healthy", "unhealthy", "restarting", "failed", "stopped"]

_TETHER = str(Path(__file__).with_name("tether.py"))
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_SETTLED_S = 10.0
_HOPELESS_STARTS = 5
_ALWAYS_WELL = Healthcheck(test=[])


class Unit:
    """A service that is kept running until it is stopped.

    Attributes:
        state: As Docker would say it; `failed` when it never got well and is given up.
        process_id: Of the process as long as there is one.
        restarts: How often it has been started again.
        well: Set from the first success of its health check on.
    """

    def __init__(self, name: str, service: Service, program: Program, log: Path) -> None:
        self.name = name
        self.service = service
        self.program = program
        self.log = log
        self.state: State = "waiting"
        self.process_id: int | None = None
        self.restarts = 0
        self.well = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep it running; returns when it was stopped or has been given up."""
        pause = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._once()
            if self._stopping.is_set():
                break
            if self._given_up(status):
                self.state = "failed"
                return
            self.state = "restarting"
            self.restarts += 1
            if time.monotonic() - began > _SETTLED_S:
                pause = _FIRST_PAUSE_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        self.state = "stopped"

    async def stop(self) -> None:
        """Ask it to end, wait as long as the compose file grants, then kill what is left."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.service.stop_grace_period)
        except TimeoutError:
            _kill_group(process.pid)
            await process.wait()

    async def _once(self) -> int:
        """Start it, watch it, and see it end; returns its exit status."""
        self.state = "starting"
        with self.log.open("ab") as output:
            # A session of its own: Ctrl-C reaches us alone, and we stop it in its turn.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _TETHER, str(os.getpid()), *self.program.command),
                cwd=self.program.folder,
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        self._process, self.process_id = process, process.pid
        if self._stopping.is_set():  # while it was being started
            process.terminate()
        watch = asyncio.create_task(self._watch())
        try:
            return await process.wait()
        finally:
            watch.cancel()
            self.process_id = None
            _kill_group(process.pid)  # what it may have left behind

    def _given_up(self, status: int) -> bool:
        if self.service.restart == "no":
            return True
        # Docker would try for ever; a person who looks on wants to know.
        return status != 0 and not self.well.is_set() and self.restarts + 1 >= _HOPELESS_STARTS

    async def _watch(self) -> None:
        """Ask for its health as the compose file says, and keep the state."""
        check = self.service.healthcheck or _ALWAYS_WELL
        began = time.monotonic()
        failures = 0
        while True:
            if await self._is_well(check.timeout):
                failures = 0
                self.state = "healthy"
                self.well.set()
            else:
                settled = self.state == "healthy" or time.monotonic() > began + check.start_period
                failures += settled
                if failures >= check.retries:
                    self.state = "unhealthy"
            await asyncio.sleep(
                check.start_interval if self.state == "starting" else check.interval
            )

    async def _is_well(self, timeout_s: float) -> bool:
        if not self.program.health:
            return True
        process = await asyncio.create_subprocess_exec(
            *self.program.health,
            cwd=self.program.folder,
            env=dict(self.program.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return await asyncio.wait_for(process.wait(), timeout_s) == 0
        except TimeoutError:
            return False
        finally:
            if process.returncode is None:
                _kill_group(process.pid)
                with suppress(asyncio.CancelledError):
                    await process.wait()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
