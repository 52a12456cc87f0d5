"""E-mail (EML) and saved web pages (MHTML): headers as metadata and text, then the body.

Of an alternative in plain text and HTML the plain one is read, unless it says much less. Texts
that are attached are read too; of other attachments the names are kept.
"""

import codecs
import re
from contextlib import suppress
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from itertools import islice

from pipelines.parse import encoding, text, webpage
from pipelines.parse.extract import Builder, Extract, one_line

MEDIA_TYPE = "message/rfc822"

MAX_PARTS = 1_000
MAX_DEPTH = 10
MAX_ATTACHED_TEXT = 1_000_000
PLAIN_SHARE = 0.3
"""Least length of the plain alternative, as a share of the HTML one's, to be read instead."""

HEADERS = {"from": "From", "to": "To", "cc": "Cc", "date": "Date"}

_WEB_PAGE = ("snapshot-content-location", "content-location")
_FLOWED = re.compile(r"(?<!^--) \n(?!>)", re.MULTILINE)

prepare = encoding.prepare_named


def parse(data: bytes) -> Extract:
    """Read one message."""
    message = read(data.removeprefix(codecs.BOM_UTF8).lstrip())
    if _is_page(message):
        page = next(
            (each for each in message.walk() if each.get_content_type() == "text/html"), None
        )
        if page is not None:
            return webpage.from_source(_decoded(page))
    builder = Builder()
    about = add(builder, message, level=1)
    return builder.extract(MEDIA_TYPE, title=about.pop("subject", None), metadata=about)


def read(data: bytes) -> Message:
    """The parts of a message."""
    return BytesParser().parsebytes(data)


def add(builder: Builder, message: Message, *, level: int, depth: int = 0) -> dict[str, str]:
    """Add a message under its subject; returns what its headers say."""
    about = headers(message)
    return add_parts(builder, about, _contents(message, depth), level=level)


@dataclass
class Contents:
    """A message without its headers.

    Attributes:
        plain: The body as plain text.
        html: The body as HTML.
        attached: Names of what is attached.
        texts: Attached texts by name.
        messages: Attached messages.
    """

    plain: str
    html: str
    attached: list[str]
    texts: list[tuple[str, str]]
    messages: list[Message]
    depth: int = 0


def add_parts(
    builder: Builder, about: dict[str, str], contents: Contents, *, level: int
) -> dict[str, str]:
    """Add subject, a line for each header, body and attachments."""
    builder.heading(level, about.get("subject", ""))
    lines = [f"{name}: {about[key]}" for key, name in HEADERS.items() if about.get(key)]
    builder.add("\n".join(lines))
    _add_body(builder, contents)
    above = builder.outline.path
    for name, attached in contents.texts:
        builder.outline.move((*above, name))
        add_plain(builder, attached)
    for each in contents.messages:
        builder.outline.move(above)
        add(builder, each, level=level + 1, depth=contents.depth + 1)
    builder.outline.move(above)
    if contents.attached:
        about["attachments"] = ", ".join(contents.attached)
        builder.add(f"Attachments: {about['attachments']}")
    return about


def headers(message: Message) -> dict[str, str]:
    """Subject, from, to, cc and the date in ISO 8601."""
    raw = {name.lower(): value for name, value in reversed(list(message.raw_items()))}
    found = {key: header(raw.get(key)) for key in ("subject", *HEADERS)}
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        found["date"] = parsedate_to_datetime(found["date"]).isoformat()
    return {key: value for key, value in found.items() if value}


def header(value: object) -> str:
    """A header decoded, in one line; what cannot be decoded stays as it is."""
    if value is None:
        return ""
    raw = str(value)
    if "\udc80" <= max(raw, default="") <= "\udcff":  # bytes that are in no declared encoding
        raw = encoding.decode(raw.encode("ascii", "surrogateescape"))
    try:
        return one_line(str(make_header(decode_header(raw))))
    except (ValueError, LookupError, TypeError, MessageError):
        return one_line(raw)


def add_plain(builder: Builder, source: str) -> None:
    """Add plain text by its paragraphs."""
    for start, end in text.paragraphs(source):
        paragraph = source[start:end]
        if any(map(str.isalnum, paragraph)):  # or it is the marks of quotations alone
            builder.add(paragraph)


def _add_body(builder: Builder, contents: Contents) -> None:
    if contents.html:
        page = webpage.from_source(contents.html)
        if len(contents.plain.strip()) < PLAIN_SHARE * len(page.text):
            builder.splice(page)
            return
    add_plain(builder, contents.plain)


def _is_page(message: Message) -> bool:
    return message.get_content_type() == "multipart/related" and not message.get("to")


def _contents(message: Message, depth: int) -> Contents:
    found = Contents("", "", [], [], [], depth)
    skipped: set[int] = set()
    for part in islice(message.walk(), MAX_PARTS):
        if id(part) in skipped:
            continue
        kind = part.get_content_type()
        if kind == "message/rfc822" and part is not message:
            skipped.update(id(inner) for inner in islice(part.walk(), MAX_PARTS))
            inner = part.get_payload()
            if isinstance(inner, list) and depth < MAX_DEPTH:
                found.messages += [each for each in inner[:1] if isinstance(each, Message)]
        elif not part.is_multipart():
            _take(found, part, kind)
    return found


def _take(found: Contents, part: Message, kind: str) -> None:
    name = header(part.get_filename())
    if name or part.get_content_disposition() == "attachment":
        name = name or "attachment"
        found.attached.append(name)
        if kind in ("text/plain", "text/markdown", "text/csv"):
            found.texts.append((name, _decoded(part)[:MAX_ATTACHED_TEXT]))
    elif kind == "text/html":
        found.html += _decoded(part)
    elif kind == "text/plain":
        plain = _decoded(part)
        if part.get_param("format") == "flowed":
            plain = _FLOWED.sub(" ", plain)
        found.plain += f"\n\n{plain}" if found.plain else plain


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    return encoding.decode(payload, part.get_content_charset()).replace("\r\n", "\n")
