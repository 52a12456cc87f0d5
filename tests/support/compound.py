"""Compound files (OLE) with given streams, as Office wrote them before 2007 and Outlook does."""

import struct
from collections.abc import Mapping

SECTOR = 512
SMALLEST = 4096  # below it a stream would lie in the miniature stream, which tests do without
FREE, END, FAT, NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
STORAGE, STREAM, ROOT = 1, 2, 5


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file; `/` in a name divides storages, and zeros fill short streams up."""
    tree: dict[str, list[str]] = {"": []}
    for path in streams:
        parts = path.split("/")
        for depth in range(len(parts)):
            parent, name = "/".join(parts[:depth]), "/".join(parts[: depth + 1])
            children = tree.setdefault(parent, [])
            if name not in children:
                children.append(name)
    names = [name for children in tree.values() for name in children]
    place = {name: index + 1 for index, name in enumerate(names)}

    sectors: list[bytes] = []
    chain: list[int] = []

    def store(data: bytes) -> int:
        start = len(sectors)
        count = -(-len(data) // SECTOR)
        padded = data.ljust(count * SECTOR, b"\0")
        sectors.extend(padded[n * SECTOR : (n + 1) * SECTOR] for n in range(count))
        chain.extend([*range(start + 1, start + count), END])
        return start

    starts = {name: store(data.ljust(SMALLEST, b"\0")) for name, data in streams.items()}

    def entry(name: str, kind: int, child: int, sibling: int, start: int, size: int) -> bytes:
        raw = name.rpartition("/")[2].encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBBIII16sIQQIQ",
            *(raw, len(raw), kind, 1, NONE, sibling, child, b"", 0, 0, 0, start, size),
        )

    def first(name: str) -> int:
        return place[tree[name][0]] if tree.get(name) else NONE

    directory = [entry("Root Entry", ROOT, first(""), NONE, END, 0)]
    for children in tree.values():
        for index, name in enumerate(children):
            sibling = place[children[index + 1]] if index + 1 < len(children) else NONE
            if name in streams:
                size = max(SMALLEST, len(streams[name]))
                directory.append(entry(name, STREAM, NONE, sibling, starts[name], size))
            else:
                directory.append(entry(name, STORAGE, first(name), sibling, 0, 0))
    directory_start = store(b"".join(directory))
    fat_start = len(sectors)
    fat_sectors = 1
    while fat_sectors * (SECTOR // 4) < fat_start + fat_sectors:
        fat_sectors += 1
    table = [*chain, *[FAT] * fat_sectors]
    table += [FREE] * (fat_sectors * (SECTOR // 4) - len(table))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII",
        *(bytes.fromhex("d0cf11e0a1b11ae1"), b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, fat_sectors),
        *(directory_start, 0, SMALLEST, END, 0, END, 0),
    )
    difat = [*range(fat_start, fat_start + fat_sectors)]
    header += struct.pack("<109I", *difat, *[FREE] * (109 - len(difat)))
    return header + b"".join(sectors) + struct.pack(f"<{len(table)}I", *table)
