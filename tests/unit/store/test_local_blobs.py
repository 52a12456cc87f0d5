"""What the disk under the local files may do."""

import errno
import os
from pathlib import Path
from typing import IO

import pytest

from pipelines.store.blobs import LocalBlobs
from pipelines.store.durable import write_file
from twofold.errors import StorageFull

pytestmark = pytest.mark.anyio


async def test_a_full_disk_leaves_nothing_behind_and_the_old_content_in_place(
    tmp_path: Path,
) -> None:
    blobs = LocalBlobs(tmp_path)
    await blobs.put("t/key", b"first")

    def write(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageFull, match="free some space"):
        write_file(tmp_path / "t" / "key", write)
    assert await blobs.get("t/key") == b"first"
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["key"]


async def test_what_a_crash_has_left_is_not_a_key(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    await blobs.put("t/key", b"content")
    (tmp_path / "t" / ".tmp-abc").write_bytes(b"half")
    assert [key async for key in blobs.keys("t/")] == ["t/key"]
