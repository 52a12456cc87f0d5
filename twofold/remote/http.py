"""JSON over HTTP with one deadline for a call and all its retries."""

import json
import logging
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from twofold.errors import ConfigurationError, ModelUnavailable
from twofold.remote.dialects import Body

MAX_REPLY_BYTES = 256 * 1024 * 1024
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
LOOK_UP_S = 5.0
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0

# How servers say that a batch or a text is over a cap: TEI with 413, vLLM, OpenAI, Cohere and
# Voyage with 400 or 422 and words, llama.cpp with 500 and words.
_TOO_LARGE = {
    413: re.compile(""),
    400: re.compile(r"too (large|many|long)|maximum|at most|exceed|batch size", re.IGNORECASE),
    422: re.compile(r"too (large|many|long)|maximum|at most|exceed|batch size", re.IGNORECASE),
    500: re.compile(r"too (large|long)", re.IGNORECASE),
}

log = logging.getLogger(__name__)


class TooMuch(Exception):
    """The server refuses the request for its size: send less of it."""


class _Transient(Exception):
    """It did not work and may work in a moment."""

    def __init__(
        self, reason: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class JsonClient:
    """Calls one model server; every failure becomes one sentence without secrets.

    Args:
        url: Base URL, for messages.
        role: "reranker" or "embedder", for messages.
        timeout: Seconds for a call, retries and pauses included.
        retries: Further tries after a lost connection or a transient status.
        transport: Replaces the network in tests.
        sleep: Replaces the pause between tries in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        role: str,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url
        self._role = role
        self._secret = _checked(api_key)
        self._timeout = timeout
        self._retries = retries
        self._sleep = sleep
        self._http = httpx.Client(
            transport=transport,
            headers={"Authorization": f"Bearer {self._secret}"} if self._secret else None,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, url: str) -> object:
        """Fetch JSON in one short try: what a server says of itself is worth no waiting.

        Raises:
            ModelUnavailable: As `post` does.
        """
        deadline = time.monotonic() + min(self._timeout, LOOK_UP_S)
        try:
            return self._once("GET", url, None, deadline)
        except (_Transient, TooMuch) as fault:
            raise self.unavailable(str(fault), status=getattr(fault, "status", None)) from None

    def post(self, url: str, body: Body) -> object:
        """Send JSON and read JSON.

        Raises:
            TooMuch: The server refuses the size of the request.
            ModelUnavailable: Anything else that is not a JSON answer with status 2xx; its detail
                `status` is the HTTP status, where there was one.
        """
        # A lone surrogate has no UTF-8 form; the model gets a question mark in its place.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return self._patiently("POST", url, content)

    def unavailable(
        self, reason: str, *, status: int | None = None, retry_after: float | None = None
    ) -> ModelUnavailable:
        """The error that says what is the matter with this server."""
        return ModelUnavailable(
            retry_after=retry_after, role=self._role, url=self._url, reason=reason, status=status
        )

    def _patiently(self, method: str, url: str, content: bytes) -> object:
        deadline = time.monotonic() + self._timeout
        attempt = 0
        while True:
            try:
                return self._once(method, url, content, deadline)
            except _Transient as fault:
                pause = max(fault.retry_after or 0.0, _backoff(attempt))
                if attempt == self._retries or time.monotonic() + pause >= deadline:
                    raise self.unavailable(
                        f"{fault} (tried {attempt + 1} times)" if attempt else str(fault),
                        status=fault.status,
                        retry_after=fault.retry_after,
                    ) from None
                log.info(
                    "The %s at %s: %s; next try in %.1f s", self._role, self._url, fault, pause
                )
            self._sleep(pause)
            attempt += 1

    def _once(self, method: str, url: str, content: bytes | None, deadline: float) -> object:
        left = max(deadline - time.monotonic(), 0.001)
        try:
            with self._http.stream(
                method,
                url,
                content=content,
                headers={"Content-Type": "application/json"} if content is not None else None,
                timeout=left,
            ) as response:
                data = self._read(response, deadline)
        except httpx.TimeoutException:
            raise _Transient(f"no answer within {self._timeout:g} s") from None
        except httpx.RequestError as error:
            raise _Transient(str(error) or type(error).__name__) from None
        return self._judge(response, data)

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        """The whole body; httpx bounds the wait for each piece, this bounds them together."""
        data = bytearray()
        for piece in response.iter_bytes():
            data += piece
            if len(data) > MAX_REPLY_BYTES:
                raise self.unavailable("its answer is larger than 256 MiB")
            if time.monotonic() > deadline:
                raise _Transient(f"no whole answer within {self._timeout:g} s")
        return bytes(data)

    def _judge(self, response: httpx.Response, data: bytes) -> object:
        status = response.status_code
        if response.is_success:
            try:
                return json.loads(data)
            except ValueError:
                raise self.unavailable("its answer is not JSON", status=status) from None
        words = self._excerpt(data)
        if status in _TOO_LARGE and _TOO_LARGE[status].search(words):
            raise TooMuch(f"{_named(status)}: {words}")
        if status in TRANSIENT:
            raise _Transient(
                f"{_named(status)}: {words}", status, _seconds(response.headers.get("Retry-After"))
            )
        if status in (401, 403):
            raise self.unavailable(
                f"{_named(status)}; name the environment variable that holds its key "
                "with ?key_env=NAME",
                status=status,
            )
        raise self.unavailable(f"{_named(status)}: {words}", status=status)

    def _excerpt(self, data: bytes, limit: int = 200) -> str:
        """The beginning of an explanation, without the key if the server repeats it."""
        text = " ".join(data[:10_000].decode("utf-8", "replace").split())
        if self._secret:
            text = text.replace(self._secret, "***")
        return text[:limit] or "no explanation"


def _checked(api_key: str | None) -> str | None:
    """A key as a header can carry it; files and shells like to add a line end."""
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            setting="the API key", reason="it holds characters that a header cannot carry"
        )
    return key or None


def _named(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _backoff(attempt: int) -> float:
    """Doubling pauses, spread by half so that callers do not come back in step."""
    return float(min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)) * random.uniform(0.5, 1.0)  # noqa: S311


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` as seconds from now; it comes as a number or as a date."""
    if retry_after is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", retry_after.strip()):
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max((when.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
