"""Every parse in a child of its own: a hostile file costs that child and nothing else.

The child gets the file as an open descriptor, an empty environment and fixed limits, and answers
with JSON on a pipe. Whatever comes back, or does not, becomes a `Parsed` or a `ParseError`.
"""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipelines.parse import text as plain_text
from pipelines.parse.extract import TooMuchText
from pipelines.ports import Block, BlockKind, Parsed
from twofold.errors import ParseError, ParseFailure

log = logging.getLogger(__name__)

DECODED = "text/plain; charset=utf-8"
"""The media type of text that came as JSON: the server encoded it itself, nothing is parsed."""

_CHILD = Path(__file__).with_name("child.py")
_ROOT = str(_CHILD.parents[2])
_READ_BYTES = 1 << 20


class _Success(BaseModel):
    """What the child says of a file that it could read; see `child.py`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    paths: list[list[str]]
    blocks: list[tuple[int, int, BlockKind, int, int | None, int]]
    media_type: str
    title: str | None
    metadata: dict[str, str]


class _Failure(BaseModel):
    """What the child says of a file that it could not read."""

    model_config = ConfigDict(extra="forbid", strict=True)

    failure: ParseFailure
    message: str


_ANSWER: TypeAdapter[_Success | _Failure] = TypeAdapter(_Success | _Failure)


class _Ended(NamedTuple):
    """How a child ended."""

    output: bytes
    status: int
    overdue: bool = False
    flooded: bool = False


class SandboxedParser:
    """A `pipelines.ports.Parser` that runs one confined child process per file.

    Args:
        memory_bytes: Address space of a child.
        cpu_s: Processor time of a child in seconds.
        wall_s: Seconds from start to answer.
        output_bytes: Longest answer, text and structure together.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 1_000_000_000,
        cpu_s: int = 20,
        wall_s: float = 30.0,
        output_bytes: int = 20_000_000,
    ) -> None:
        self._limits = {"memory_bytes": memory_bytes, "cpu_s": cpu_s, "wall_s": wall_s}
        self._wall_s = wall_s
        self._output_bytes = output_bytes

    def parse(self, path: Path, *, name: str, media_type: str | None) -> Parsed:
        """See `pipelines.ports.Parser.parse`."""
        if path.stat().st_size == 0:
            raise ParseError("empty", "The file is empty; upload it again with its content.")
        if media_type == DECODED and (parsed := self._decoded(path)) is not None:
            return parsed
        ended = self._run(path, suffix=Path(name).suffix[:16], media_type=media_type)
        answer = self._answer(ended)
        if isinstance(answer, _Failure):
            raise self._error(answer)
        if not answer.text.strip():
            raise ParseError("empty", "The file holds no text; check that it is the right one.")
        return _parsed(answer)

    def _decoded(self, path: Path) -> Parsed | None:
        """Text that is known to be UTF-8 needs no parser and so no child; None: it is not."""
        data = path.read_bytes()
        if len(data) > self._output_bytes:
            raise self._flood()
        try:
            extract = plain_text.from_text(data.decode())
        except UnicodeDecodeError:
            return None
        except TooMuchText:
            raise self._flood() from None
        if not extract.blocks:
            raise ParseError("empty", "The text is blank; send it again with its content.")
        blocks = tuple(Block(each.start, each.end) for each in extract.blocks)
        return Parsed(extract.text, blocks, extract.media_type)

    def _run(self, path: Path, *, suffix: str, media_type: str | None) -> _Ended:
        order = {
            "path": [_ROOT, *filter(None, sys.path)],
            "limits": self._limits,
            "suffix": suffix,
            "media_type": media_type,
        }
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_CHILD), json.dumps(order)]
        deadline = time.monotonic() + self._wall_s
        with path.open("rb") as file:
            try:
                child = subprocess.Popen(
                    command,
                    stdin=file,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise ParseError(
                    "parser_crashed",
                    f"The parser could not be started ({error.strerror}); try again.",
                    retryable=True,
                ) from error
        return _await(child, deadline, self._output_bytes)

    def _answer(self, ended: _Ended) -> _Success | _Failure:
        if ended.flooded:
            raise self._flood()
        if ended.overdue or -ended.status in (signal.SIGXCPU, signal.SIGALRM):
            raise ParseError(
                "parser_timeout",
                f"Reading the file took longer than {self._wall_s:g} s, or "
                f"{self._limits['cpu_s']} s of computing; split it or save it in a simpler form.",
                retryable=True,
            )
        try:
            return _ANSWER.validate_json(ended.output)
        except ValidationError:
            log.warning("a parser ended with status %d and no answer", ended.status)
            raise _crash() from None

    def _error(self, answer: _Failure) -> ParseError:
        match answer.failure:
            case "parser_memory":
                return ParseError(
                    "parser_memory",
                    f"Reading the file took more than {self._limits['memory_bytes'] / 1e6:.0f} MB "
                    "of memory; split it or save it in a simpler form.",
                )
            case "parser_crashed":
                log.warning("a parser failed: %s", answer.message)
                return _crash()
        return ParseError(answer.failure, answer.message)

    def _flood(self) -> ParseError:
        return ParseError(
            "too_large",
            f"The file holds more than {self._output_bytes / 1e6:.0f} MB of text; "
            "split it and upload the parts.",
        )


def _await(child: subprocess.Popen[bytes], deadline: float, limit: int) -> _Ended:
    """Read the answer until it ends, is too long or is overdue; no child outlives this call."""
    assert child.stdout is not None  # noqa: S101 (narrows the type; it was opened as a pipe)
    output = bytearray()
    try:
        with child.stdout as pipe:
            poll = select.poll()
            poll.register(pipe, select.POLLIN)
            while poll.poll(max(0.0, deadline - time.monotonic()) * 1e3):
                part = os.read(pipe.fileno(), _READ_BYTES)
                output += part
                if len(output) > limit:
                    return _Ended(b"", 0, flooded=True)
                if not part:
                    status = child.wait(max(0.0, deadline - time.monotonic()))
                    return _Ended(bytes(output), status)
        return _Ended(b"", 0, overdue=True)
    except subprocess.TimeoutExpired:
        return _Ended(b"", 0, overdue=True)
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _parsed(answer: _Success) -> Parsed:
    """Check that the structure fits the text: a child that was taken over may say anything."""
    paths = [tuple(path) for path in answer.paths]
    blocks: list[Block] = []
    previous = 0
    for start, end, kind, path, page, lead in answer.blocks:
        if not (
            previous <= start < end <= len(answer.text)
            and 0 <= path < len(paths)
            and 0 <= lead < end - start
        ):
            raise _crash()
        blocks.append(Block(start, end, kind, paths[path], page, lead))
        previous = end
    return Parsed(answer.text, tuple(blocks), answer.media_type, answer.title, answer.metadata)


def _crash() -> ParseError:
    return ParseError(
        "parser_crashed",
        "The parser broke on this file, which happens with damaged files; "
        "open it, save it anew and upload that.",
        retryable=True,
    )
