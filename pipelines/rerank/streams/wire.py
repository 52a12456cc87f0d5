"""What API processes and workers say to each other through Redis.

    twofold:rerank:NAME            requests for scores; NAME is the setting of the reranker
    twofold:embed:NAME             requests for query vectors
    twofold:replies:PROCESS        answers to one API process
    STREAM:workers                 set of the consumers that have announced themselves
    STREAM:worker:CONSUMER         an announcement; it expires when the worker falls silent
    STREAM:model                   the last announcement of any worker, which does not expire
    STREAM:epoch                   changes when the server has lost its keys
    STREAM:dead                    what could not be read or was given up, for the operator

An entry is an envelope, the same in every version to come, around a body of one version:

    v   wire version        id  the call, as its caller counts
    to  reply stream        body  MessagePack, checked against a schema; never code

So whoever meets another version can still say so to the right caller. A body carries two bounds
on time, and the earlier one counts: a budget from the moment at which Redis took the entry, and a
deadline on the clock of Redis. Nobody looks at the clock of another host.
"""

from typing import Annotated, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec
import numpy as np

from pipelines.ports import PairScores, TextKind, Vector

VERSION = 1
GROUP = "workers"
REPLIES = "twofold:replies:"

T = TypeVar("T")
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
# The upper bound also keeps out what is not a number.
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e6)]
Refusal: TypeAlias = Literal["timeout", "overloaded", "unavailable", "error"]


class WireError(Exception):
    """An entry that cannot be read; the message says why."""


class UnknownVersion(WireError):
    """An entry in another wire version than this process speaks."""

    def __init__(self, version: str) -> None:
        super().__init__(f"it is in wire version {version} and this process speaks {VERSION}")
        self.version = version


# --- Requests -------------------------------------------------------------------------------


class RerankCall(msgspec.Struct, frozen=True, tag="rerank"):
    """Passages of one request, or a piece of them.

    Attributes:
        start: Number of the first passage in the whole request.
        budget_s: Seconds from the time of the entry until nobody waits any more.
        deadline_s: The same moment on the clock of Redis, unix seconds.
    """

    query: str
    passages: Annotated[list[str], msgspec.Meta(min_length=1)]
    start: Count
    budget_s: Seconds
    deadline_s: float
    instruction: str | None = None


class EmbedCall(msgspec.Struct, frozen=True, tag="embed"):
    """A query to embed, or a passage that another application sends; times as in `RerankCall`."""

    query: str
    budget_s: Seconds
    deadline_s: float
    instruction: str | None = None
    kind: TextKind = "query"


Call: TypeAlias = RerankCall | EmbedCall


class Stream(NamedTuple):
    """A request stream, the calls that belong into it, and the keys beside it."""

    key: str
    calls: type[Call]

    @classmethod
    def rerank(cls, name: str) -> "Stream":
        """Of the reranker that the setting names so."""
        return cls(f"twofold:rerank:{name}", RerankCall)

    @classmethod
    def embed(cls, name: str) -> "Stream":
        """Of the embedder that the setting names so."""
        return cls(f"twofold:embed:{name}", EmbedCall)

    @property
    def workers(self) -> str:
        return f"{self.key}:workers"

    @property
    def model(self) -> str:
        return f"{self.key}:model"

    @property
    def epoch(self) -> str:
        return f"{self.key}:epoch"

    @property
    def dead(self) -> str:
        return f"{self.key}:dead"

    def worker(self, consumer: str) -> str:
        """Where a consumer announces itself."""
        return f"{self.key}:worker:{consumer}"


# --- Replies --------------------------------------------------------------------------------


class Scored(msgspec.Struct, frozen=True, tag="scored"):
    """Scores of consecutive passages; there may be more to come.

    Attributes:
        start: Number of the first of them in the whole request.
        scores: [n] float32, little-endian.
        truncated: [n] bytes, 0 or 1.
        compute_s: What the model took for the batch that they were in.
    """

    start: Count
    scores: bytes
    truncated: bytes
    compute_s: Seconds

    @classmethod
    def of(cls, start: int, scores: PairScores, compute_s: float) -> "Scored":
        """Pack scores for the way."""
        return cls(
            start,
            scores.scores.astype("<f4").tobytes(),
            scores.truncated.astype(np.uint8).tobytes(),
            compute_s,
        )

    def unpacked(self) -> PairScores:
        """The scores.

        Raises:
            WireError: They are not finite numbers, or not as many as there are flags.
        """
        if len(self.scores) != 4 * len(self.truncated):
            raise WireError("it holds another number of scores than of flags")
        scores = np.frombuffer(self.scores, "<f4").astype(np.float32)
        if not np.isfinite(scores).all():
            raise WireError("it holds a score that is not a finite number")
        return PairScores(scores, np.frombuffer(self.truncated, np.uint8).astype(np.bool_))


class Embedded(msgspec.Struct, frozen=True, tag="embedded"):
    """The vector of a query: [dimensions] float32, little-endian."""

    vector: bytes

    @classmethod
    def of(cls, vector: Vector) -> "Embedded":
        """Pack a vector for the way."""
        return cls(vector.astype("<f4").tobytes())

    def unpacked(self) -> Vector:
        """The vector.

        Raises:
            WireError: It is empty, cut short, or holds what is not a finite number.
        """
        if not self.vector or len(self.vector) % 4:
            raise WireError("it holds no whole vector")
        vector = np.frombuffer(self.vector, "<f4").astype(np.float32)
        if not np.isfinite(vector).all():
            raise WireError("it holds a vector with a component that is not a finite number")
        return vector


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The end of a call without, or without further, results; one sentence says why."""

    status: Refusal
    reason: str


Reply: TypeAlias = Scored | Embedded | Refused


# --- Announcements --------------------------------------------------------------------------


class Profile(msgspec.Struct, frozen=True):
    """The profile of a rerank model; as `pipelines.ports.RerankProfile`."""

    depth: Count
    weight: float
    calibrated: bool
    instructed: bool = False


class Pace(msgspec.Struct, frozen=True):
    """How fast a worker's device has been, cautiously; zeros before anything was measured.

    Attributes:
        overhead_s: What a batch costs however small it is.
        per_token_s: What each token adds.
        batch_tokens: Tokens of a full batch.
        entry_tokens: Tokens of a usual entry.
    """

    overhead_s: Seconds = 0.0
    per_token_s: Seconds = 0.0
    batch_tokens: Count = 0
    entry_tokens: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0


class Announcement(msgspec.Struct, frozen=True):
    """A worker says what it serves on a stream and how it fares.

    Attributes:
        model: Name of the model.
        host: As the worker's own machine calls itself, for its health check.
        profile: Of a rerank model.
        dimensions: Of an embedder.
        min_dimensions: Likewise; as of `pipelines.ports.TextEmbedder`, like the next.
        max_tokens: Likewise.
        instructed: Likewise.
    """

    consumer: str
    model: str
    host: str
    profile: Profile | None = None
    dimensions: Count | None = None
    min_dimensions: Count | None = None
    max_tokens: Count | None = None
    instructed: bool = False
    pace: Pace = Pace()


# --- Envelopes ------------------------------------------------------------------------------

Fields: TypeAlias = dict[bytes, bytes]


class Envelope(NamedTuple):
    """An entry whose outside could be read."""

    version: str
    id: str
    to: str
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_calls: dict[type[Call], msgspec.msgpack.Decoder[Call]] = {
    RerankCall: msgspec.msgpack.Decoder(RerankCall),
    EmbedCall: msgspec.msgpack.Decoder(EmbedCall),
}
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_announcements = msgspec.msgpack.Decoder(Announcement)


def seal(call_id: str, body: Call | Reply, *, to: str = "") -> list[str | bytes]:
    """The fields and values of an entry, as XADD takes them.

    Raises:
        WireError: A text in it is not valid Unicode.
    """
    try:
        packed = _encoder.encode(body)
    except UnicodeEncodeError:
        raise WireError("a text holds half of a surrogate pair, which is not Unicode") from None
    fields: list[str | bytes] = ["v", str(VERSION), "id", call_id, "body", packed]
    if to:
        fields += ["to", to]
    return fields


def unseal(fields: Fields) -> Envelope:
    """The outside of an entry, of whatever version.

    Raises:
        WireError: It is no envelope.
    """
    try:
        version, call_id = fields[b"v"].decode(), fields[b"id"].decode()
        return Envelope(version, call_id, fields.get(b"to", b"").decode(), fields[b"body"])
    except KeyError as missing:
        raise WireError(f"it has no field {missing}") from None
    except UnicodeDecodeError:
        raise WireError("its envelope is not text") from None


def read_call(envelope: Envelope, kind: type[Call]) -> Call:
    """The request in an envelope, of the kind that belongs into the stream it came from.

    Raises:
        UnknownVersion: It was sealed by another version of Twofold.
        WireError: The body does not fit the schema, or nobody says where the answer goes.
    """
    if not envelope.to.startswith(REPLIES):
        raise WireError("it names no reply stream")
    return _read(envelope, _calls[kind])


def read_reply(envelope: Envelope) -> Reply:
    """The reply in an envelope; raises as `read_call`."""
    return _read(envelope, _replies)


def pack_announcement(announcement: Announcement) -> bytes:
    """An announcement as it is stored; the version stands before the body, for all to read."""
    return f"{VERSION} ".encode() + _encoder.encode(announcement)


def read_announcement(stored: bytes) -> Announcement:
    """An announcement; raises as `read_call`."""
    version, _, body = stored.partition(b" ")
    return _read(Envelope(version.decode(errors="replace"), "", "", body), _announcements)


def _read(envelope: Envelope, decoder: "msgspec.msgpack.Decoder[T]") -> T:
    if envelope.version != str(VERSION):
        raise UnknownVersion(envelope.version)
    try:
        return decoder.decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"its body does not fit the schema: {error}") from None
