"""Files that are there whole or not at all, also after a power loss."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TypeAlias

from twofold.errors import StorageFull

TEMPORARY = ".tmp-"
"""How names of unfinished files begin; what a crash leaves of them may be removed."""

Write: TypeAlias = Callable[[IO[bytes]], object]
"""Puts the content of a file into it."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_file(path: Path, write: Write) -> None:
    """Make or replace one file, see `write_files`."""
    write_files({path: write})


def write_files(writes: Mapping[Path, Write]) -> None:
    """Make or replace files with what is written into them; durable when this returns.

    Folders are synced once, however many of the files are in them.

    Raises:
        StorageFull: The disk is full; each of the files is as it was before.
    """
    folders = list(dict.fromkeys(path.parent for path in writes))
    unfinished: dict[Path, Path] = {}
    with storage_full(folders[0]):
        make_folders(folders)
        try:
            for path, write in writes.items():
                with NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY, delete=False) as file:
                    unfinished[path] = Path(file.name)
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
            for path, temporary in unfinished.items():
                temporary.replace(path)
        except BaseException:
            for temporary in unfinished.values():
                temporary.unlink(missing_ok=True)
            raise
        for folder in folders:
            sync_folder(folder)


def make_folders(folders: Sequence[Path]) -> None:
    """Make folders and what is missing above them, durably."""
    if missing := [folder for folder in folders if not folder.is_dir()]:
        parents = list(dict.fromkeys(folder.parent for folder in missing))
        make_folders(parents)
        for folder in missing:
            folder.mkdir(exist_ok=True)
        for parent in parents:
            sync_folder(parent)


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
