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
STRANGERS_PER_S = 10
"""Lines about refused strangers; more are counted, so that nobody can fill the disk with them."""
LONGEST_TARGET = 512


class Audit:
    """Writes a line for every change and every refusal."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._second = 0
        self._lines = 0
        self._unsaid = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0  # stays so when the connection breaks off before there is an answer

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            if changes(scope) or status in REFUSALS:
                self._write(scope, status)

    def _write(self, scope: Scope, status: int) -> None:
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
        if scope["client"] and caller is None:
            line["client"] = scope["client"][0]
        if caller is not None or self._may_speak_of_strangers():
            if caller is None and self._unsaid:
                line["more_like_it"], self._unsaid = self._unsaid, 0
            log.info("%s", json.dumps(line))

    def _may_speak_of_strangers(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= STRANGERS_PER_S:
            return True
        self._unsaid += 1
        return False


def changes(scope: Scope) -> bool:
    """Whether the request is one that may change something."""
    needed = scope_of(scope["method"], scope["path"])
    return needed in {"write", "admin"} and scope["method"] not in SAFE


def action(scope: Scope) -> str:
    """What was asked for: the operation's id, or the method where no operation was reached."""
    operation: str | None = getattr(scope.get("route"), "operation_id", None)
    return operation or scope["method"]
