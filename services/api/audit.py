"""The audit log: who changed what, and who was refused. One JSON object a line.

Written to the logger `twofold.audit`: time, key id, tenant, action (the operation id of the
OpenAPI document), target (the path), outcome (the status), request id. Never a key, never a query
string, never a word of a document.
"""

import json
import logging
import time
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.auth import Caller, scope_of
from services.api.browsers import SAFE

log = logging.getLogger("twofold.audit")
log.setLevel(logging.INFO)  # whatever the level of everything else

REFUSALS = frozenset({401, 403, 429})
REFUSALS_PER_S = 10
"""Lines about each of them; more are counted, so that nobody can fill the disk with them."""
LONGEST_TARGET = 512


class Audit:
    """Writes a line for every change and every refusal."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._sparing = {status: Sparing(REFUSALS_PER_S) for status in REFUSALS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0  # stays so when the client leaves before there is an answer

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception:
            status = status or 500
            raise
        finally:
            if status in REFUSALS:
                if (unsaid := self._sparing[status].unsaid_before()) is not None:
                    self._write(scope, status, unsaid)
            elif changes(scope):
                self._write(scope, status)

    def _write(self, scope: Scope, status: int, unsaid: int = 0) -> None:
        caller: Caller | None = scope["state"].get("caller")
        line: dict[str, object] = {
            "log": log.name,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "key": caller.key_id if caller else None,
            "tenant": caller.tenant if caller else None,
            "action": action(scope),
            "target": scope["path"][:LONGEST_TARGET],
            "outcome": status,
            "request_id": scope["state"]["request_id"],
        }
        if caller is None and scope["client"]:
            line["client"] = scope["client"][0]
        if unsaid:
            line["more_like_it_before"] = unsaid
        log.info("%s", json.dumps(line))


class Sparing:
    """Lets so much be said a second, and counts what was not."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._second = 0
        self._said = 0
        self._unsaid = 0

    def unsaid_before(self) -> int | None:
        """How much was not said since the last time that something was; None: not now either."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._said = second, 0
        if self._said >= self._per_s:
            self._unsaid += 1
            return None
        self._said += 1
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid


def changes(scope: Scope) -> bool:
    """Whether the request is one that may change something."""
    needed = scope_of(scope["method"], scope["path"])
    return needed in {"write", "admin"} and scope["method"] not in SAFE


def action(scope: Scope) -> str:
    """What was asked for: the operation's id, or the method where no operation was reached."""
    operation: str | None = getattr(scope.get("route"), "operation_id", None)
    return operation or scope["method"]
