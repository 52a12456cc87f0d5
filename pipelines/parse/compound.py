"""Compound files (OLE, [MS-CFB]): what Office wrote before 2007, and Outlook still does."""

import io

import olefile  # type: ignore[import-untyped]

from pipelines.parse.extract import Unreadable

MAX_STREAM = 200_000_000
MAX_ENTRIES = 20_000


def names(data: bytes) -> frozenset[str]:
    """Streams and storages at the root."""
    return frozenset(path[0] for path in Compound(data).paths)


class Compound:
    """The streams of a compound file, by path."""

    def __init__(self, data: bytes) -> None:
        try:
            self._file = olefile.OleFileIO(io.BytesIO(data))
            self.paths: list[list[str]] = self._file.listdir(streams=True, storages=True)
        except (OSError, ValueError, IndexError, TypeError, AttributeError):
            raise damaged() from None
        if len(self.paths) > MAX_ENTRIES:
            raise Unreadable("too_large", "The file has too many parts; split it and upload those.")

    def has(self, *path: str) -> bool:
        """Whether there is a stream or storage at the path."""
        return bool(self._file.exists(list(path)))

    def read(self, *path: str) -> bytes:
        """The bytes of a stream; empty when there is none.

        Raises:
            Unreadable: It is damaged or too large.
        """
        if not self.has(*path):
            return b""
        try:
            with self._file.openstream(list(path)) as stream:
                data: bytes = stream.read(MAX_STREAM + 1)
        except (OSError, ValueError, IndexError):
            raise damaged() from None
        if len(data) > MAX_STREAM:
            raise Unreadable("too_large", "A part of the file is too large; split the document.")
        return data


def damaged() -> Unreadable:
    """The refusal of a file whose inside does not hold together."""
    return Unreadable(
        "corrupt", "The file is damaged or cut off; save or download it anew and upload that."
    )
