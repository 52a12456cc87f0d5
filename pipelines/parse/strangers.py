"""Formats that are known and not read, so that the refusal can say what the file is."""

from typing import NamedTuple


class Stranger(NamedTuple):
    """What the bytes at `offset` say a file is."""

    signature: bytes
    name: str
    offset: int = 0
    is_archive: bool = False

    def fits(self, data: bytes) -> bool:
        """Whether a file is this; a few letters alone do not make text a program."""
        end = self.offset + len(self.signature)
        if data[self.offset : end] != self.signature:
            return False
        return b"\0" in data[:65_536] or not (self.offset or self.signature.isalnum())


_STRANGERS = (
    Stranger(b"PK\x03\x04", "a ZIP archive", is_archive=True),
    Stranger(b"PK\x05\x06", "an empty ZIP archive"),
    Stranger(b"\x1f\x8b", "a gzip archive", is_archive=True),
    Stranger(b"\x1f\x9d", "a compress archive", is_archive=True),
    Stranger(b"BZh", "a bzip2 archive", is_archive=True),
    Stranger(b"\xfd7zXZ\0", "an XZ archive", is_archive=True),
    Stranger(b"7z\xbc\xaf\x27\x1c", "a 7z archive", is_archive=True),
    Stranger(b"Rar!\x1a\x07", "a RAR archive", is_archive=True),
    Stranger(b"\x28\xb5\x2f\xfd", "a Zstandard archive", is_archive=True),
    Stranger(b"\x5d\0\0", "an LZMA archive", is_archive=True),
    Stranger(b"MSCF", "a Windows cabinet", is_archive=True),
    Stranger(b"ustar", "a tar archive", offset=257, is_archive=True),
    Stranger(b"MZ", "a Windows program"),
    Stranger(b"\x7fELF", "a Linux program"),
    Stranger(b"\xcf\xfa\xed\xfe", "a macOS program"),
    Stranger(b"\xce\xfa\xed\xfe", "a macOS program"),
    Stranger(b"\xca\xfe\xba\xbe", "a compiled program"),
    Stranger(b"\0asm", "a WebAssembly program"),
    Stranger(b"dex\n", "an Android program"),
    Stranger(b"\x89PNG\r\n\x1a\n", "a PNG image"),
    Stranger(b"\xff\xd8\xff", "a JPEG image"),
    Stranger(b"GIF8", "a GIF image"),
    Stranger(b"BM", "a bitmap image"),
    Stranger(b"II*\0", "a TIFF image"),
    Stranger(b"MM\0*", "a TIFF image"),
    Stranger(b"8BPS", "a Photoshop image"),
    Stranger(b"AT&TFORM", "a DjVu document"),
    Stranger(b"RIFF", "an image, audio or video file"),
    Stranger(b"OggS", "an audio or video file"),
    Stranger(b"fLaC", "an audio file"),
    Stranger(b"ID3", "an MP3 file"),
    Stranger(b"\xff\xfb", "an MP3 file"),
    Stranger(b"\x1aE\xdf\xa3", "a video file"),
    Stranger(b"ftyp", "an image, audio or video file", offset=4),
    Stranger(b"SQLite format 3\0", "an SQLite database"),
    Stranger(b"\0\x01\0\0Standard", "a Microsoft Access database"),
    Stranger(b"PAR1", "a Parquet file"),
    Stranger(b"\x89HDF\r\n", "an HDF5 file"),
    Stranger(b"%!PS", "a PostScript file"),
    Stranger(b"ITSF", "a CHM help file"),
    Stranger(b"BOOKMOBI", "a Kindle book", offset=60),
    Stranger(b"!BDN", "an Outlook mail store"),
    Stranger(b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "a OneNote notebook"),
    Stranger(b"AC10", "an AutoCAD drawing"),
    Stranger(b"DICM", "a DICOM image", offset=128),
)


COMPOUND_STRANGERS = {
    "\x05HwpSummaryInformation": "a Hangul (HWP) document",
    "BodyText": "a Hangul (HWP) document",
    "VisioDocument": "a Visio drawing",
    "Quill": "a Publisher document",
    "TNEF": "an Outlook attachment",
    "Props14": "an Outlook item",
    "\x05MSIDigitalSignature": "a Windows installer",
    "MatOST": "a Microsoft Works document",
}
"""Streams and storages by which compound files (OLE) that are not read can be told."""


def stranger(data: bytes) -> Stranger | None:
    """What a file is that is of no format that is read; None when that is not known either."""
    return next((each for each in _STRANGERS if each.fits(data)), None)
