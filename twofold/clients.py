"""The clients of an adapter: one for all threads, and one for each event loop.

A framework makes its parts once and calls them from wherever it runs: from worker threads, from
one event loop after the other (`asyncio.run` in a script), after a trip through `pickle`. The
sockets of an async client belong to the loop that opened them, so each loop gets its own, which
is closed when the loop shuts down.
"""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from twofold.async_client import AsyncClient
from twofold.client import Client


@dataclass(frozen=True, slots=True)
class Access:
    """Where the server is and how it is asked: the arguments of the clients."""

    base_url: str | None
    api_key: str | None
    timeout: float
    retries: int

    def client(self) -> Client:
        """A client that blocks."""
        return Client(
            self.base_url, api_key=self.api_key, timeout=self.timeout, retries=self.retries
        )

    def async_client(self) -> AsyncClient:
        """A client for the running event loop."""
        return AsyncClient(
            self.base_url, api_key=self.api_key, timeout=self.timeout, retries=self.retries
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A client of an event loop, and what closes it when that loop ends or nobody needs it."""

    client: AsyncClient
    lifetime: AsyncGenerator[None]


class Clients:
    """Clients that are made when they are first needed, and closed with what needed them.

    Copied or pickled, it begins anew with the same access, which is all that two are compared by.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._kept: dict[asyncio.AbstractEventLoop, _Kept] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clients) and other._access == self._access

    def __hash__(self) -> int:
        return hash(self._access)

    def __reduce__(self) -> tuple[type["Clients"], tuple[Access]]:
        return Clients, (self._access,)

    def blocking(self) -> Client:
        """The client of all threads."""
        with self._lock:
            if self._client is None:
                self._client = self._access.client()
                weakref.finalize(self, self._client.close)
            return self._client

    async def awaiting(self) -> AsyncClient:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            kept = self._kept.get(loop)
            if kept is None:
                self._kept = {each: of for each, of in self._kept.items() if not each.is_closed()}
                client = self._access.async_client()
                kept = self._kept[loop] = _Kept(client, _lifetime(client))
                # Once begun, the loop knows of the generator, and ends it before it ends itself.
                await anext(kept.lifetime)
        return kept.client


async def _lifetime(client: AsyncClient) -> AsyncGenerator[None]:
    """Waits to be ended by the event loop, or for want of anybody who holds it."""
    try:
        yield
    finally:
        await client.aclose()
