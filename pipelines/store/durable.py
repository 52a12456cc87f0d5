"""Files that are there whole or not at all, also after a power loss."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from twofold.errors import StorageFull

TEMPORARY = ".tmp-"
"""How names of unfinished files begin; what a crash leaves of them may be removed."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Make or replace a file with what `write` puts into it; durable when this returns.

    Raises:
        StorageFull: The disk is full; the file is as it was before.
    """
    with storage_full(path.parent):
        make_folder(path.parent)
        with NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY, delete=False) as file:
            temporary = Path(file.name)
            try:
                write(file)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, durably."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def storage_full(folder: Path) -> Iterator[None]:
    """Turn 'no space left', the system's own or as the engine words it, into StorageFull."""
    try:
        yield
    except Exception as error:
        if getattr(error, "errno", None) in _FULL or os.strerror(errno.ENOSPC) in str(error):
            raise StorageFull(path=str(folder)) from error
        raise


def require_space(folder: Path, size: int) -> None:
    """Raise StorageFull unless the disk under `folder` has `size` bytes left."""
    if shutil.disk_usage(folder).free < size:
        raise StorageFull(path=str(folder))
