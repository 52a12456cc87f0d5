"""Files in an object store that is away, refuses, or is large."""

import os
import tempfile
from pathlib import Path

import pytest

from pipelines import build
from pipelines.settings import Settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.objects import PART_BYTES, ObjectBlobs
from tests.support.live import free_port
from twofold.errors import ConfigurationError, Unavailable

pytestmark = pytest.mark.anyio
KEY = "tenant/default/5c53/original-1"


async def test_a_large_file_goes_up_in_parts_and_comes_down_whole(
    bucket: str, tmp_path: Path
) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * (3 * PART_BYTES // 256) + b"end")
    blobs = ObjectBlobs(f"s3://{bucket}/large")
    await blobs.put(KEY, source)
    async with blobs.as_file(KEY) as path:
        assert path.read_bytes() == source.read_bytes()
    assert not path.exists()


async def test_nothing_is_left_of_a_file_that_is_not_there(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyError):
        async with ObjectBlobs(f"s3://{bucket}").as_file(KEY):
            pass
    assert os.listdir(tmp_path) == []  # noqa: PTH208 (not awaited)


async def test_a_store_that_is_away_says_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    blobs = ObjectBlobs(f"s3://{bucket}")
    with pytest.raises(Unavailable, match=r"s3://twofold is not available"):
        await blobs.get(KEY)


async def test_a_bucket_that_is_not_there_is_not_an_empty_one(bucket: str) -> None:
    with pytest.raises(Unavailable, match="make the bucket first"):
        await ObjectBlobs("s3://elsewhere").put(KEY, b"content")


async def test_two_prefixes_of_a_bucket_are_two_places(bucket: str) -> None:
    one, other = ObjectBlobs(f"s3://{bucket}/one"), ObjectBlobs(f"s3://{bucket}/other")
    await one.put(KEY, b"content")
    assert [key async for key in one.keys("")] == [KEY]
    assert [key async for key in other.keys("")] == []


@pytest.mark.parametrize("url", ["ftp://host/folder", "https://host/folder", "memory:///"])
def test_what_is_no_object_store_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match="TWOFOLD_BLOBS_URL"):
        ObjectBlobs(url)


@pytest.mark.parametrize("url", [None, "/srv/files", "file:///srv/files"])
def test_a_folder_is_a_folder(url: str | None) -> None:
    assert isinstance(build.file_store(Settings(blobs_url=url)), LocalBlobs)
