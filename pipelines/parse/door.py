"""A first look at a file before it is accepted: refuse at once what no parser will ever read.

It looks at the first bytes alone, in the process that has them. What takes a look inside (archives,
office documents) passes here and is judged in the sandbox.
"""

from pathlib import PurePath

from pipelines.parse.detect import detect
from pipelines.parse.extract import Unreadable

HEAD_BYTES = 65_536
CONTAINERS = (b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1"))


def refusal(head: bytes, *, name: str, media_type: str | None) -> str | None:
    """The sentence that refuses a file by its first bytes, or None.

    Args:
        head: Up to `HEAD_BYTES` of it.
        name: What the caller calls it; its ending is a hint.
        media_type: What the caller claims.
    """
    if head.startswith(CONTAINERS):
        return None
    try:
        detect(head, suffix=PurePath(name).suffix[:16], media_type=media_type)
    except Unreadable as unreadable:
        return unreadable.message if unreadable.failure == "unsupported_format" else None
    return None
