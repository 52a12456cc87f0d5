"""Run a command that the kernel kills when the process that started this one dies.

    python tether.py PARENT COMMAND...

A plain script: it becomes the command, so it costs one start of an interpreter without libraries.
Only Linux has the call; elsewhere children outlive a parent that is killed without warning.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Tie this process to its parent, then become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 (there is no shell to start)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
