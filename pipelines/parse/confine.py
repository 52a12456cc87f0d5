"""What the one-shot child gives up before it touches a file.

Every fence is the kernel's and needs no privilege, so it holds in a container that forbids new
namespaces as well:

1. resource limits: memory, processor time, no bytes to files, no core dump, no new process;
2. no new descriptor of any kind (RLIMIT_NOFILE 0): no socket, no file, no pipe can be opened;
3. on Linux, a seccomp filter that allows only what computing on memory and answering on an open
   pipe take: no process, no signal to another, no change to the file system, no network.

The second and the third each stop sockets and files on their own. Modules are therefore imported
before `seal`. Where seccomp is missing (macOS, other processors) the limits remain.
"""

import ctypes
import errno
import os
import resource
import signal
import struct
import sys
from typing import NamedTuple

_LIBC = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# linux/seccomp.h, linux/audit.h, linux/bpf_common.h
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
_KILL = 0x80000000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_INSTRUCTION_BYTES = 8
_OFFSET_OF_NUMBER, _OFFSET_OF_ARCHITECTURE = 0, 4

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Numbers from asm/unistd_64.h and asm-generic/unistd.h; None: the architecture lacks the call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "ioctl": (16, 29),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "getpid": (39, 172),
    "exit": (60, 93),
    "uname": (63, 160),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "arch_prctl": (158, None),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "newfstatat": (262, 79),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
}


class Limits(NamedTuple):
    """What one child may take.

    Attributes:
        memory_bytes: Of address space.
        cpu_s: Of processor time, in seconds.
        wall_s: From its start to its answer, in seconds.
    """

    memory_bytes: int
    cpu_s: int
    wall_s: float


def limit(limits: Limits) -> None:
    """Set the limits that hold from the start; the parent may be gone, so time ends by itself."""
    _cap(resource.RLIMIT_CORE, 0)
    _cap(resource.RLIMIT_FSIZE, 0)
    _cap(resource.RLIMIT_NPROC, 0)
    _cap(
        resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1
    )  # at the hard limit the signal is a plain SIGKILL
    if sys.platform == "linux":  # macOS counts shared libraries and refuses any usable value
        _cap(resource.RLIMIT_AS, limits.memory_bytes)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s + 1)
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def seal() -> None:
    """Give up opening anything, and every system call that parsing does not take."""
    _cap(resource.RLIMIT_NOFILE, 0)
    architecture = os.uname().machine
    if sys.platform == "linux" and architecture in _ARCHITECTURES:
        _install(_filter(architecture))


def missing() -> list[str]:
    """The fences that this system does not have, each as a sentence for the operator's log."""
    if sys.platform != "linux":
        return [
            f"{sys.platform} has no seccomp; a parser that is taken over could signal processes",
            f"{sys.platform} does not limit address space; the time limits alone bound memory",
        ]
    if os.uname().machine not in _ARCHITECTURES:
        return [f"there is no system call filter for {os.uname().machine}"]
    return [] if _has_seccomp() else ["this kernel was built without seccomp filters"]


def _has_seccomp() -> bool:
    """Whether the kernel would look at a filter: it refuses a null pointer as such (EFAULT)."""
    try:
        _prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.c_void_p(None))
    except OSError as error:
        return error.errno == errno.EFAULT
    return True


def _cap(what: int, soft: int, hard: int | None = None) -> None:
    _, allowed = resource.getrlimit(what)
    wanted = (soft, soft if hard is None else hard)
    if allowed != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], allowed), min(wanted[1], allowed))
    resource.setrlimit(what, wanted)


def _filter(architecture: str) -> bytes:
    """A BPF program over seccomp_data: another architecture dies, an unlisted call gets EPERM."""
    column = 0 if architecture == "x86_64" else 1
    numbers = [each[column] for each in _ALLOWED.values()]
    allowed = [number for number in numbers if number is not None]
    program = [
        _instruction(_LOAD, _OFFSET_OF_ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, _ARCHITECTURES[architecture], if_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _OFFSET_OF_NUMBER),
        *(
            _instruction(_JUMP_IF_EQUAL, number, if_true=len(allowed) - index)
            for index, number in enumerate(allowed)
        ),
        _instruction(_RETURN, _REFUSE),
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(program)


def _instruction(code: int, value: int, *, if_true: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, 0, value)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _install(program: bytes) -> None:
    fprog = _Program(len(program) // _INSTRUCTION_BYTES, program)
    _prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
    try:
        _prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(fprog))
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: a kernel that was built without seccomp
            raise


def _prctl(option: int, *arguments: object) -> None:
    # The kernel refuses some options unless the arguments that they do not use are zero.
    unused = [ctypes.c_ulong(0)] * (4 - len(arguments))
    if _LIBC.prctl(option, *arguments, *unused) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")
