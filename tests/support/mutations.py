"""Damage as it happens and as it is done: what a fuzz run makes of honest files.

Everything comes out of the `Random` that is given, so a seed repeats a run. Half of what is done
to a ZIP container is done to one of its parts before it is packed again: damage to the packed
bytes is seldom more than a wrong checksum.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from random import Random

MAX_BYTES = 400_000
"""Longest outcome; what is longer only makes each case slower."""

_NUMBERS = (b"0", b"-1", b"1", b"65535", b"2147483647", b"4294967296", b"9" * 30, b"1e999", b"")
_TOKENS = (
    b"<", b">", b"</", b"<!--", b"]]>", b"&#0;", b"&#xD800;", b"&a;", b"{", b"}", b"[", b"](", b"|",
    b"\\", b"\\u", b"\0", b"\r", b"\n\n", b"\t", b'"', b"'", b"`", b"```", b"$", b"%", b"--", b"=?",
    b"\xff\xfe", b"\xef\xbb\xbf", "\u202e".encode(), "\u0301".encode(), b"endobj", b"stream",
)  # fmt: skip


def mutated(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """One to four kinds of damage to a file.

    Args:
        data: The file.
        others: Files of its format, to take pieces from.
        random: Decides everything.
    """
    if data.startswith(b"PK\x03\x04") and random.random() < 0.5:
        return _inside(data, others, random)
    for _ in range(random.randint(1, 4)):
        data = random.choice(_KINDS)(data, others, random)[:MAX_BYTES]
    return data


def _inside(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Unpack a container, damage a part or the order of its parts, and pack it again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
    if not parts:
        return data
    for _ in range(random.randint(1, 3)):
        index = random.randrange(len(parts))
        name, content = parts[index]
        match random.randrange(8):
            case 0:
                del parts[index]
            case 1:
                parts[index] = (name, parts[random.randrange(len(parts))][1])
            case _:
                parts[index] = (name, random.choice(_KINDS)(content, others, random))
        if not parts:
            break
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _place(data: bytes, random: Random) -> tuple[int, int]:
    """A stretch of the file, short ones more often than long ones."""
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + 2 ** random.randrange(13))


def _flip(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(random.randint(1, 16)):
        if damaged:
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _overwrite(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _place(data, random)
    return data[:start] + random.randbytes(end - start) + data[end:]


def _remove(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _place(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _place(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 50, 1_000)) + data[end:]


def _cut(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _splice(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(others)
    start, end = _place(other, random)
    place = random.randrange(len(data) + 1)
    return data[:place] + other[start:end] + data[place:]


def _number(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    """Put an extreme number in the place of one that is there."""
    start = random.randrange(len(data) + 1)
    while start < len(data) and not 48 <= data[start] <= 57:
        start += 1
    end = start
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return data[:start] + random.choice(_NUMBERS) + data[end:]


def _token(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + random.choice(_TOKENS) * random.choice((1, 1, 3, 2_000)) + data[place:]


_KINDS: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _flip, _overwrite, _remove, _repeat, _cut, _splice, _number, _token,
)  # fmt: skip
