"""What both clients are made with: where the server is, who asks, and how patient the caller is."""

import os

import httpx

from twofold.calls import Answer, Call
from twofold.errors import ConfigurationError
from twofold.tries import Tries

DEFAULT_URL = "http://127.0.0.1:8000"


class Connection:
    """What `Client` and `AsyncClient` have in common: all but the waiting."""

    def __init__(
        self,
        base_url: str | None,
        api_key: str | None,
        timeout: float,
        retries: int,
        backoff: float,
    ) -> None:
        self.base_url = base_url or os.environ.get("TWOFOLD_URL") or DEFAULT_URL
        try:
            httpx.URL(self.base_url)
        except httpx.InvalidURL as error:
            raise ConfigurationError(
                setting=f"The server's URL '{self.base_url}'", reason=str(error)
            ) from None
        key = api_key or os.environ.get("TWOFOLD_API_KEY")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff

    def _tries(self, call: Call[Answer]) -> Tries:
        return Tries(
            self.base_url,
            retries=self._retries if call.idempotent else 0,
            backoff_s=self._backoff,
            timeout_s=self._timeout + call.extra_s,
        )
