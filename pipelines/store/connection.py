"""The way to a Qdrant server: one client per event loop, a deadline on every call, clear errors.

Three ways in which a server can be missing are told apart, because they are mended in three
places: it is down (nobody answers at the address), it is slow (somebody listens and does not
answer in time), or it is wrong (another key, too old a version, something that is not Qdrant).
A server that is not there at the start is not fatal: every call tries again.
"""

import asyncio
import json
import random
import re
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import grpc
import httpx
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from pipelines.ports import Health
from twofold.errors import ServiceError, StorageFull, TwofoldError, Unavailable

T = TypeVar("T")
Call: TypeAlias = Callable[[AsyncQdrantClient], Awaitable[T]]

OLDEST = (1, 20)
"""The first version with everything that is asked of it: conditional updates (1.16), the corpus
of a query's IDF (1.19), substring matches and indexes over nested objects (1.20)."""

ATTEMPTS = 3
BACKOFF_S = 0.1  # before the second attempt; doubles, and is drawn between half of it and all
SLOW_S = 1.0  # from when on an answer to a plain question counts as slow
HEALTH_S = 2.0  # longest wait of a health check

_FULL = re.compile(rb"no space left|disk.{0,20}full|not enough (disk )?space", re.IGNORECASE)


class NoSuchCollection(Exception):
    """The server has no collection or alias of that name."""


class AlreadyThere(Exception):
    """The server has it already."""


@dataclass(frozen=True)
class Server:
    """Where a Qdrant server is, and how it is talked to.

    Attributes:
        url: Of its REST interface.
        grpc_port: Of its gRPC interface, which is then used for everything; None: REST.
        timeout_s: Longest time of one call, all its attempts together.
        transport: How HTTP travels, if not over a socket; for tests.
    """

    url: str
    api_key: SecretStr | None = None
    grpc_port: int | None = None
    timeout_s: float = 10.0
    transport: httpx.AsyncBaseTransport | None = None

    def client(self) -> AsyncQdrantClient:
        """A client that connects when it is first used."""
        # As a header, because the client warns of a key over plain HTTP, also inside a cluster.
        headers = {"api-key": self.api_key.get_secret_value()} if self.api_key else None
        return AsyncQdrantClient(
            url=self.url,
            headers=headers,
            prefer_grpc=self.grpc_port is not None,
            grpc_port=self.grpc_port or 6334,
            timeout=max(1, round(self.timeout_s)),
            check_compatibility=False,  # it warns; `Connection` refuses
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
            transport=self.transport,
        )


class Connection:
    """Calls to a server; from any event loop, each of which has its own client."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncQdrantClient] = (
            weakref.WeakKeyDictionary()
        )
        self._fits = False

    async def __call__(self, call: Call[T]) -> T:
        """The answer to a call; a failed one is repeated, so it must be safe to repeat.

        Raises:
            Unavailable: The server is down, slow or wrong; `details["state"]` says which.
            StorageFull: Its disk is full.
            NoSuchCollection: It has no such collection.
            AlreadyThere: It has what the call wanted to make.
        """
        try:
            async with asyncio.timeout(self._server.timeout_s):
                client = self._client()
                if not self._fits:
                    await self._repeated(self._check_version, client)
                return await self._repeated(call, client)
        except TimeoutError as error:
            raise self._slow(self._server.timeout_s) from error

    async def health(self) -> Health:
        """Whether the server answers a question that needs its key and none of its data."""
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(HEALTH_S):
                client = self._client()
                if not self._fits:
                    await self._once(self._check_version, client)
                await self._once(lambda client: client.get_collections(), client)
        except TimeoutError:
            return Health("slow", self._slow(HEALTH_S).message)
        except TwofoldError as error:
            slow = error.details.get("state") == "slow"
            return Health("slow" if slow else "down", error.message)
        took_s = asyncio.get_running_loop().time() - started
        if took_s > SLOW_S:
            return Health("slow", f"The Qdrant server took {took_s:.1f} s for a plain question.")
        return Health("ok")

    async def close(self) -> None:
        """Let go of this loop's connections; those of other loops end with their loops."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def _client(self) -> AsyncQdrantClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._server.client()
        return client

    async def _check_version(self, client: AsyncQdrantClient) -> None:
        version = (await client.info()).version
        found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if found < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise self._unavailable(
                "wrong", f"it is version {version} and Twofold needs {oldest} or newer", 60
            )
        self._fits = True

    async def _repeated(self, call: Call[T], client: AsyncQdrantClient) -> T:
        for attempt in range(ATTEMPTS - 1):
            try:
                return await self._once(call, client)
            except Unavailable as error:
                if error.details.get("state") != "down":
                    raise
                await asyncio.sleep(BACKOFF_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311
        return await self._once(call, client)

    async def _once(self, call: Call[T], client: AsyncQdrantClient) -> T:
        try:
            return await call(client)
        except ResponseHandlingException as error:
            raise self._unreachable(error.source) from error
        except json.JSONDecodeError as error:
            raise self._unreachable(error) from error
        except UnexpectedResponse as error:
            raise self._refused(error.status_code or 0, error.content) from error
        except ResourceExhaustedResponse as error:
            raise self._unavailable("slow", "it is overloaded", error.retry_after_s) from error
        except grpc.aio.AioRpcError as error:
            raise self._failed_rpc(error.code(), (error.details() or "").encode()) from error

    def _unreachable(self, source: Exception) -> Exception:
        if isinstance(source, httpx.TimeoutException):
            return self._slow(self._server.timeout_s)
        if isinstance(source, httpx.HTTPError | OSError):
            return self._unavailable("down", f"nobody answers there ({type(source).__name__})")
        return self._unavailable("wrong", "it answers something that is not Qdrant's", 60)

    def _refused(self, status: int, content: bytes) -> Exception:
        if _FULL.search(content):
            return StorageFull(path=f"the Qdrant server at {self._server.url}")
        match status:
            case 401 | 403:
                reason = "it refuses the key; set TWOFOLD_QDRANT_API_KEY to one that may write"
                return self._unavailable("wrong", reason, 60)
            case 404 if b"ollection" in content:
                return NoSuchCollection()
            case 404:
                return self._unavailable("wrong", "it has not the interface of a Qdrant server", 60)
            case 400 | 409 if b"already exists" in content:
                return AlreadyThere()
            case 408 | 504:
                return self._slow(self._server.timeout_s)
            case _ if status >= 500 or status == 429:
                return self._unavailable("down", f"it answers with status {status}")
            case _:
                return ServiceError(reason=f"Qdrant refused a call: {excerpt(content)}")

    def _failed_rpc(self, code: grpc.StatusCode, details: bytes) -> Exception:
        """The same verdicts as over HTTP."""
        status = {
            grpc.StatusCode.UNAUTHENTICATED: 401,
            grpc.StatusCode.PERMISSION_DENIED: 403,
            grpc.StatusCode.NOT_FOUND: 404,
            grpc.StatusCode.ALREADY_EXISTS: 409,
            grpc.StatusCode.DEADLINE_EXCEEDED: 504,
            grpc.StatusCode.INVALID_ARGUMENT: 400,
            grpc.StatusCode.UNAVAILABLE: 503,
        }.get(code, 500)
        return self._refused(status, details)

    def _slow(self, after_s: float) -> Unavailable:
        return self._unavailable("slow", f"it did not answer within {after_s:g} s")

    def _unavailable(
        self, state: Literal["down", "slow", "wrong"], reason: str, seconds: int = 1
    ) -> Unavailable:
        return Unavailable(
            what=f"The Qdrant server at {self._server.url}",
            reason=reason,
            seconds=seconds,
            state=state,
            retry_after=seconds,
        )


def excerpt(content: bytes) -> str:
    """The beginning of an answer, for a message."""
    return content[:200].decode(errors="replace")
