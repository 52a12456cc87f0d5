"""What a document may be called: one rule for the server, which stores, and the client, which asks.

A name is data and never a path. It identifies a document unless an id is given, so the same name
has to come out the same wherever it was typed.
"""

import hashlib
import re
import unicodedata
from pathlib import PurePosixPath

MAX_NAME_BYTES = 255
"""Longest name in UTF-8."""

UNNAMED = "unnamed"

_SPACE = re.compile(r"\s+")
# Control characters, and the marks that turn the direction of what follows them.
_INVISIBLE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_DIGEST = 12  # hexadecimal digits
_LONGEST_SUFFIX = 16  # bytes


def document_name(given: str) -> str:
    """The name that a document is stored under.

    In NFC, on one line, without control characters and marks of direction. One that is longer
    than MAX_NAME_BYTES keeps its beginning and its ending, with a hash of the whole between them,
    so that two long names stay two.
    """
    name = _SPACE.sub(" ", _LONE_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", given))
    name = unicodedata.normalize("NFC", _INVISIBLE.sub("", name)).strip()
    encoded = name.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return name or UNNAMED
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > _LONGEST_SUFFIX:
        suffix = ""
    tail = f"~{hashlib.sha256(encoded).hexdigest()[:_DIGEST]}{suffix}"
    return encoded[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore") + tail
