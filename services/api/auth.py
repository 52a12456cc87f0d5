"""Who asks, and whether they may: decided from the headers alone, before a body is read.

With a keys file, a request needs a key that it names; the tenant is the key's and is never read
from anything else that the request says. Without one, the process listens on the loopback address
only, and everybody on the machine is the tenant `local`.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.api.errors import response_of
from services.api.page import ASSETS
from services.api.quotas import Quotas
from twofold.apikeys import KeyFile, StoredKey, id_of
from twofold.errors import ConfigurationError, Forbidden, TwofoldError, Unauthenticated
from twofold.schema import ApiScope

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at the keys file: a revoked key works no longer than this."""

OPEN = frozenset({"/healthz", "/readyz", "/health"})
"""Paths that answer without a key, because what asks is a load balancer. They tell a stranger
nothing about documents. `/docs` is not among them: its scripts come from another site, and it has
a field to type a key into."""

READING_POSTS = frozenset(
    {
        "/search",
        "/search/batch",
        "/mcp",
        "/retrieval",
        "/v2/rerank",
        "/v1/rerank",
        "/rerank",
        "/v1/score",
        "/score",
        "/v1/embeddings",
        "/embed",
        "/",
        "/tokenize",
        "/embedder",
    }
)
"""Paths whose POST changes nothing, so that it needs no more than the scope `read`."""

READING_BASES = frozenset({"embedder", "reranker", "engines"})
"""Below these there are the models alone."""

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
"""How a key travels, for the OpenAPI document."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        key_id: None where no key is asked for.
    """

    tenant: str
    scopes: frozenset[ApiScope]
    key_id: str | None = None


LOCAL = Caller("local", frozenset({"read", "write", "admin"}))
"""Everybody, on a server without keys."""


class Doorkeeper(Protocol):
    """Tells who asks by what the request carries."""

    @property
    def file(self) -> KeyFile | None:
        """Where the keys are; None where none is asked for."""
        ...

    def caller(self, headers: Headers) -> Caller | None:
        """Who it is; None for a stranger."""
        ...

    def look_again(self) -> None:
        """Let the next request see what this process has just changed in the file."""
        ...


class OpenDoor:
    """Lets everybody in: for a server that only its own machine can reach."""

    file: KeyFile | None = None

    def caller(self, headers: Headers) -> Caller:  # noqa: ARG002 - nothing is asked for
        return LOCAL

    def look_again(self) -> None:
        pass


class Keyring:
    """Knows the keys of a file, and looks whether it has changed.

    A file that cannot be read any more leaves the keys as they were, with an error in the log: a
    slip of an editor does not lock everybody out. To lock everybody out, leave an empty list.

    Raises:
        ConfigurationError: The file cannot be read at the start.
    """

    def __init__(self, file: KeyFile) -> None:
        self.file = file
        self._state = state_of(file.path)
        self._keys = by_id(file)
        self._next_look = time.monotonic() + LOOK_S
        warn_of_others(file.path)
        if not self._keys:
            log.warning("the keys file %s holds no key, so nobody is let in", file.path)

    def caller(self, headers: Headers) -> Caller | None:
        self._look()
        now = datetime.now(UTC)
        for key in offered(headers):
            known = self._keys.get(id_of(key) or "")
            if known is not None and known.opens(key) and known.valid(now):
                return Caller(known.tenant, frozenset(known.scopes), known.id)
        return None

    def look_again(self) -> None:
        self._next_look = 0.0

    def _look(self) -> None:
        """Read the file again if it is another one than last time; costs one `stat` a second."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        state = state_of(self.file.path)
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = by_id(self.file)
        except ConfigurationError as error:
            log.error("%s The keys stay as they were.", error.message)  # noqa: TRY400
        else:
            log.info("read %d API keys from %s", len(self._keys), self.file.path)


def doorkeeper(path: Path | None) -> Doorkeeper:
    """The one for a keys file, or for a server without.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    return OpenDoor() if path is None else Keyring(KeyFile(path))


def offered(headers: Headers) -> Iterator[str]:
    """The keys that a request carries, in the places where clients put them.

    `Authorization: Bearer` is ours and most others'; `X-API-Key` leaves that header to a proxy;
    `api-key` is what clients of Azure send.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield credentials.strip()
    for name in ("x-api-key", "api-key"):
        if key := headers.get(name):
            yield key.strip()


def by_id(file: KeyFile) -> dict[str, StoredKey]:
    """The keys of a file."""
    return {key.id: key for key in file.read()}


def state_of(path: Path) -> tuple[int, ...] | None:
    """What changes when a file, or what a link points to, is replaced or written."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def warn_of_others(path: Path) -> None:
    """Say so in the log when others on the machine could change who is let in."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o022:
        log.warning("others can write the keys file %s (mode %o): chmod 600 it", path, mode)
    elif mode & 0o044:
        log.info("others can read the keys file %s (mode %o); it holds hashes only", path, mode)


def is_open(method: str, path: str) -> bool:
    """Whether a stranger is answered: a load balancer, or a browser that fetches the page.

    The page holds nothing of anybody; a POST to its address is a request of a client of TEI.
    """
    return path in OPEN or (path in ASSETS and method in {"GET", "HEAD"})


def scope_of(method: str, path: str) -> ApiScope | None:
    """What a key must be allowed to do for a request; None where none is needed.

    By the path and not by the route, because this is asked before anything of the application
    sees the request. What nobody has thought of needs `write`.
    """
    if is_open(method, path):
        return None
    if path.split("/")[1:2] == ["keys"]:
        return "admin"
    base, *below = path.split("/")[1:]
    reads = path in READING_POSTS or (base in READING_BASES and below)
    if method in {"GET", "HEAD"} or (method == "POST" and reads):
        return "read"
    return "write"


class Gate:
    """Lets a request through with `request.state.caller` set, or answers 401, 403 or 429.

    Args:
        app: What comes behind.
        door: Knows who asks.
        quotas: Knows how much a tenant may ask.
    """

    def __init__(self, app: ASGIApp, door: Doorkeeper, quotas: Quotas) -> None:
        self.app = app
        self.door = door
        self.quotas = quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with its body unread."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller = scope["state"]["caller"] = self.door.caller(Headers(scope=scope))
        try:
            if needed := scope_of(scope["method"], scope["path"]):
                await self.quotas.admit_request(entitled(caller, needed).tenant)
        except TwofoldError as refused:
            await response_of(refused, scope["state"]["request_id"])(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def entitled(caller: Caller | None, needed: ApiScope) -> Caller:
    """The caller, if it may do what needs that scope.

    Raises:
        Unauthenticated: Nobody knows who it is.
        Forbidden: It may not.
    """
    if caller is None:
        raise Unauthenticated
    if needed not in caller.scopes:
        raise Forbidden(scope=needed)
    return caller


def declare(document: Mapping[str, dict[str, dict[str, dict[str, object]]]]) -> None:
    """Say in the OpenAPI document which operation needs a key, and with which scope."""
    document["components"]["securitySchemes"] = SCHEMES  # type: ignore[assignment]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            needed = scope_of(method.upper(), path)
            operation["security"] = [{name: [needed]} for name in SCHEMES] if needed else []
