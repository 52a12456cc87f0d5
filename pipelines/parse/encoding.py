"""Bytes to text in any encoding; what cannot be told is refused, never guessed into nonsense."""

import codecs
import re
import unicodedata
from contextlib import suppress
from encodings import normalize_encoding
from encodings.aliases import aliases

from pipelines.parse.extract import TooMuchText, Unreadable

DETECTION_BYTES = 65_536
MAX_SOURCE = 64_000_000
"""Most bytes of a text format: what the limits of memory and text leave room for."""

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]{1,3}")


# What parsers of binary formats decode; a sealed child can import no codec any more.
for _encoding in ("ascii", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
    codecs.lookup(_encoding)

# What files really come in, the likelier first where the statistics cannot decide.
_LEGACY = (
    *("cp1252", "cp1251", "cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "cp949"),
    *("iso2022_kr", "cp1250", "iso8859_2", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("koi8_r", "cp866", "iso8859_5", "iso8859_7", "iso8859_15", "cp874", "cp850", "cp437"),
    *("cp852", "cp500", "cp037", "mac_roman", "iso8859_6"),
)

# What a declaration really means, as browsers read it (https://encoding.spec.whatwg.org/).
_SUPERSETS = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "tis_620": "cp874",
}

_CHARSETS = re.compile(rb"charset\s*=\s*[\"']?([\w.:-]{2,40})|=\?([\w-]{2,40})\?[bBqQ]\?", re.I)
MAX_CHARSETS = 50

_FOREIGN = re.compile(rb"[\x80-\xff]")
_TAGS = re.compile(rb"[<>]")


def prepare(data: bytes) -> None:
    """Import what `decode` will need for `data`, while the process may still open files."""
    if b"\x1b" in data:
        for encoding in ("iso2022_jp", "iso2022_jp_2", "iso2022_kr"):
            codecs.lookup(encoding)
    if _utf8(data) is None:
        import charset_normalizer  # noqa: F401 (slow to import, seldom needed)

        prepare_legacy(data)


def prepare_legacy(_data: bytes = b"") -> None:
    """Import every code page that an old file may name."""
    for encoding in ("utf-8-sig", *_LEGACY):
        codecs.lookup(encoding)


def prepare_named(data: bytes) -> None:
    """Import the codecs that a message names for its parts, and those of `prepare`."""
    named = {(one or other).decode("ascii") for one, other in _CHARSETS.findall(data)}
    # The email package takes the first for headers that are not ASCII.
    for charset in ("raw_unicode_escape", *sorted(named)[:MAX_CHARSETS]):
        with suppress(LookupError):
            codecs.lookup(charset)
    prepare(data)


def decode(data: bytes, declared: str | None = None) -> str:
    """Decode by byte order mark, as UTF-8, as `declared`, or by statistics, in this order.

    Raises:
        Unreadable: It is binary, too large, or its encoding cannot be told.
    """
    if len(data) > MAX_SOURCE:
        raise TooMuchText
    if (wide := wide_encoding(data)) is not None:
        return data.decode(wide, errors="replace")
    if b"\0" in data:
        raise Unreadable(
            "unsupported_format",
            "The file is binary and of no format that Twofold reads; "
            "export it as PDF, DOCX, HTML or text and upload that.",
        )
    if (text := _escaped(data, declared)) is not None:
        return text
    for attempt in (_utf8, lambda raw: _declared(raw, declared), _damaged_utf8, _detected):
        if (text := attempt(data)) is not None:
            return text
    raise Unreadable(
        "corrupt",
        "The character encoding of the file cannot be told; save it as UTF-8 and upload it again.",
    )


def wide_encoding(data: bytes) -> str | None:
    """The Unicode encoding that a mark or the pattern of zeros gives away."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    head = data[:4096]
    half = len(head) // 2
    if len(data) % 2 or half < 2:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 0.7 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.7 * half and odd < 0.1 * half:
        return "utf-16-be"
    if even or odd:
        return next((each for each in ("utf-16-le", "utf-16-be") if _is_text(head, each)), None)
    return None


def _is_text(head: bytes, encoding: str) -> bool:
    """Whether it is letters, marks and spaces; in a wrong byte order or a binary it is not."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    kinds = [unicodedata.category(character) for character in text if character not in "\r\n\t"]
    usual = sum(kind[0] in "LMNPZ" for kind in kinds)
    return any(map(text.count, " \n。、")) and "Cc" not in kinds and usual > 0.97 * len(kinds)


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _declared(data: bytes, encoding: str | None) -> str | None:
    if encoding is None:
        return None
    name = normalize_encoding(encoding).lower()
    name = aliases.get(name, name)
    name = _SUPERSETS.get(name, name)
    return _decoded(data, name) if name in _LEGACY else None


def _escaped(data: bytes, declared: str | None) -> str | None:
    """The 7-bit encodings of East Asia, which are ASCII with escapes and would pass as UTF-8."""
    if b"\x1b$" not in data and b"\x1b(" not in data:
        return None
    named = normalize_encoding(declared or "").lower().replace("-", "_")
    first = "iso2022_kr" if data.startswith(b"\x1b$)C") else "iso2022_jp"
    names = (aliases.get(named, named), first, "iso2022_jp_2", "iso2022_kr")
    attempts = (_decoded(data, name) for name in names if name.startswith("iso2022"))
    return next((text for text in attempts if text is not None), None)


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _damaged_utf8(data: bytes) -> str | None:
    """UTF-8 with a few broken bytes, such as a log cut in mid-character."""
    text = data.decode(errors="replace")
    broken = text.count("\N{REPLACEMENT CHARACTER}")
    return text if len(_MULTIBYTE.findall(data)) > 10 * broken else None


def _detected(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    # Markup is ASCII in all of them: without it the sample is nothing but evidence.
    first = _FOREIGN.search(data)
    start = max(0, first.start() - DETECTION_BYTES // 2) if first else 0
    pieces = _TAGS.split(data[start : start + 4 * DETECTION_BYTES])
    sample = b" ".join(each for each in pieces if not each.isascii())[:DETECTION_BYTES]
    matches = from_bytes(sample, cp_isolation=list(_LEGACY))
    ranked = sorted(
        matches, key=lambda each: (each.chaos, -each.coherence, _LEGACY.index(each.encoding))
    )
    texts = (_decoded(data, match.encoding) for match in ranked)
    return next((text for text in texts if text is not None), None)
