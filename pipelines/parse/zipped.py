"""Reading from a ZIP container that may lie about its sizes."""

import io
import zipfile
import zlib
from collections.abc import Iterator

from pipelines.parse.extract import Unreadable

MAX_PART = 500_000_000
"""Most bytes that a part may unpack to."""

READ_BYTES = 1 << 16


class Container:
    """The parts of a ZIP container, by name."""

    def __init__(self, data: bytes) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise _damaged() from None
        self.names = frozenset(self._archive.namelist())

    def read(self, name: str) -> Iterator[bytes]:
        """Unpack a part piece by piece; memory stays bounded whatever the part claims.

        Raises:
            Unreadable: It is encrypted, damaged or too large.
        """
        size = 0
        try:
            with self._archive.open(name) as part:
                while piece := part.read(READ_BYTES):
                    size += len(piece)
                    if size > MAX_PART:
                        raise Unreadable(
                            "too_large",
                            f"A part of the file unpacks to more than {MAX_PART // 1_000_000} MB; "
                            "split the document and upload the parts.",
                        )
                    yield piece
        except RuntimeError:
            raise Unreadable(
                "encrypted", "The file needs a password; remove the password and upload it again."
            ) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError):
            raise _damaged() from None


def _damaged() -> Unreadable:
    return Unreadable(
        "corrupt", "The file is damaged or cut off; save or download it anew and upload that."
    )
