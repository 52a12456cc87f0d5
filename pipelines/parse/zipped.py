"""Reading from a ZIP container that may lie about its sizes."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from pipelines.parse.extract import Unreadable

MAX_ENTRIES = 10_000
MAX_PART = 500_000_000
"""Most bytes that a part may unpack to."""

MAX_UNPACKED = 1_000_000_000
"""Most bytes that all parts that are read may unpack to."""

READ_BYTES = 1 << 16


class Container:
    """The parts of a ZIP container, by name."""

    def __init__(self, data: bytes) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error):
            raise damaged() from None
        self._entries = {each.filename: each for each in self._archive.infolist()}
        if len(self._entries) > MAX_ENTRIES:
            raise Unreadable(
                "too_large", f"The archive has more than {MAX_ENTRIES} entries; upload its parts."
            )
        self._room = MAX_UNPACKED
        self.names = frozenset(self._entries)

    def size(self, name: str) -> int:
        """Bytes that a part claims to unpack to."""
        return self._entries[name].file_size

    def read(self, name: str) -> Iterator[bytes]:
        """Unpack a part piece by piece; memory stays bounded whatever the part claims.

        Raises:
            Unreadable: It is encrypted, damaged or too large.
        """
        size = 0
        try:
            with self._archive.open(self._entries[name]) as part:
                while piece := part.read(READ_BYTES):
                    size += len(piece)
                    self._room -= len(piece)
                    if size > MAX_PART or self._room < 0:
                        limit = MAX_PART if size > MAX_PART else MAX_UNPACKED
                        raise Unreadable(
                            "too_large",
                            f"The inside of the file unpacks to more than {limit // 1_000_000} MB; "
                            "split the document and upload the parts.",
                        )
                    yield piece
        except NotImplementedError:  # a way of packing that no office program uses
            raise damaged() from None
        except RuntimeError:
            raise Unreadable(
                "encrypted", "The file needs a password; remove the password and upload it again."
            ) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError):
            raise damaged() from None

    def whole(self, name: str) -> bytes:
        """A part that is not large."""
        return b"".join(self.read(name))


def damaged() -> Unreadable:
    """The refusal of a container whose inside does not hold together."""
    return Unreadable(
        "corrupt", "The file is damaged or cut off; save or download it anew and upload that."
    )
