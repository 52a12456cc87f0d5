"""Adding files as a person does: folders are walked, one bad file does not stop the others.

A file in a folder is named by its path from that folder on, the folder's own name included
(`guides/wood/yew.md`), so that the name, and with it the identity, is the same wherever the
command is run.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from twofold.client import Client
from twofold.errors import Forbidden, InvalidRequest, RequestError, Unauthenticated
from twofold.schema import AcceptedDocuments, Document, ErrorInfo, Metadata, RejectedFile
from twofold.uploads import file_batches

MAX_FILES = 100_000

Stamp: TypeAlias = tuple[int, int]  # time of the last change in nanoseconds, and size


def find(paths: Iterable[Path], *, recursive: bool = True) -> dict[str, Path]:
    """The files among and below the paths by name, in order; hidden ones below are left out.

    Raises:
        InvalidRequest: A path does not exist, two files would have the same name, or there are
            more than MAX_FILES.
    """
    found: dict[str, Path] = {}
    for root in paths:
        for name, path in _below(root, recursive=recursive):
            if found.setdefault(name, path) != path:
                raise _refused(f"{found[name]} and {path} would both be stored as '{name}'")
            if len(found) > MAX_FILES:
                raise _refused(f"there are more than {MAX_FILES:,} files; add them in parts")
    return found


def send(
    client: Client, files: Mapping[str, Path], *, collection: str, metadata: Metadata
) -> Iterator[AcceptedDocuments]:
    """Upload in requests of bounded size; yields the answer to each.

    A file that cannot be read, or that the server refuses, is `rejected` with the reason.

    Raises:
        TwofoldError: What concerns all files: no server, no right to upload, a full disk.
    """
    unreadable = {name: reason for name, path in files.items() if (reason := _unreadable(path))}
    if unreadable:
        yield AcceptedDocuments(
            documents=[],
            rejected=[_rejected(name, "unreadable", why) for name, why in unreadable.items()],
        )
    readable = {name: path for name, path in files.items() if name not in unreadable}
    for batch in file_batches(readable):
        yield from _send_batch(client, batch, collection, metadata)


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

    def __init__(self, paths: Iterable[Path], *, recursive: bool = True) -> None:
        self._paths = list(paths)
        self._recursive = recursive
        self._seen: dict[str, Stamp] = {}
        self._sent: dict[str, Stamp] = {}

    def look(self) -> dict[str, Path]:
        """Files that are to be sent now."""
        files = find((path for path in self._paths if path.exists()), recursive=self._recursive)
        before, self._seen = self._seen, dict(_stamps(files))
        return {
            name: files[name]
            for name, stamp in self._seen.items()
            if before.get(name) == stamp != self._sent.get(name)
        }

    def sent(self, names: Iterable[str]) -> None:
        """Remember that these have been dealt with, as they were at the last look."""
        self._sent.update((name, self._seen[name]) for name in names if name in self._seen)


def _below(root: Path, *, recursive: bool) -> Iterator[tuple[str, Path]]:
    if root.is_file():
        yield _text(root.name), root
        return
    if not root.is_dir():
        raise _refused(f"there is no file or folder {root}")
    top = Path(root.resolve().name)
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(each for each in subfolders if recursive and not _hidden(each))
        for name in sorted(each for each in names if not _hidden(each)):
            path = Path(folder, name)
            if path.is_file():  # neither a pipe nor a link to nowhere
                yield _text((top / path.relative_to(root)).as_posix()), path


def _send_batch(
    client: Client, batch: dict[str, Path], collection: str, metadata: Metadata
) -> Iterator[AcceptedDocuments]:
    try:
        yield client.add_files(batch, collection=collection, metadata=metadata)
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
            yield from _send_batch(client, {name: path}, collection, metadata)


def _stamps(files: Mapping[str, Path]) -> Iterator[tuple[str, Stamp]]:
    for name, path in files.items():
        try:
            status = path.stat()
        except OSError:  # gone since it was found
            continue
        yield name, (status.st_mtime_ns, status.st_size)


def _unreadable(path: Path) -> str | None:
    try:
        path.open("rb").close()
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _text(name: str) -> str:
    """A file's name as text, also when its bytes are not UTF-8."""
    return os.fsencode(name).decode(errors="replace")


def _rejected(name: str, code: str, message: str) -> RejectedFile:
    return RejectedFile(name=name, error=ErrorInfo(code=code, message=message))


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(field="PATHS", reason=reason)
