"""Parsers that attack: each runs inside the sandbox in the place of an honest one.

Every function is a parser named by the content of the file; what it gets away with is its text.
"""

import ctypes
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.parse.extract import Extract, Span, Unreadable


def parse(data: bytes) -> Extract:
    found = globals()[data.decode()]()
    return found if isinstance(found, Extract) else _extract(str(found))


def _extract(text: str) -> Extract:
    return Extract(text, [Span(0, len(text))], "text/plain")


def _refused(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return f"refused: {error.strerror}"
    return "got away with it"


def opens_a_socket() -> str:
    return _refused(socket.socket)


def opens_a_pair_of_sockets() -> str:
    return _refused(socket.socketpair)


def writes_a_file() -> str:
    return _refused(lambda: Path("/tmp/twofold-escaped").write_text("here I am"))


def makes_a_folder() -> str:
    return _refused(lambda: Path("/tmp/twofold-escaped").mkdir())


def removes_a_file() -> str:
    return _refused(lambda: Path(__file__).unlink())


def reads_a_file() -> str:
    return _refused(Path("/etc/passwd").read_text)


def makes_memory_into_a_file() -> str:
    return _refused(lambda: os.memfd_create("escape"))


def forks() -> str:
    return _refused(os.fork)


def runs_a_program() -> str:
    return _refused(lambda: os.execv("/bin/true", ["true"]))


def kills_its_parent() -> str:
    return _refused(lambda: os.kill(os.getppid(), signal.SIGKILL))


def starts_threads() -> str:
    try:
        for _ in range(100):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        return "refused: can't start new thread"
    return "got away with it"


def shows_its_environment() -> str:
    return f"environment {dict(os.environ)}"


def counts_its_descriptors() -> str:
    open_ones = []
    for descriptor in range(256):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        open_ones.append(descriptor)
    return str(len(open_ones))


def shows_heavy_imports() -> str:
    heavy = {"pydantic", "numpy", "httpx", "torch", "twofold", "pypdfium2", "selectolax"}
    return str(sorted(heavy & set(sys.modules)))


def prints() -> str:
    print('{"text": "this is not the answer"}', flush=True)
    return "the answer"


def takes_memory() -> str:
    taken = [bytearray(50_000_000) for _ in range(100)]
    return f"got {len(taken)}"


def maps_memory() -> str:
    return _refused(lambda: mmap.mmap(-1, 4_000_000_000))


def spins() -> None:
    while True:
        pass


def spins_and_ignores_signals() -> None:
    _ignore_signals()
    spins()


def sleeps_and_ignores_signals() -> None:
    _ignore_signals()
    while True:
        time.sleep(60)


def takes_a_second() -> str:
    time.sleep(1)
    return "done"


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_IGN)


def hangs_up_and_sleeps() -> None:
    os.closerange(0, 256)
    time.sleep(60)


def dies_of_a_segmentation_fault() -> None:
    ctypes.string_at(1)


def aborts() -> None:
    os.abort()


def ends_early() -> None:
    os._exit(0)


def raises() -> None:
    raise KeyError("a bug")


def raises_without_a_word() -> None:
    raise Unreadable("no_such_failure", "")


def nests_too_deep() -> None:
    nests_too_deep()


def writes_garbage() -> None:
    _write_everywhere(b"\x80\x04\x95garbage\xff\0{]")


def floods() -> None:
    while True:
        _write_everywhere(b"x" * 1_000_000)


def answers_half() -> None:
    _write_everywhere(b'{"text": "half an answ')


def answers_with_a_lone_surrogate() -> None:
    _write_everywhere(
        rb'{"text":"\ud800","paths":[[]],"blocks":[[0,1,"text",0,null]],'
        rb'"media_type":"x","title":null,"metadata":{}}'
    )


def points_outside_the_text() -> Extract:
    return Extract("short", [Span(0, 500)], "text/plain")


def points_backwards() -> Extract:
    return Extract("two words", [Span(4, 9), Span(0, 3)], "text/plain")


def names_no_kind() -> Extract:
    return Extract("text", [Span(0, 4, "bomb")], "text/plain")  # type: ignore[arg-type]


def says_nothing() -> Extract:
    return Extract(" \n ", [], "text/plain")


def _write_everywhere(data: bytes) -> None:
    for descriptor in range(1, 64):
        try:
            os.write(descriptor, data)
        except OSError:
            continue
    if len(data) < 1_000:
        os._exit(0)
