"""API keys, and the file that holds what a server needs to know of them.

    tf_ID_SECRET        ID finds the row; SECRET is 256 random bits, shown once and stored nowhere

The file is JSON, made by `twofold keys` or by the server's `/keys`, and read by every replica:

    {"keys": [{"id", "name", "tenant", "scopes", "created_at", "expires_at", "sha256"}, ...]}

A key is stored as its SHA-256. A slow, salted hash protects what people choose, because that can
be guessed; 256 random bits cannot, however fast the guesses are, and a server that hashes slowly
would spend its time on the keys of whoever knocks.
"""

import errno
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twofold.errors import ConfigurationError, Conflict, KeyNotFound, KeysUnchangeable, StorageFull
from twofold.schema import ApiKey, ApiScope, NewApiKey

MAX_KEYS_PER_TENANT = 1_000
_LOCK_S = 5.0  # longest wait for another writer, who needs milliseconds
_SHAPE = re.compile(r"tf_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class StoredKey(ApiKey):
    """A key as the file holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the whole key.")

    def opens(self, key: str) -> bool:
        """Whether it is this key; takes the same time wherever the two differ."""
        return hmac.compare_digest(self.sha256, digest(key))

    def valid(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


class _Content(BaseModel):
    """What is in the file."""

    model_config = ConfigDict(extra="forbid")

    keys: list[StoredKey] = []


def mint(
    *, name: str, tenant: str, scopes: Sequence[ApiScope], expires_at: datetime | None
) -> tuple[NewApiKey, StoredKey]:
    """A new key: what its owner gets, once, and what is kept."""
    key_id = secrets.token_hex(6)
    key = f"tf_{key_id}_{secrets.token_urlsafe(32)}"
    known = ApiKey(
        id=key_id,
        name=name,
        tenant=tenant,
        scopes=sorted(set(scopes)),
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    return NewApiKey(**dict(known), key=key), StoredKey(**dict(known), sha256=digest(key))


def digest(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def id_of(key: str) -> str | None:
    """The id inside a key; None when it does not look like one of ours."""
    shape = _SHAPE.fullmatch(key)
    return shape[1] if shape else None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The keys of all tenants in one file; safe to change from several processes.

    Attributes:
        path: May be a link, as in a mounted secret. On a read-only mount only reading works.
    """

    path: Path

    def read(self) -> list[StoredKey]:
        """Every key, oldest first.

        Raises:
            ConfigurationError: There is no such file, or it holds something else.
        """
        try:
            return _Content.model_validate_json(self.path.read_bytes()).keys
        except FileNotFoundError:
            reason = "there is no such file; `twofold keys create --file PATH --name NAME` makes it"
        except OSError as error:
            reason = f"it cannot be read ({error.strerror})"
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            reason = f"it is not a file of keys ({where}: {first['msg']})"
        raise ConfigurationError(setting=f"The keys file {self.path}", reason=reason)

    def create(
        self,
        *,
        name: str,
        tenant: str,
        scopes: Sequence[ApiScope],
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Make a key; the answer is the only place where it can be read.

        Raises:
            KeysUnchangeable: The file cannot be written.
            Conflict: The tenant has as many keys as it may have.
        """
        new, stored = mint(name=name, tenant=tenant, scopes=scopes, expires_at=expires_at)
        with self._changing() as keys:
            if sum(key.tenant == tenant for key in keys) >= MAX_KEYS_PER_TENANT:
                raise Conflict(
                    reason=f"tenant '{tenant}' has {MAX_KEYS_PER_TENANT} keys, which is the most; "
                    "revoke some that are not used"
                )
            keys.append(stored)
        return new

    def revoke(self, key_id: str, *, tenant: str | None = None) -> ApiKey:
        """Remove a key, of the tenant if one is named; returns what it was.

        Raises:
            KeyNotFound: There is none, or it is another tenant's.
            KeysUnchangeable: The file cannot be written.
        """
        with self._changing() as keys:
            for key in keys:
                if key.id == key_id and tenant in (None, key.tenant):
                    keys.remove(key)
                    return public(key)
            raise KeyNotFound(key_id=key_id)

    @contextmanager
    def _changing(self) -> Iterator[list[StoredKey]]:
        """The keys, to be changed by one process at a time; written when the block ends."""
        path = self.path.resolve()  # what a link points to is replaced, and the link stays
        try:
            with _locked(path.with_name(f"{path.name}.lock")):
                keys = self.read() if path.exists() else []
                yield keys
                _replace(path, _Content(keys=keys).model_dump_json(indent=2).encode() + b"\n")
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(path=str(path.parent)) from error
            raise KeysUnchangeable(
                reason=f"{path} cannot be written ({error.strerror}); run `twofold keys` where the "
                "file can be, such as where the secret is made"
            ) from error


def public(key: StoredKey) -> ApiKey:
    """What may be shown of a key."""
    return ApiKey(**key.model_dump(exclude={"sha256"}))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, by means of another beside it that is never replaced."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(handle, path)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> None:
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise KeysUnchangeable(
                    reason=f"another process has held {path} for {_LOCK_S:.0f} s; try again"
                ) from None
            time.sleep(0.02)
        else:
            return


def _replace(path: Path, content: bytes) -> None:
    """Put the content in place whole and durably, for its owner's eyes alone.

    A file that is there keeps its owner and mode, so that a key made by an administrator does
    not lock the server out.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:  # made with mode 0600
            with suppress(FileNotFoundError):
                before = path.stat()
                os.fchmod(file.fileno(), before.st_mode & 0o777)
                with suppress(PermissionError):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
