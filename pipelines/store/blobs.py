"""Files in a local folder."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from pipelines.store.durable import TEMPORARY, Write, sync_folder, write_files

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]*(/[A-Za-z0-9_][A-Za-z0-9._@-]*)*")

TOGETHER = 32
"""Files that one thread writes one after the other, to sync their folders once."""

_NOT_THERE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class LocalBlobs:
    """`ports.Blobs` in a folder: the key is the path, the content lies there as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, data: bytes | Path) -> None:
        await self.put_all({key: data})

    async def put_all(self, contents: Mapping[str, bytes | Path]) -> None:
        writes = [(self._path(key), _writer(data)) for key, data in contents.items()]
        parts = [
            dict(writes[start : start + TOGETHER]) for start in range(0, len(writes), TOGETHER)
        ]
        await asyncio.gather(*(asyncio.to_thread(write_files, part) for part in parts))

    async def get(self, key: str) -> bytes:
        try:
            return await asyncio.to_thread(self._path(key).read_bytes)
        except _NOT_THERE:
            raise KeyError(key) from None

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise KeyError(key)
        yield path

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(_delete, self._path(key))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        for key in await asyncio.to_thread(self._list, prefix):
            yield key

    def _list(self, prefix: str) -> list[str]:
        # Only the folder that the prefix names can hold what begins with it.
        parent, _, _ = prefix.rpartition("/")
        root = self._path(parent) if parent else self._folder
        return [
            key
            for folder, _, names in os.walk(root)
            for place in [Path(folder).relative_to(self._folder)]
            for name in names
            if not name.startswith(TEMPORARY)
            and (key := (place / name).as_posix()).startswith(prefix)
        ]

    def _path(self, key: str) -> Path:
        """Where the key's content lies."""
        return self._folder / require_key(key)


def require_key(key: str) -> str:
    """Refuse what could lead elsewhere."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key: {key!r}")
    return key


def _writer(data: bytes | Path) -> Write:
    def write(file: IO[bytes]) -> None:
        if isinstance(data, bytes):
            file.write(data)
        else:
            with data.open("rb") as source:
                shutil.copyfileobj(source, file)

    return write


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except _NOT_THERE:
        return
    sync_folder(path.parent)
