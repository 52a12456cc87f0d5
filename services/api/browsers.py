"""What keeps web pages out: pages that drive a server without keys, and pages that frame ours.

A page from anywhere may send requests to 127.0.0.1 from its reader's browser, and by rebinding
its own name to that address it may even read the answers. A server without keys therefore answers
only to the names of its machine, and changes nothing for a page of another origin.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.errors import response_of
from twofold.errors import ForeignSite

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FRAMES = "frame-ancestors 'none'"


class OwnMachineOnly:
    """Refuses what a web page of somebody else would have a browser send.

    Args:
        app: What comes behind.
        hosts: Names by which the server may be addressed, beside those of the loopback address.
        origins: Whose pages may call, beside its own.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str] = (), origins: Sequence[str] = ()
    ) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http" and (reason := self._against(scope)):
            refused = ForeignSite(reason=reason)
            await response_of(refused, scope["state"]["request_id"])(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _against(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._own(host):
            return (
                f"the request is for '{host[:255]}'; use localhost, add the name to "
                "TWOFOLD_ALLOWED_HOSTS, or set up keys with TWOFOLD_API_KEYS_FILE"
            )
        if scope["method"] not in SAFE and not self._same_site(headers, host):
            return (
                "the request comes from a web page of another origin; add that to "
                "TWOFOLD_CORS_ORIGINS if it is yours"
            )
        return None

    def _own(self, host: str) -> bool:
        """Whether a Host header names this machine, or what its operator calls it."""
        name = hostname(host)
        return is_loopback(name) or name in self.hosts

    def _same_site(self, headers: Headers, host: str) -> bool:
        """Whether no browser sent it, or a browser for one of our pages.

        https://www.w3.org/TR/fetch-metadata/ and https://fetch.spec.whatwg.org/#origin-header
        """
        origin = headers.get("origin")
        if origin is not None:
            return origin in self.origins or urlsplit(origin).netloc == host
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}


@lru_cache(maxsize=256)
def hostname(host: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address or name."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SecurityHeaders:
    """Tells browsers to guess no types, frame nothing, keep nothing and pass no address on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the headers on its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                protect(MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_with_headers)


def protect(headers: MutableHeaders) -> None:
    """Add to the headers of an answer what `SecurityHeaders` promises."""
    page = headers.get("content-type", "").startswith("text/html")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    # What has a policy of its own keeps it. `/docs` may load what it needs; anything else has
    # nothing to load.
    policy = FRAMES if page else f"default-src 'none'; {FRAMES}"
    headers.setdefault("Content-Security-Policy", policy)
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cache-Control"] = "no-store"
