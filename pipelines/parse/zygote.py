"""The warm parent of the one-shot children: imports are paid once, each file gets a fresh fork.

Run as a script by an isolated interpreter, without an environment; `nursery.py` is its other
side. It reads no file itself and holds nothing but imported code, so what a child inherits tells
it nothing. One thread, so that a fork is whole.

On descriptor 0 it has a stream socket. For each child there comes one byte with three
descriptors: a socket (the ticket), the file, and the pipe for the answer. The ticket carries the
order in, and `REPORT` out when the child has ended; when its other end closes, the child is
killed. When the socket on descriptor 0 closes, the zygote ends with its last child.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the path to it is not set yet
    from pipelines.parse.confine import Limits

REPORT = struct.Struct("=idq")
"""How a child ended: exit code (negative: the signal), processor seconds, most bytes resident."""

DESCRIPTORS = 3
MAX_ORDER = 4_096  # bytes
PARENT_CHECK_MS = 1_000
_RSS_UNIT = 1 if sys.platform == "darwin" else 1_024
_OOM_SCORE = "/proc/self/oom_score_adj"


class Child(NamedTuple):
    """A child that runs."""

    pid: int
    ticket: socket.socket


class Zygote:
    """Forks, kills and buries children until nobody can ask for another."""

    def __init__(self, control: socket.socket, limits: "Limits") -> None:
        self._control = control
        self._limits = limits
        self._children: dict[int, Child] = {}  # by the descriptor of the ticket
        self._parent = os.getppid()
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._woken, waker = os.pipe()
        for end in (self._woken, waker):
            os.set_blocking(end, False)
        self._poll.register(self._woken, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the control socket is closed and the last child has ended."""
        listening = True
        while listening or self._children:
            for descriptor, _ in self._poll.poll(PARENT_CHECK_MS):
                if descriptor == self._control.fileno():
                    listening = self._accept()
                elif descriptor == self._woken:
                    with suppress(BlockingIOError):
                        os.read(self._woken, 4_096)
                elif child := self._children.get(descriptor):
                    self._poll.unregister(descriptor)
                    _kill(child.pid)
            self._bury()
            if os.getppid() != self._parent:  # nobody is left to hear of it
                return

    def _accept(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, DESCRIPTORS)
        if not message or len(descriptors) != DESCRIPTORS:
            self._poll.unregister(self._control)
            return bool(message)
        ticket, file, answer = socket.socket(fileno=descriptors[0]), *descriptors[1:]
        try:
            order = ticket.recv(MAX_ORDER)
            pid = os.fork()
        except OSError:  # no process is to be had: the closed ticket says so
            ticket.close()
        else:
            if pid == 0:
                self._become_child(json.loads(order), file, answer)
            with suppress(OSError):  # the child does the same; whoever comes first
                os.setpgid(pid, pid)
            self._children[ticket.fileno()] = Child(pid, ticket)
            self._poll.register(ticket, select.POLLIN)
        os.close(file)
        os.close(answer)
        return True

    def _become_child(self, order: dict[str, str | None], file: int, answer: int) -> None:
        from pipelines.parse import child

        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with suppress(OSError):
                os.setpgid(0, 0)
            os.dup2(file, 0)
            os.dup2(answer, 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            child.main(order, self._limits)
        finally:
            os._exit(1)  # never back into the loop, whatever happened

    def _bury(self) -> None:
        for descriptor, child in list(self._children.items()):
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            del self._children[descriptor]
            with suppress(KeyError):
                self._poll.unregister(descriptor)
            code = os.waitstatus_to_exitcode(status)
            cpu_s, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT
            with suppress(OSError), child.ticket:
                child.ticket.send(REPORT.pack(code, cpu_s, peak))
            _learn(code)


def _kill(pid: int) -> None:
    """The whole group; it has not been buried, so that the number is still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _learn(code: int) -> None:
    """Import what a child had to import, so that the next one finds it: see `child.exit_code`."""
    from pipelines.parse import child, encoding

    module = child.parser_of(code)
    if module is None or module in sys.modules:
        return
    with suppress(Exception):  # a library that is missing is for the child to complain of
        getattr(importlib.import_module(module), "prepare", encoding.prepare)(b"\xff")
    encoding.prepare(b"\xff")
    gc.collect()
    gc.freeze()  # nothing of it is ever looked at again, so its pages stay shared


def main() -> None:
    """Take the orders as one JSON argument, then serve on descriptor 0."""
    told = json.loads(sys.argv[1])
    sys.path[:] = told["path"]
    # Where memory runs out, the kernel shall take a parser and not the service.
    with suppress(OSError), open(_OOM_SCORE, "w") as score:  # noqa: PTH123 (pathlib costs 10 ms)
        score.write("1000")
    from pipelines.parse import child, confine, detect, encoding  # noqa: F401 (for the children)

    gc.collect()
    gc.freeze()
    Zygote(socket.socket(fileno=0), confine.Limits(**told["limits"])).run()


if __name__ == "__main__":
    main()
