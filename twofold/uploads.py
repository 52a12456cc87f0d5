"""What is uploaded together: names for files, requests of bounded size, one answer to several."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias, TypeVar

from twofold.errors import InvalidRequest
from twofold.schema import AcceptedDocuments, Document, DocumentText

Item = TypeVar("Item")

StrPath: TypeAlias = str | os.PathLike[str]
Paths: TypeAlias = StrPath | Iterable[StrPath] | Mapping[str, StrPath]
"""Files under their own names, or a mapping from the name to be stored to the file."""

MAX_UPLOAD_ITEMS = 64
MAX_UPLOAD_BYTES = 8_000_000
"""Bounds of one request; a single larger file is a request of its own."""


class Sent(NamedTuple):
    """How far an upload is.

    Attributes:
        name: The file that is being sent.
        sent: Bytes of all files so far; a request that is tried again takes its own back.
        total: Bytes of all files.
    """

    name: str
    sent: int
    total: int


OnSent: TypeAlias = Callable[[Sent], object]


class Meter:
    """Opens files and tells how much of them has been sent, over all requests of an upload."""

    def __init__(self, files: Mapping[str, Path], tell: OnSent) -> None:
        self._tell = tell
        self._total = sum(path.stat().st_size for path in files.values())
        self._places: dict[str, int] = {}
        self._sent = 0

    def open(self, name: str, path: Path) -> BinaryIO:
        """The file, watched while it is read."""
        return _Watched(io.FileIO(path), lambda place: self._note(name, place))

    def _note(self, name: str, place: int) -> None:
        self._sent += place - self._places.get(name, 0)
        self._places[name] = place
        self._tell(Sent(name, self._sent, self._total))


class _Watched(io.BufferedReader):
    """A file that tells how far it has been read."""

    def __init__(self, raw: io.FileIO, tell: Callable[[int], object]) -> None:
        super().__init__(raw)
        self._place_read = tell

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._place_read(self.tell())
        return data


def named(paths: Paths) -> dict[str, Path]:
    """Give each file the name that it is stored under.

    Raises:
        InvalidRequest: Two files have the same name, and so would overwrite each other.
    """
    if isinstance(paths, Mapping):
        return {name: Path(path) for name, path in paths.items()}
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    files: dict[str, Path] = {}
    for path in map(Path, paths):
        if path != files.setdefault(path.name, path):
            raise InvalidRequest(
                field="paths",
                reason=f"{files[path.name]} and {path} have the same name and would overwrite "
                "each other; give a mapping from names to files",
            )
    return files


def batches(
    sizes: Iterable[tuple[Item, int]],
    *,
    max_items: int = MAX_UPLOAD_ITEMS,
    max_bytes: int = MAX_UPLOAD_BYTES,
) -> Iterator[list[Item]]:
    """Split (item, bytes) in order into lists that stay within both bounds."""
    batch: list[Item] = []
    total = 0
    for item, size in sizes:
        if batch and (len(batch) == max_items or total + size > max_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch


def file_batches(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Uploads of files that each make one request."""
    for names in batches((name, path.stat().st_size) for name, path in files.items()):
        yield {name: files[name] for name in names}


def text_batches(texts: Iterable[DocumentText]) -> Iterator[list[DocumentText]]:
    """Uploads of texts that each make one request."""
    return batches((text, len(text.text.encode())) for text in texts)


def joined(answers: Iterable[AcceptedDocuments]) -> AcceptedDocuments:
    """The answers to several uploads as one."""
    parts = list(answers)
    return AcceptedDocuments(
        documents=[document for part in parts for document in part.documents],
        rejected=[file for part in parts for file in part.rejected],
    )


def pending(accepted: AcceptedDocuments) -> list[str]:
    """Ids of the documents that something still happens to."""
    return [document.id for document in accepted.documents if not document.final]


def updated(accepted: AcceptedDocuments, documents: Iterable[Document]) -> AcceptedDocuments:
    """The same verdicts, on the documents as they are by now."""
    now = {document.id: document for document in documents}
    return accepted.model_copy(
        update={
            "documents": [
                each.model_copy(update=dict(now.get(each.id, each))) for each in accepted.documents
            ]
        }
    )
