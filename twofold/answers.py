"""What the server answers: a response becomes a model, or the error that the server raised."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from twofold.calls import Answer, Call
from twofold.errors import ConnectionFailed, TwofoldError, UnexpectedResponse, from_body
from twofold.schema import Document, ErrorBody

_LONGEST_EVENT = 1_000_000  # bytes; a document's row has a few thousand


def read(call: Call[Answer], response: httpx.Response) -> Answer:
    """The answer in a response whose body has been read.

    Raises:
        TwofoldError: The class that the server raised.
        UnexpectedResponse: The body is not Twofold's.
    """
    if not response.is_success and response.status_code not in call.also:
        raise failure(response)
    try:
        return call.answer.model_validate_json(response.content)
    except ValidationError:
        raise failure(response) from None


def failure(response: httpx.Response) -> TwofoldError:
    """The error that a response which is not a success carries."""
    try:
        body = ErrorBody.model_validate_json(response.content)
    except ValidationError:
        return _unexpected(response)
    return from_body(body.error.model_dump(), retry_after=_retry_after(response))


class Events:
    """Reads the server-sent events of one document as their bytes come in.

    The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    _EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
    _LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would also split inside the JSON

    def __init__(self, url: str) -> None:
        self._url = url
        self._rest = b""
        self.done = False

    def feed(self, chunk: bytes) -> Iterator[Document]:
        """The states that this piece completes; `done` is set by a final one.

        Raises:
            UnexpectedResponse: The stream is not of documents.
        """
        *complete, self._rest = self._EVENT_END.split(self._rest + chunk)
        if len(self._rest) > _LONGEST_EVENT:
            raise self._unexpected(self._rest)
        for event in complete:
            lines = self._LINE_END.split(event.decode(errors="replace"))
            data = "\n".join(line[5:].lstrip(" ") for line in lines if line.startswith("data:"))
            if data and "event: document" in lines:
                try:
                    state = Document.model_validate_json(data)
                except ValidationError:
                    raise self._unexpected(event) from None
                self.done = state.final
                yield state

    def end(self) -> None:
        """Raises ConnectionFailed when the stream broke off before a final state."""
        if not self.done:
            raise ConnectionFailed(url=self._url, reason="the stream of events broke off")

    def _unexpected(self, received: bytes) -> UnexpectedResponse:
        excerpt = received[:200].decode(errors="replace")
        return UnexpectedResponse(url=self._url, status=200, excerpt=excerpt)


def _unexpected(response: httpx.Response) -> UnexpectedResponse:
    excerpt = " ".join(response.text[:400].split())
    return UnexpectedResponse(
        url=str(response.url), status=response.status_code, excerpt=excerpt[:200] or "nothing"
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from either form of the header (RFC 9110, section 10.2.3)."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without its zone
        return None
