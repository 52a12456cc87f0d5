"""What a file is: its content decides, then its name, then what the caller claims.

Pure Python over the first bytes (and the directory of a container), so that no parser written in
C sees a file before it is known to be of that parser's format.
"""

import json
import re
from functools import cache

from pipelines.parse import formats
from pipelines.parse.encoding import wide_encoding
from pipelines.parse.extract import Unreadable
from pipelines.parse.formats import CSV, FB2, FORMATS, JSON, READ, TEXT, XLS, XML, Format
from pipelines.parse.strangers import COMPOUND_STRANGERS, stranger

HEAD_BYTES = 4_096
JUNK_BYTES = 1_024
"""Some writers put a few bytes before the signature, and readers forgive them."""

MAX_MEDIA_TYPE = 200
MAX_JSON_PROBE = 1_000_000

_ZIP = b"PK\x03\x04"
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_JSON = re.compile(r"\s*[\[{]")
_ROOT = re.compile(
    r"\s*(?><\?xml\b[^>]*>\s*)?+(?><!--.*?-->\s*|<\?.*?\?>\s*|<!DOCTYPE[^>\[]*(?:\[.*?\])?\s*>\s*)*+"
    r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]",
    re.DOTALL,
)


class UnopenedArchive(Unreadable):
    """The file is an archive of other files."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            "unsupported_format",
            f"The file is {kind}, which Twofold does not open; upload the files that are in it.",
        )


def detect(data: bytes, *, suffix: str, media_type: str | None) -> Format:
    """Tell the format of a file that is not empty.

    Args:
        data: The whole file.
        suffix: Of its name, with the dot; may be empty.
        media_type: What the caller claims, or None.

    Raises:
        UnopenedArchive: It is an archive of other files.
        Unreadable: It is of a format that is not read, is not what it is called, or is encrypted.
    """
    claimed = _claimed(suffix.lower(), media_type)
    found = _binary(data, claimed)
    if found is not None:
        return found
    opening = _opening(data)
    seen = _told_by(opening)
    if claimed is not None and claimed.binary:
        # Web pages, mails and tables that call themselves DOC or XLS are what many programs export.
        if seen is None and claimed is XLS and _is_delimited(opening):
            seen = CSV
        if seen is None:
            raise _impostor(claimed)
        return seen
    return _text_like(data, opening, claimed, seen)


def _claimed(suffix: str, media_type: str | None) -> Format | None:
    plain = (media_type or "").partition(";")[0].strip().lower()
    by_name = next((each for each in FORMATS if suffix in each.suffixes), None)
    return by_name or next((each for each in FORMATS if plain in each.media_types), None)


def _binary(data: bytes, claimed: Format | None) -> Format | None:
    """A format that its bytes give away, whatever the name; None: it may be text."""
    head = data[:JUNK_BYTES]
    for each in FORMATS:
        if each.signature is None:
            continue
        if head.lstrip().startswith(each.signature) or (each is claimed and each.signature in head):
            return each
    if head.startswith(_ZIP):
        return _in_zip(data)
    if head.startswith(_OLE):
        return _in_compound(data)
    if (found := stranger(data)) is not None:
        raise UnopenedArchive(found.name) if found.is_archive else unsupported(found.name)
    return None


def _in_zip(data: bytes) -> Format:
    from pipelines.parse.zipped import Container  # a third of the child's start; few files need it

    container = Container(data)
    names = container.names
    kind = ""
    if "mimetype" in names and container.size("mimetype") <= MAX_MEDIA_TYPE:
        kind = container.whole("mimetype").decode("latin-1")
    for each in FORMATS:
        if each.zip_type is not None and kind.startswith(each.zip_type):
            return each
    for each in FORMATS:
        if each.zip_entry and any(name.startswith(each.zip_entry) for name in names):
            return each
    if len(names) == 1 and min(names).lower().endswith(".fb2"):
        return FB2
    if any(name.endswith(".iwa") or name == "index.apxl" for name in names):
        raise unsupported("an Apple iWork document")
    raise UnopenedArchive("a ZIP archive")


def _in_compound(data: bytes) -> Format:
    from pipelines.parse import compound

    names = compound.names(data)
    if "EncryptedPackage" in names:
        raise Unreadable(
            "encrypted", "The document needs a password; remove the password and upload it again."
        )
    for each in FORMATS:
        if each.ole_stream in names:
            return each
    known = (what for name, what in COMPOUND_STRANGERS.items() if name in names)
    raise unsupported(next(known, "an old Office file of another kind"))


def _opening(data: bytes) -> str:
    """The beginning as text, well enough to see what kind of text it is."""
    head = data[:HEAD_BYTES]
    wide = wide_encoding(data)
    text = head.decode(wide, "replace") if wide else head.decode("latin-1")
    return text.removeprefix("\ufeff").removeprefix("ï»¿").lstrip().replace("\r\n", "\n")


def _told_by(opening: str) -> Format | None:
    """The format that the beginning of a text gives away."""
    for each in FORMATS:
        if each.opening is not None and _pattern(each.opening).match(opening):
            return each
    root = _ROOT.match(opening)
    if root is None:
        return None
    by_root = next((each for each in FORMATS if root[1] in each.roots), None)
    return by_root or (XML if opening.startswith("<?xml") else None)


def _is_delimited(opening: str) -> bool:
    """Whether its first two lines are rows of one table, in text."""
    first, _, rest = opening.partition("\n")
    second = rest.partition("\n")[0]
    printable = all(character in "\t\n\r" or character >= " " for character in opening)
    return printable and any(first.count(mark) == second.count(mark) > 0 for mark in "\t;,")


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _text_like(data: bytes, opening: str, claimed: Format | None, seen: Format | None) -> Format:
    """A name that says more than `text` or `XML` is believed; else, what the content looks like."""
    if claimed is not None and claimed not in (TEXT, XML, formats.JSON):
        return claimed
    if seen is not None:
        return seen
    if claimed is not None and claimed is not TEXT:
        return claimed
    return JSON if _JSON.match(opening) and _is_json(data) else TEXT


def _is_json(data: bytes) -> bool:
    """Whether it is JSON, or its first line is a JSON object as in JSON Lines."""
    first, _, _ = data.lstrip().partition(b"\n")
    for part in (first, data):
        try:
            if len(part) <= MAX_JSON_PROBE and isinstance(json.loads(part), dict | list):
                return True
        except (ValueError, RecursionError):
            continue
    return False


def _impostor(claimed: Format) -> Unreadable:
    return Unreadable(
        "corrupt",
        f"The file is called {claimed.name} and its content is not one; it may have been "
        "cut off or saved wrongly. Export it anew and upload that.",
    )


def unsupported(what: str) -> Unreadable:
    """The refusal of a file that is known to be something else."""
    return Unreadable(
        "unsupported_format", f"The file is {what}, which Twofold does not read; it reads {READ}."
    )
