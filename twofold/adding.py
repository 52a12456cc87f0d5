"""Adding files as a person does: folders are walked, one bad file does not stop the others.

A file in a folder is named by its path from that folder on, the folder's own name included
(`guides/wood/yew.md`), so that the name, and with it the identity, is the same wherever the
command is run.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from twofold.client import Client
from twofold.errors import Forbidden, InvalidRequest, RequestError, Unauthenticated
from twofold.names import document_name
from twofold.schema import AcceptedDocuments, Document, ErrorInfo, Metadata, RejectedFile
from twofold.uploads import OnSent, batches, file_batches

MAX_FILES = 100_000

Stamp: TypeAlias = tuple[int, int]  # time of the last change in nanoseconds, and size


@dataclass(frozen=True)
class Walk:
    """Which files below a folder are taken; one that is named is always.

    Attributes:
        recursive: Those of folders inside folders.
        ignore: Not those that `.gitignore` and `.twofoldignore` leave out.
        hidden: Also those whose name, or whose folder's name, begins with a dot.
    """

    recursive: bool = True
    ignore: bool = True
    hidden: bool = False


def find(paths: Iterable[Path], walk: Walk = Walk()) -> dict[str, Path]:
    """The files among and below the paths by name, in order.

    A folder that cannot be read is among them, so that it is missed by nobody.

    Raises:
        InvalidRequest: A path does not exist, two files would have the same name, or there are
            more than MAX_FILES.
    """
    found: dict[str, Path] = {}
    for root in paths:
        for name, path in _below(root, walk):
            if found.setdefault(name, path) != path:
                raise _refused(f"{found[name]} and {path} would both be stored as '{name}'")
            if len(found) > MAX_FILES:
                raise _refused(f"there are more than {MAX_FILES:,} files; add them in parts")
    return found


def send(
    client: Client,
    files: Mapping[str, Path],
    *,
    collection: str,
    metadata: Metadata,
    on_sent: OnSent | None = None,
) -> Iterator[AcceptedDocuments]:
    """Upload in requests of bounded size; yields the answer to each.

    How far the request is that is being sent, `on_sent` is told as `Client.add_files` does.

    What the server has already is not sent: it is asked with the hashes of the files first. A file
    that cannot be read, or that the server refuses, is `rejected` with the reason.

    Raises:
        TwofoldError: What concerns all files: no server, no right to upload, a full disk.
    """
    for names in batches((name, 1) for name in files):
        hashes, rejected = _hashes({name: files[name] for name in names})
        unchanged = (
            client.unchanged(hashes, collection=collection, metadata=metadata) if hashes else []
        )
        if unchanged or rejected:
            yield AcceptedDocuments(documents=unchanged, rejected=rejected)
        there = {document.name for document in unchanged}
        new = {name: files[name] for name in hashes if document_name(name) not in there}
        for batch in file_batches(new):
            yield from _send_batch(client, batch, collection, metadata, on_sent)


def follow(
    client: Client, documents: Iterable[Document], *, collection: str, timeout: float
) -> Iterator[Document]:
    """Each document whenever there is news of it, until it is final or the time is up."""
    deadline = time.monotonic() + timeout
    for document in documents:
        now = document
        while not now.final and (left := deadline - time.monotonic()) > 0:
            [now] = client.wait([now.id], collection=collection, timeout=min(left, 0.25))
            yield now


class Watch:
    """Notices files that are new or have changed, once they have been at rest between two looks.

    A file that was removed stays in the collection.
    """

    def __init__(self, paths: Iterable[Path], walk: Walk = Walk()) -> None:
        self._paths = list(paths)
        self._walk = walk
        self._seen: dict[str, Stamp] = {}
        self._sent: dict[str, Stamp] = {}

    def look(self) -> dict[str, Path]:
        """Files that are to be sent now."""
        files = find((path for path in self._paths if path.exists()), self._walk)
        before, self._seen = self._seen, dict(_stamps(files))
        return {
            name: files[name]
            for name, stamp in self._seen.items()
            if before.get(name) == stamp != self._sent.get(name)
        }

    def sent(self, names: Iterable[str]) -> None:
        """Remember that these have been dealt with, as they were at the last look."""
        self._sent.update((name, self._seen[name]) for name in names if name in self._seen)


def _below(root: Path, walk: Walk) -> Iterator[tuple[str, Path]]:
    if root.is_file():
        yield _text(root.name), root
        return
    if not root.is_dir():
        raise _refused(f"there is no file or folder {root}")
    top = Path(root.resolve().name)
    for path in _walk(root, walk):
        yield _text((top / path.relative_to(root)).as_posix()), path


def _walk(root: Path, walk: Walk) -> Iterator[Path]:
    """The files below a folder, those of a folder before those of the folders in it."""
    from twofold.ignoring import Ignore  # takes 20 ms, and only this needs it

    folders = [(root, Ignore.above(root) if walk.ignore else Ignore())]
    while folders:
        folder, ignore = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            yield folder
            continue
        if walk.ignore:
            ignore = ignore.inside(folder)
        deeper: list[tuple[Path, Ignore]] = []
        for entry in entries:
            path = Path(entry.path)
            is_folder = entry.is_dir(follow_symlinks=False)
            if (_hidden(entry.name) and not walk.hidden) or entry.name == ".git":
                continue
            if ignore.rules and ignore.leaves_out(path, is_folder=is_folder):
                continue
            if is_folder:
                deeper.append((path, ignore))
            elif entry.is_file():  # neither a pipe nor a link to nowhere
                yield path
        if walk.recursive:
            folders += reversed(deeper)


def _hashes(files: Mapping[str, Path]) -> tuple[dict[str, str], list[RejectedFile]]:
    """The SHA-256 of each file, and those that cannot be read."""
    hashes: dict[str, str] = {}
    rejected: list[RejectedFile] = []
    for name, path in files.items():
        try:
            with path.open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            if path.is_dir():
                reason = "The folder cannot be read"
            rejected.append(_rejected(name, "unreadable", reason))
    return hashes, rejected


def _send_batch(
    client: Client,
    batch: dict[str, Path],
    collection: str,
    metadata: Metadata,
    on_sent: OnSent | None,
) -> Iterator[AcceptedDocuments]:
    try:
        yield client.add_files(batch, collection=collection, metadata=metadata, on_sent=on_sent)
    except (Unauthenticated, Forbidden):
        raise
    except RequestError as error:
        if len(batch) == 1:
            [name] = batch
            rejected = [_rejected(name, error.code, error.message)]
            yield AcceptedDocuments(documents=[], rejected=rejected)
            return
        # Nothing of the request was accepted, so each file has its own reason.
        for name, path in batch.items():
            yield from _send_batch(client, {name: path}, collection, metadata, on_sent)


def _stamps(files: Mapping[str, Path]) -> Iterator[tuple[str, Stamp]]:
    for name, path in files.items():
        try:
            status = path.stat()
        except OSError:  # gone since it was found
            continue
        yield name, (status.st_mtime_ns, status.st_size)


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _text(name: str) -> str:
    """A file's name as text, also when its bytes are not UTF-8."""
    return os.fsencode(name).decode(errors="replace")


def _rejected(name: str, code: str, message: str) -> RejectedFile:
    return RejectedFile(name=name, error=ErrorInfo(code=code, message=message))


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(field="PATHS", reason=reason)
