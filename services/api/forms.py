"""A multipart form, read as it arrives: fields in memory, files on disk, each under its own cap.

Nothing is kept of a file that is over its cap or that no parser reads: the rest of it is counted
and let go. So the disk holds at most what is going to be accepted, and memory one chunk.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pipelines.parse.door import HEAD_BYTES, refusal
from twofold import errors
from twofold.errors import TwofoldError
from twofold.names import document_name

MAX_FILES = 1_000
MAX_FIELDS = 8
MAX_FIELD_BYTES = 1_000_000


@dataclass
class FormFile:
    """A file of a form.

    Attributes:
        key: The field that it came in.
        path: Where its content lies, unless it is refused.
        size: Bytes that came, also of what was not kept.
    """

    key: str
    name: str
    media_type: str
    path: Path
    size: int = 0
    sha256: str = ""
    refused: TwofoldError | None = None


@dataclass
class Form:
    """What a form held."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[FormFile] = field(default_factory=list)


class FormReader:
    """Takes the chunks of a body one after the other. Blocking: call it from a thread.

    Args:
        content_type: The header of the request.
        folder: Where files go; removing it is the caller's business.
        cap: Bytes that a single file may have.

    Raises:
        MalformedRequest: The header names no boundary.
    """

    def __init__(self, content_type: str, *, folder: Path, cap: int) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise errors.MalformedRequest(reason="its content type names no boundary")
        self.form = Form()
        self._folder = folder
        self._cap = cap
        self._ended = False
        self._part: _Field | FileWriter = _Field("")
        self._header = [b"", b""]
        self._headers: dict[str, bytes] = {}
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._extend(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._extend(1, data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": lambda data, start, end: self._part.write(data[start:end]),
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise errors.MalformedRequest(reason=str(error)) from None

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk.

        Raises:
            MalformedRequest: This is no multipart form.
            InvalidRequest: It has too many parts, or a field that is too long.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise errors.MalformedRequest(reason=f"the form is broken ({error})") from None

    def finish(self) -> Form:
        """The form, after the last chunk.

        Raises:
            MalformedRequest: The body ended before the form did.
        """
        if not self._ended:
            raise errors.MalformedRequest(reason="the form ends in the middle; send it again")
        return self.form

    def close(self) -> None:
        """Let go of the file that is being written, if there is one."""
        self._part.close()

    def _begin(self) -> None:
        self._headers = {}

    def _extend(self, which: int, part: bytes) -> None:
        self._header[which] += part

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[name.decode("latin-1").lower()] = value
        self._header = [b"", b""]

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        if b"name" not in options:
            raise errors.MalformedRequest(reason="a part of the form has no name")
        key = options[b"name"].decode(errors="replace")
        if b"filename" not in options:
            self._part = _Field(key)
            return
        if len(self.form.files) == MAX_FILES:
            raise errors.InvalidRequest(
                field="files", reason=f"there are more than {MAX_FILES}; send several requests"
            )
        media_type = self._headers.get("content-type", b"application/octet-stream")
        file = FormFile(
            key,
            document_name(options[b"filename"].decode(errors="replace")),
            media_type.decode("latin-1"),
            self._folder / str(len(self.form.files)),
        )
        self.form.files.append(file)
        self._part = FileWriter(file, self._cap)

    def _end_part(self) -> None:
        self._part.close()
        if isinstance(self._part, _Field):
            self.form.fields[self._part.key] = self._part.value.decode(errors="replace")
            if len(self.form.fields) > MAX_FIELDS:
                raise errors.InvalidRequest(field="form", reason="it has too many fields")

    def _end(self) -> None:
        self._ended = True


class _Field:
    """A part that is a value."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.value = bytearray()

    def write(self, data: bytes) -> None:
        self.value += data
        if len(self.value) > MAX_FIELD_BYTES:
            raise errors.InvalidRequest(
                field=self.key, reason=f"it is longer than {MAX_FIELD_BYTES} bytes"
            )

    def close(self) -> None:
        """Nothing is open."""


class FileWriter:
    """A part that is a file: looked at once its beginning is there, then written out."""

    def __init__(self, file: FormFile, cap: int) -> None:
        self._file = file
        self._cap = cap
        self._head: bytes | None = b""
        self._hash = hashlib.sha256()
        self._target: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        self._file.size += len(data)
        if self._file.refused is not None:
            return
        if self._file.size > self._cap:
            self._refuse(_too_large(self._file, self._cap))
        elif self._head is None:
            self._keep(data)
        else:
            self._head += data
            if len(self._head) >= HEAD_BYTES:
                self._judge()

    def close(self) -> None:
        if self._head is not None and self._file.refused is None:
            self._judge()
        if self._target is not None:
            self._target.close()
            self._target = None
        self._file.sha256 = self._hash.hexdigest()
        if self._file.refused is not None and self._file.size > self._cap:
            self._file.refused = _too_large(self._file, self._cap)  # now its size is known

    def _judge(self) -> None:
        """Refuse what no parser reads by its first bytes."""
        head, self._head = self._head or b"", None
        name, media_type = self._file.name, self._file.media_type
        if not head:
            self._refuse(
                errors.InvalidRequest(
                    field=name, reason="the file is empty; there is nothing in it"
                )
            )
        elif sentence := refusal(head[:HEAD_BYTES], name=name, media_type=media_type):
            self._refuse(errors.UnsupportedFormat(f"'{name}': {sentence}", name=name))
        else:
            self._target = self._file.path.open("wb")
            self._keep(head)

    def _keep(self, data: bytes) -> None:
        self._hash.update(data)
        if self._target is not None:
            self._target.write(data)

    def _refuse(self, error: TwofoldError) -> None:
        self._file.refused = error
        self._head = None
        if self._target is not None:
            self._target.close()
            self._target = None
            self._file.path.unlink()


def _too_large(file: FormFile, cap: int) -> errors.TooLarge:
    return errors.TooLarge(
        what=f"The file '{file.name}'",
        size=file.size,
        limit=cap,
        advice="split it, or raise TWOFOLD_MAX_UPLOAD_BYTES.",
    )
