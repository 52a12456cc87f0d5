"""One process per data folder."""

import fcntl
import os
from pathlib import Path
from typing import Self

from twofold.errors import DataFolderInUse, DataFolderUnwritable


class FolderLock:
    """Held from `take` to `release`, or to the end of the process, however it ends."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Make the folder if need be and lock it; its file `lock` says who holds it.

        Raises:
            DataFolderInUse: Another process holds it.
            DataFolderUnwritable: It cannot be made or written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DataFolderUnwritable(path=str(folder), reason=error.strerror) from error
        lock = cls(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
            lock.release()
            raise DataFolderInUse(
                path=str(folder), holder=f" (pid {holder})" if holder else ""
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return lock

    def release(self) -> None:
        """Let others have it; nothing happens the second time."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
