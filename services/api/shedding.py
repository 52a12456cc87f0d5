"""Load shedding: a search that would come too late is refused before it has cost anything.

At ten times what a server can do, nine of ten requests are refused, and what that costs is taken
from the tenth. The route refuses the same searches (`overload.Pace.place`), but by then a request
has a task, has passed all middleware and has been validated, which is five times the cost. Here,
where its bytes come in, only its deadline is read. So an overloaded server also refuses searches
without a key, or with a mistake in them, as what they are: too much.
"""

import uuid
from functools import lru_cache

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from services.api.browsers import protect
from services.api.connections import PatientProtocol
from services.api.errors import response_of
from services.api.overload import Pace
from twofold.errors import Overloaded
from twofold.schema import SearchRequest

METHOD, URL = b"POST", b"/search"
ANSWERED_BEHIND = frozenset({b"connection", b"expect", b"origin", b"x-request-id"})
"""Headers that an answer depends on; those who send one are answered where that is known."""
HELD_BYTES = 64 * 1024
NO_ID = "0" * 32


class Asked(msgspec.Struct):
    """What a search says of its time; whether the rest of it is right, the route knows."""

    deadline_ms: int = SearchRequest.model_fields["deadline_ms"].default
    cursor: str | None = None


_asked = msgspec.json.Decoder(Asked)


class SheddingProtocol(PatientProtocol):
    """Answers 503 to searches that the process has no time for, and hands on everything else.

    The application's `state.pace` knows how fast this process searches.
    """

    _held: bytearray | None = None  # the body of a search, while it is not known what becomes of it

    def on_headers_complete(self) -> None:
        if self._may_be_refused():
            self._held = bytearray()
            self._pointless = 0
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
            return
        self._pointless = 0
        self._held += body
        if len(self._held) > HELD_BYTES:
            self._let_in()

    def on_message_complete(self) -> None:
        if self._held is not None:
            try:
                require_time(self._pace, self._held)
            except Overloaded as error:
                self._refuse(error)
                return
            self._let_in()
        super().on_message_complete()

    @property
    def _pace(self) -> Pace:
        pace: Pace = self.config.app.state.pace  # type: ignore[union-attr]
        return pace

    def _may_be_refused(self) -> bool:
        return (
            self.url == URL
            and self._pace.full
            and self.parser.get_method() == METHOD
            and self.parser.get_http_version() == "1.1"
            # Those who send one request after the other without waiting get their answers in order.
            and (self.cycle is None or self.cycle.response_complete)
            and ANSWERED_BEHIND.isdisjoint(name for name, _ in self.headers)
        )

    def _let_in(self) -> None:
        held, self._held = self._held or b"", None
        super().on_headers_complete()
        if held:
            super().on_body(bytes(held))

    def _refuse(self, error: Overloaded) -> None:
        self._arriving, self._held = False, None
        head, body = refusal(str(error.details["reason"]), int(error.retry_after or 1))
        request_id = uuid.uuid4().hex.encode()
        usual = b"".join(b"%b: %b\r\n" % each for each in self.server_state.default_headers)
        own = b"x-request-id: %b\r\n\r\n" % request_id
        self.transport.write(head + usual + own + body.replace(NO_ID.encode(), request_id))
        self.on_response_complete()


def require_time(pace: Pace, body: bytes | bytearray) -> None:
    """Make sure that a search would be done in time, as far as its body says what it is.

    Raises:
        Overloaded: It would not.
    """
    try:
        asked = _asked.decode(body)
    except msgspec.MsgspecError:
        return
    if asked.cursor is None:  # what a cursor continues is done already
        pace.require_time(asked.deadline_ms / 1_000)


@lru_cache(256)
def refusal(reason: str, seconds: int) -> tuple[bytes, bytes]:
    """Head and body of a refusal, with `NO_ID` in the place of the request's id."""
    error = Overloaded(reason=reason, seconds=seconds, retry_after=seconds)
    response = response_of(error, NO_ID)
    protect(response.headers)
    lines = b"".join(b"%b: %b\r\n" % each for each in response.raw_headers)
    return STATUS_LINE[response.status_code] + lines, bytes(response.body)
