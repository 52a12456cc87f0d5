"""Files in an object store: S3 and what speaks like it, Google Cloud Storage, Azure.

Credentials, region and endpoint come from the environment, under the names that the vendors'
own tools use (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS,
AZURE_STORAGE_ACCOUNT_NAME ...); obstore reads them.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import from_url

from pipelines.gathering import each_of
from pipelines.store.blobs import require_key
from pipelines.store.durable import storage_full
from twofold.errors import ConfigurationError, StorageFull, Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

SCHEMES = ("s3", "gs", "az", "file")
PART_BYTES = 5 * 2**20  # of one request of an upload; the least that S3 takes
PARTS_AT_ONCE = 4
READ_BYTES = 2**20

_CLIENT: "ClientConfig" = {
    "allow_http": True,  # where the operator's own endpoint begins with http://
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(seconds=300),
}
_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}

_FULL = re.compile(r"no space left|storage ?full|insufficient ?storage|quota ?exceeded", re.I)


class ObjectBlobs:
    """`ports.Blobs` under a prefix of a bucket.

    What the store has acknowledged is durable, as its vendor promises; with `file://` there is no
    such promise, and `LocalBlobs` is the better choice.

    Args:
        url: Such as `s3://BUCKET/PREFIX`.

    Raises:
        ConfigurationError: It names no store that can be used.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0]
        if scheme not in SCHEMES:
            known = ", ".join(f"{each}://" for each in SCHEMES)
            raise ConfigurationError(
                setting="TWOFOLD_BLOBS_URL", reason=f"{scheme}:// is not one of {known}"
            )
        self._url = url
        try:
            if scheme == "file":
                self._store = from_url(url, mkdir=True)
            else:
                self._store = from_url(url, client_options=_CLIENT, retry_config=_RETRIES)
        except (BaseError, ValueError) as error:
            raise ConfigurationError(setting="TWOFOLD_BLOBS_URL", reason=str(error)) from error

    async def put(self, key: str, data: bytes | Path) -> None:
        require_key(key)
        try:
            with self._errors(key):
                await obstore.put_async(
                    self._store, key, data, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                )
        except KeyError:
            raise self._away("it is not there; make the bucket first") from None

    async def put_all(self, contents: Mapping[str, bytes | Path]) -> None:
        await each_of(contents, lambda key: self.put(key, contents[key]))

    async def get(self, key: str) -> bytes:
        require_key(key)
        with self._errors(key):
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

    @asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        require_key(key)
        folder = Path(tempfile.gettempdir())
        with tempfile.NamedTemporaryFile(dir=folder, prefix="twofold-") as file:
            with self._errors(key), storage_full(folder):
                found = await obstore.get_async(self._store, key)
                async for part in found.stream(READ_BYTES):
                    await asyncio.to_thread(file.write, part)
                file.flush()
            yield Path(file.name)

    async def delete(self, key: str) -> None:
        require_key(key)
        with suppress(KeyError), self._errors(key):
            await obstore.delete_async(self._store, key)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        # A store lists by whole segments of a path.
        parent, _, _ = prefix.rpartition("/")
        with self._errors(prefix):
            async for page in obstore.list(self._store, parent or None, chunk_size=1_000):
                for each in page:
                    if each["path"].startswith(prefix):
                        yield each["path"]

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Say in our words what went wrong."""
        try:
            yield
        except (FileNotFoundError, NotFoundError):
            raise KeyError(key) from None
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise self._away("it refuses the credentials in the environment") from error
        except (BaseError, OSError) as error:
            if _FULL.search(str(error)):
                raise StorageFull(path=self._url) from error
            raise self._away(_first_line(error)) from error

    def _away(self, reason: str) -> Unavailable:
        return Unavailable(what=f"The object store {self._url}", reason=reason, seconds=10)


def _first_line(error: Exception) -> str:
    """The beginning of a message that goes on for a page."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
