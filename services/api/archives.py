"""ZIP archives in an upload, where the operator allows it: each member becomes a file of its own.

Members are unpacked one level deep, by the standard library, piece by piece and under caps on
their number, on each and on all of them; what an archive says of its own sizes is not believed.
The size of its directory is looked at before it is read.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from services.api.forms import MAX_FILES, FileWriter, Form, FormFile
from twofold import errors
from twofold.names import document_name

MAX_DIRECTORY_BYTES = 4_000_000
PIECE_BYTES = 1 << 16
SIGNATURE = b"PK\x03\x04"

_END = struct.Struct("<4s4H2LH")  # end of central directory record, APPNOTE.TXT 4.3.16
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR_SIGNATURE, _LOCATOR_BYTES = b"PK\x06\x07", 20
_LONGEST_COMMENT = 65_535
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError)


def opened(form: Form, folder: Path, *, cap: int, total: int) -> Form:
    """The form with the members of its archives in their places. Blocking.

    Args:
        form: As it was uploaded.
        folder: Where the members go.
        cap: Bytes that a member may unpack to.
        total: Bytes that all of them together may unpack to.
    """
    files: list[FormFile] = []
    for file in form.files:
        if file.refused is None and is_archive(file):
            members = list(_members(file, folder, cap, total))
            total -= sum(member.size for member in members)
            files += members
        else:
            files.append(file)
    return Form(form.fields, files)


def is_archive(file: FormFile) -> bool:
    """Whether a file is a plain ZIP archive, and not an office document under that name."""
    if not file.name.lower().endswith(".zip"):
        return False
    with file.path.open("rb") as source:
        return source.read(len(SIGNATURE)) == SIGNATURE


def _members(file: FormFile, folder: Path, cap: int, total: int) -> Iterator[FormFile]:
    try:
        with file.path.open("rb") as source:
            if _directory_bytes(source) > MAX_DIRECTORY_BYTES:
                yield _refused(file, f"has more than {MAX_FILES} members; upload them in parts")
                return
            with zipfile.ZipFile(source) as archive:
                infos = [info for info in archive.infolist() if not info.is_dir()]
                if len(infos) > MAX_FILES:
                    yield _refused(file, f"has more than {MAX_FILES} members; upload them in parts")
                    return
                if "[Content_Types].xml" in archive.namelist():
                    yield file
                    return
                if not infos:
                    yield _refused(file, "has nothing in it")
                for number, info in enumerate(infos):
                    path = folder / f"{file.path.name}-{number}"
                    member = _member(file, archive, info, path, min(cap, max(0, total)))
                    total -= member.size
                    yield member
    except _DAMAGED:
        yield _refused(file, "is damaged; pack it anew and upload that")


def _member(
    file: FormFile, archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, cap: int
) -> FormFile:
    inner = [part for part in PurePosixPath(info.filename).parts if part not in ("/", "..")]
    name = document_name("/".join((file.name, *inner)))
    member = FormFile(file.key, name, "application/octet-stream", path)
    if info.flag_bits & 1:
        return _refused(member, "needs a password; pack it without one")
    if name.lower().endswith(".zip"):
        return _refused(member, "is an archive inside an archive; upload it by itself")
    writer = FileWriter(member, cap)
    try:
        with archive.open(info) as source:
            while member.refused is None and (piece := source.read(PIECE_BYTES)):
                writer.write(piece)
    except (*_DAMAGED, RuntimeError):
        return _refused(member, "is damaged in the archive; pack it anew")
    finally:
        writer.close()
    return member


def _directory_bytes(source: IO[bytes]) -> int:
    """What the end of an archive says of the size of its directory, which is read whole."""
    size = source.seek(0, 2)
    source.seek(max(0, size - _LONGEST_COMMENT - _END.size - _LOCATOR_BYTES))
    tail = source.read()
    # As zipfile looks for it, so that nothing is read that was not looked at.
    place = len(tail) - _END.size
    if place >= 0 and not (tail[place:].startswith(_END_SIGNATURE) and tail.endswith(b"\0\0")):
        place = tail.rfind(_END_SIGNATURE)
    if place < 0 or len(tail) - place < _END.size:
        return 0  # not an archive, as its reader will say
    if tail[:place][-_LOCATOR_BYTES:].startswith(_LOCATOR_SIGNATURE):
        return MAX_DIRECTORY_BYTES + 1  # ZIP64, which small archives do not take
    *_, directory_bytes, _, _ = _END.unpack_from(tail, place)
    return int(directory_bytes)


def _refused(file: FormFile, reason: str) -> FormFile:
    file.refused = errors.UnsupportedFormat(f"'{file.name}' {reason}.", name=file.name)
    return file
