"""Every parse in a child of its own: a hostile file costs that child and nothing else.

The child gets the file as an open descriptor, an empty environment and fixed limits, and answers
with JSON on a pipe. Whatever comes back, or does not, becomes a `Parsed` or a `ParseError`.
"""

import logging
import signal
import time
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipelines.parse import confine
from pipelines.parse import text as plain_text
from pipelines.parse.extract import TooMuchText
from pipelines.parse.nursery import ZYGOTE, Ended, Lost, Nursery
from pipelines.ports import Block, BlockKind, Parsed
from twofold.errors import ParseError, ParseFailure

log = logging.getLogger(__name__)

DECODED = "text/plain; charset=utf-8"
"""The media type of text that came as JSON: the server encoded it itself, nothing is parsed."""

MAX_MEDIA_TYPE = 255
MUCH_MEMORY = 0.7
"""Share of its memory with which a child that crashes has most likely crashed for want of it."""


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


class SandboxedParser:
    """A `pipelines.ports.Parser` that runs one confined child process per file.

    Args:
        memory_bytes: Address space of a child.
        cpu_s: Processor time of a child in seconds.
        wall_s: Seconds from start to answer.
        output_bytes: Longest answer, text and structure together.
        ocr: Languages in which PDFs are read by OCR; None: they are read by their text.
        script: The program that the children are forked from.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 1_000_000_000,
        cpu_s: int = 20,
        wall_s: float = 30.0,
        output_bytes: int = 20_000_000,
        ocr: str | None = None,
        script: Path = ZYGOTE,
    ) -> None:
        self._limits = confine.Limits(memory_bytes, cpu_s, wall_s)
        self._output_bytes = output_bytes
        self._ocr = ocr
        self._nursery = Nursery(self._limits, script=script)
        for fence in confine.missing():
            log.warning("parsers are confined less than they should be: %s", fence)

    def close(self) -> None:
        """End what it runs; nothing can be parsed afterwards."""
        self._nursery.close()

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

    def _run(self, path: Path, *, suffix: str, media_type: str | None) -> Ended:
        order = {
            "suffix": suffix,
            "media_type": media_type and media_type[:MAX_MEDIA_TYPE],
            "ocr": self._ocr,
        }
        deadline = time.monotonic() + self._limits.wall_s
        for _ in range(2):
            with suppress(Lost):
                return self._nursery.run(
                    path, order, deadline=deadline, output_bytes=self._output_bytes
                )
        raise ParseError(
            "parser_crashed", "The parser could not be started; try again.", retryable=True
        )

    def _answer(self, ended: Ended) -> _Success | _Failure:
        if ended.flooded:
            raise self._flood()
        if self._is_overdue(ended):
            raise ParseError(
                "parser_timeout",
                f"Reading the file took longer than {self._limits.wall_s:g} s, or "
                f"{self._limits.cpu_s} s of computing; split it or save it in a simpler form.",
                retryable=True,
            )
        if ended.status == -signal.SIGKILL:  # and not by us
            raise self._memory("the machine had left")
        if ended.status < 0 and ended.peak_bytes > MUCH_MEMORY * self._limits.memory_bytes:
            # Libraries in C seldom say so: they abort, or follow the pointer that they did not get.
            raise self._memory(f"{self._limits.memory_bytes / 1e6:.0f} MB")
        try:
            return _ANSWER.validate_json(ended.output)
        except ValidationError:
            log.warning("a parser ended with status %d and no answer", ended.status)
            raise _crash() from None

    def _error(self, answer: _Failure) -> ParseError:
        match answer.failure:
            case "parser_memory":
                return self._memory(f"{self._limits.memory_bytes / 1e6:.0f} MB")
            case "parser_crashed":
                log.warning("a parser failed: %s", answer.message)
                return _crash()
        return ParseError(answer.failure, answer.message)

    def _is_overdue(self, ended: Ended) -> bool:
        if ended.overdue or -ended.status in (signal.SIGXCPU, signal.SIGALRM):
            return True
        return ended.status == -signal.SIGKILL and ended.cpu_s >= self._limits.cpu_s

    def _memory(self, limit: str) -> ParseError:
        return ParseError(
            "parser_memory",
            f"Reading the file took more memory than {limit}; split it or save it in a simpler "
            "form.",
        )

    def _flood(self) -> ParseError:
        return ParseError(
            "too_large",
            f"The file holds more than {self._output_bytes / 1e6:.0f} MB of text; "
            "split it and upload the parts.",
        )


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
