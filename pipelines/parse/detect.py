"""What a file is: its content decides, then its name, then what the caller claims.

Pure Python over the first bytes (and the directory of a ZIP), so that no parser written in C
sees a file before it is known to be of that parser's format.
"""

import io
import json
import re
from typing import NamedTuple

from pipelines.parse.extract import Unreadable
from pipelines.parse.formats import FORMATS, HTML, JSON, TEXT, Format, named

HEAD_BYTES = 1_024
MAX_ZIP_ENTRIES = 10_000

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


class Stranger(NamedTuple):
    """A format that is known and not read."""

    signature: bytes
    name: str


_STRANGERS = (
    Stranger(b"PK\x03\x04", "a ZIP archive"),
    Stranger(b"PK\x05\x06", "an empty ZIP archive"),
    Stranger(b"\x1f\x8b", "a gzip archive"),
    Stranger(b"\x1f\x9d", "a compress archive"),
    Stranger(b"BZh", "a bzip2 archive"),
    Stranger(b"\xfd7zXZ\0", "an XZ archive"),
    Stranger(b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    Stranger(b"Rar!\x1a\x07", "a RAR archive"),
    Stranger(b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    Stranger(b"MZ", "a Windows program"),
    Stranger(b"\x7fELF", "a Linux program"),
    Stranger(b"\xcf\xfa\xed\xfe", "a macOS program"),
    Stranger(b"\xca\xfe\xba\xbe", "a compiled program"),
    Stranger(b"\0asm", "a WebAssembly program"),
    Stranger(b"\x89PNG\r\n\x1a\n", "a PNG image"),
    Stranger(b"\xff\xd8\xff", "a JPEG image"),
    Stranger(b"GIF8", "a GIF image"),
    Stranger(b"II*\0", "a TIFF image"),
    Stranger(b"MM\0*", "a TIFF image"),
    Stranger(b"RIFF", "an image, audio or video file"),
    Stranger(b"OggS", "an audio or video file"),
    Stranger(b"ID3", "an MP3 file"),
    Stranger(b"\x1aE\xdf\xa3", "a video file"),
    Stranger(b"SQLite format 3\0", "an SQLite database"),
    Stranger(b"{\\rtf", "an RTF document"),
    Stranger(b"%!PS", "a PostScript file"),
    Stranger(b"ITSF", "a CHM help file"),
    Stranger(b"<?xml", "an XML file"),
)
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,900}?-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|div|table|p|h1)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]")


def detect(data: bytes, *, suffix: str, media_type: str | None) -> Format:
    """Tell the format of a file that is not empty.

    Args:
        data: The whole file.
        suffix: Of its name, with the dot; may be empty.
        media_type: What the caller claims, or None.

    Raises:
        Unreadable: It is of a format that is not read, is not what it is called, or is encrypted.
    """
    claimed = _claimed(suffix.lower(), media_type)
    found = _binary(data, claimed) or _text_like(data, claimed)
    if claimed is not None and claimed.binary and found is not claimed and not found.binary:
        raise Unreadable(
            "corrupt",
            f"The file is called a {claimed.name} and its content is not one; it may have been "
            "cut off or saved wrongly. Export it anew and upload that.",
        )
    return found


def _claimed(suffix: str, media_type: str | None) -> Format | None:
    plain = (media_type or "").partition(";")[0].strip().lower()
    by_name = next((each for each in FORMATS if suffix in each.suffixes), None)
    return by_name or next((each for each in FORMATS if plain in each.media_types), None)


def _binary(data: bytes, claimed: Format | None) -> Format | None:
    head = data[:HEAD_BYTES]
    for each in FORMATS:
        if each.signature is None:
            continue
        # Some writers put a few bytes before the signature, and readers forgive them.
        if head.lstrip().startswith(each.signature) or (each is claimed and each.signature in head):
            return each
    if head.startswith(b"PK\x03\x04"):
        return _in_zip(data, claimed)
    if head.startswith(_OLE):
        raise _ole(data)
    if _HTML.match(head):
        return None
    stranger = next((each for each in _STRANGERS if head.startswith(each.signature)), None)
    if stranger is not None and (b"\0" in data[:65_536] or not stranger.signature.isalnum()):
        raise _unsupported(stranger.name)
    return None


def _in_zip(data: bytes, claimed: Format | None) -> Format:
    import zipfile  # a third of the child's start, and few files need it

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        what = f"The {claimed.name} file" if claimed is not None else "The ZIP archive"
        raise Unreadable(
            "corrupt", f"{what} is damaged or cut off; save or download it anew and upload that."
        ) from None
    if len(names) > MAX_ZIP_ENTRIES:
        raise Unreadable(
            "too_large", f"The archive has more than {MAX_ZIP_ENTRIES} entries; upload its parts."
        )
    for each in FORMATS:
        if each.zip_folder and any(name.startswith(each.zip_folder) for name in names):
            return each
    raise _unsupported("a ZIP archive or an office document of another kind")


def _ole(data: bytes) -> Unreadable:
    if _OLE_ENCRYPTED in data:
        return Unreadable(
            "encrypted", "The document needs a password; remove the password and upload it again."
        )
    return _unsupported("an Office document of before 2007 or an Outlook message")


def _text_like(data: bytes, claimed: Format | None) -> Format:
    """A name that says more than `text` is believed; without one, what the content looks like."""
    if claimed is not None and claimed is not TEXT and not claimed.binary:
        return claimed
    head = data[:HEAD_BYTES]
    if _HTML.match(head):
        return HTML
    return JSON if _JSON.match(head) and _is_json(data) else TEXT


def _is_json(data: bytes) -> bool:
    """Whether it is JSON, or its first line is a JSON object as in JSON Lines."""
    first, _, _ = data.lstrip().partition(b"\n")
    for part in (first, data):
        try:
            if isinstance(json.loads(part), dict | list):
                return True
        except (ValueError, RecursionError):
            continue
    return False


def _unsupported(what: str) -> Unreadable:
    return Unreadable(
        "unsupported_format",
        f"The file is {what}, which Twofold does not read; it reads {named()}.",
    )
