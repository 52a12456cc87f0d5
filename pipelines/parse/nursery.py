"""Children on demand, from the service's side: start the zygote, order a child, hear how it ends.

The zygote (`zygote.py`) starts with the first file. It is replaced when it dies, and after a
child that crashed: all its children have one address layout, which nobody shall learn by trying.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pipelines.parse.confine import Limits
from pipelines.parse.zygote import REPORT

ZYGOTE = Path(__file__).with_name("zygote.py")
_ROOT = str(ZYGOTE.parents[2])
_READ_BYTES = 1 << 20
_Report: TypeAlias = tuple[int, float, int]
_BURIAL_S = 10.0  # seconds in which a killed child has to be gone, or its zygote is killed too


class Lost(Exception):
    """The zygote died or could not be started; the file is not to blame."""


class _Flood(Exception):
    """The answer is too long."""


class Ended(NamedTuple):
    """How a child ended.

    Attributes:
        output: What it wrote; empty if it had to be killed.
        status: Its exit code; negative: the signal that ended it.
        cpu_s: Processor time that it took.
        peak_bytes: Most memory that it had at once.
        overdue: It was killed because its time was up.
        flooded: It was killed because it wrote too much.
    """

    output: bytes
    status: int
    cpu_s: float
    peak_bytes: int
    overdue: bool = False
    flooded: bool = False


class _Zygote:
    """A running zygote: the process and the socket that its orders go through."""

    def __init__(self, script: Path, limits: Limits) -> None:
        told = {"path": [_ROOT, *filter(None, sys.path)], "limits": limits._asdict()}
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(script), json.dumps(told)]
        self._control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )

    def order(self, ticket: socket.socket, file: int, answer: int) -> None:
        """Hand a child its three descriptors; raises OSError when the zygote is gone."""
        socket.send_fds(self._control, [b"+"], [ticket.fileno(), file, answer])

    def retire(self) -> None:
        """Take no more orders; it ends with its last child."""
        self._control.close()

    def bury(self, seconds: float) -> bool:
        """Whether it has ended, by itself within so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def kill(self) -> None:
        """End it at once; its children die with it."""
        self.retire()
        self.process.kill()
        self.process.wait()


class Nursery:
    """Runs one confined child per call, from any number of threads.

    Args:
        limits: Of each child.
        script: The zygote's program.
    """

    def __init__(self, limits: Limits, *, script: Path = ZYGOTE) -> None:
        self._limits = limits
        self._script = script
        self._lock = threading.Lock()
        self._zygotes: list[_Zygote] = []  # those that are not buried; the last one takes orders
        self._accepting = False
        self._closed = False
        # Also when nobody closes it: at the end of the interpreter, or when it is collected.
        self._finalizer = weakref.finalize(self, _end, self._zygotes)

    def run(
        self, path: Path, order: Mapping[str, str | None], *, deadline: float, output_bytes: int
    ) -> Ended:
        """Let a child read the file; none outlives this call.

        Args:
            path: The file.
            order: See `child.main`.
            deadline: On the clock of `time.monotonic()`.
            output_bytes: Longest answer.

        Raises:
            Lost: There is no answer and the file is not to blame; worth another try.
        """
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            try:
                ours.sendall(json.dumps(order).encode())
                zygote = self._order(theirs, file.fileno(), writer)
            finally:
                theirs.close()
                os.close(writer)
            try:
                output = _read(reader, deadline, output_bytes)
                report = _report(ours, deadline)
            except TimeoutError:
                return Ended(b"", *self._killed(zygote, ours), overdue=True)
            except _Flood:
                return Ended(b"", *self._killed(zygote, ours), flooded=True)
            if report[0] < 0:
                self._retire(zygote)
            return Ended(output, *report)

    def close(self) -> None:
        """End the zygote and whatever it still runs; no child is to be had afterwards."""
        with self._lock:
            self._accepting, self._closed = False, True
            self._finalizer()

    def _order(self, ticket: socket.socket, file: int, answer: int) -> _Zygote:
        with self._lock:
            for _ in range(2):  # the one that is there may have died since
                zygote = self._current()
                try:
                    zygote.order(ticket, file, answer)
                except OSError:
                    self._accepting = False
                    zygote.retire()
                else:
                    return zygote
        raise Lost

    def _current(self) -> _Zygote:
        if self._closed:
            raise Lost
        if not self._accepting:
            self._zygotes[:] = [each for each in self._zygotes if not each.bury(0)]
            try:
                self._zygotes.append(_Zygote(self._script, self._limits))
            except OSError as error:
                raise Lost from error
            self._accepting = True
        return self._zygotes[-1]

    def _retire(self, zygote: _Zygote) -> None:
        with self._lock:
            if self._accepting and self._zygotes[-1] is zygote:
                self._accepting = False
                zygote.retire()

    def _killed(self, zygote: _Zygote, ticket: socket.socket) -> _Report:
        """Have a child killed; how that ended."""
        ticket.shutdown(socket.SHUT_WR)
        try:
            return _report(ticket, time.monotonic() + _BURIAL_S)
        except TimeoutError:  # its zygote hangs, so both go
            self._retire(zygote)
            zygote.kill()
        except Lost:  # as dead as its zygote
            pass
        return -signal.SIGKILL, 0.0, 0


def _read(reader: int, deadline: float, limit: int) -> bytes:
    """The answer to its end; raises TimeoutError and _Flood."""
    output = bytearray()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1e3):
        part = os.read(reader, _READ_BYTES)
        output += part
        if len(output) > limit:
            raise _Flood
        if not part:
            return bytes(output)
    raise TimeoutError


def _report(ticket: socket.socket, deadline: float) -> _Report:
    """What the zygote says of a child that has ended; raises TimeoutError and Lost."""
    ticket.settimeout(max(0.001, deadline - time.monotonic()))
    try:
        report = ticket.recv(REPORT.size)
    except ConnectionError as error:
        raise Lost from error
    if len(report) < REPORT.size:
        raise Lost
    status, cpu_s, peak_bytes = REPORT.unpack(report)
    return status, cpu_s, peak_bytes


def _end(zygotes: list[_Zygote]) -> None:
    """Let each end with its last child, and see to it that it does."""
    for zygote in zygotes:
        zygote.retire()
    for zygote in zygotes:
        if not zygote.bury(2.0):
            zygote.kill()
    zygotes.clear()
