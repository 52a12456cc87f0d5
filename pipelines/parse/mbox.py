"""Mailboxes (mbox): message after message, each under its subject."""

import re
from collections.abc import Iterator

from pipelines.parse import encoding, message
from pipelines.parse.extract import Builder, Extract

MEDIA_TYPE = "application/mbox"

_BEGIN = re.compile(rb"(?:\A|\n\r?\n)From [^\n]*\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)

prepare = encoding.prepare_named


def parse(data: bytes) -> Extract:
    """Read every message; a mailbox of one says of itself what that message does."""
    builder = Builder()
    about: list[dict[str, str]] = []
    for each in _messages(data.lstrip()):
        builder.outline.move(())
        about.append(message.add(builder, message.read(each), level=1))
    single = about[0] if len(about) == 1 else {}
    return builder.extract(MEDIA_TYPE, title=single.pop("subject", None), metadata=single)


def _messages(data: bytes) -> Iterator[bytes]:
    begins = list(_BEGIN.finditer(data))
    ends = [match.start() for match in begins[1:]]
    for match, end in zip(begins, [*ends, len(data)], strict=False):
        yield _QUOTED_FROM.sub(rb"\1", data[match.end() : end])
