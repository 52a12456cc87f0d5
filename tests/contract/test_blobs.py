"""What every place for files promises. An implementation joins by one entry in BLOBS."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.ports import Blobs
from pipelines.store.blobs import LocalBlobs
from pipelines.store.objects import ObjectBlobs
from tests.support.s3 import BUCKET

pytestmark = pytest.mark.anyio

BLOBS: dict[str, Callable[[Path], Blobs]] = {
    "local": lambda folder: LocalBlobs(folder / "blobs"),
    "file": lambda folder: ObjectBlobs(f"file://{folder / 'blobs'}"),
    "s3": lambda folder: ObjectBlobs(f"s3://{BUCKET}/{folder.name}"),
}
KEY = "tenant/default/5c53/original-1"


@pytest.fixture(params=BLOBS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "s3":
        request.getfixturevalue("bucket")
    return BLOBS[request.param](tmp_path)


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def keys(blobs: Blobs, prefix: str = "") -> list[str]:
    return sorted([key async for key in blobs.keys(prefix)])


@pytest.mark.parametrize("content", [b"", b"\x00\xff text", b"x" * 3_000_000])
async def test_what_was_put_is_got(blobs: Blobs, content: bytes) -> None:
    await blobs.put(KEY, content)
    assert await blobs.get(KEY) == content


async def test_a_file_is_put_and_left_where_it_was(blobs: Blobs, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(b"content")
    await blobs.put(KEY, source)
    assert await blobs.get(KEY) == source.read_bytes() == b"content"


async def test_the_same_key_again_replaces(blobs: Blobs) -> None:
    await blobs.put(KEY, b"a longer first content")
    await blobs.put(KEY, b"second")
    assert await blobs.get(KEY) == b"second"
    assert await keys(blobs) == [KEY]


async def test_a_reader_never_sees_half_of_a_replacement(blobs: Blobs) -> None:
    contents = [bytes([digit]) * 500_000 for digit in range(2)]
    await blobs.put(KEY, contents[0])

    async def replace() -> None:
        for turn in range(20):
            await blobs.put(KEY, contents[turn % 2])

    replacing = asyncio.create_task(replace())
    while not replacing.done():
        assert await blobs.get(KEY) in contents
    await replacing


async def test_content_can_be_had_as_a_file(blobs: Blobs) -> None:
    await blobs.put(KEY, b"content")
    async with blobs.as_file(KEY) as path:
        assert path.read_bytes() == b"content"


async def test_what_is_not_there_is_a_key_error(blobs: Blobs) -> None:
    with pytest.raises(KeyError):
        await blobs.get(KEY)
    with pytest.raises(KeyError):
        async with blobs.as_file(KEY):
            pass
    await blobs.put(KEY, b"content")
    with pytest.raises(KeyError):
        await blobs.get("tenant/default/5c53")


async def test_deleted_is_gone_and_deleting_again_is_nothing(blobs: Blobs) -> None:
    await blobs.put(KEY, b"content")
    await blobs.delete(KEY)
    await blobs.delete(KEY)
    assert await keys(blobs) == []
    with pytest.raises(KeyError):
        await blobs.get(KEY)


async def test_keys_are_listed_by_prefix(blobs: Blobs) -> None:
    for key in ("t/c/aa/text-1", "t/c/aa/text-2", "t/c/ab/text-1", "t2/c/aa/text-1"):
        await blobs.put(key, b"")
    assert await keys(blobs, "t/c/aa/") == ["t/c/aa/text-1", "t/c/aa/text-2"]
    assert await keys(blobs, "t/c/a") == ["t/c/aa/text-1", "t/c/aa/text-2", "t/c/ab/text-1"]
    assert await keys(blobs, "t/") == ["t/c/aa/text-1", "t/c/aa/text-2", "t/c/ab/text-1"]
    assert len(await keys(blobs, "t")) == len(await keys(blobs)) == 4
    assert await keys(blobs, "nowhere/") == []


@pytest.mark.parametrize(
    "key",
    ["../out", "/etc/passwd", "a/../../out", "a//b", "a/./b", "", "a/", "a\\..\\b", "a\nb", ".x"],
)
async def test_a_key_never_leads_elsewhere(blobs: Blobs, key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await blobs.put(key, b"content")
    with pytest.raises(ValueError, match="not a key"):
        await blobs.get(key)
    assert files_under(tmp_path) == []
