"""Everything that can go wrong, as one tree.

    TwofoldError
    ├── RequestError                  the caller can mend it
    │   ├── MalformedRequest          400  the body cannot be read
    │   ├── Unauthenticated           401  no key, or not a known one
    │   ├── Forbidden                 403  the key lacks the scope
    │   │   └── ForeignSite           a web page would drive a server that asks for no key
    │   ├── NotFound                  404
    │   │   ├── DocumentNotFound
    │   │   ├── CollectionNotFound
    │   │   │   └── GenerationNotFound
    │   │   ├── ContentNotReady       nothing has been extracted yet
    │   │   ├── RebuildNotFound       nothing is being rebuilt
    │   │   ├── KeyNotFound
    │   │   └── CursorExpired         the ranking behind it is not kept any more
    │   ├── MethodNotAllowed          405  + Allow
    │   ├── Conflict                  409
    │   │   ├── EmbedderMismatch      the server lacks the model of the collection
    │   │   ├── CollectionExists
    │   │   ├── RebuildUnderWay       the collection is being rebuilt in another way
    │   │   ├── GenerationInUse       what searches use cannot be dropped
    │   │   └── KeysUnchangeable      there is no keys file, or it is on a read-only mount
    │   ├── TooSlow                   408  the body does not arrive
    │   ├── TooLarge                  413
    │   │   └── TextTooLong           the model reads a part only, and the request forbids that
    │   ├── UnsupportedFormat         415
    │   ├── InvalidRequest            422  readable, but a value is wrong
    │   └── TooManyRequests           429  + Retry-After
    │       └── QuotaExceeded         the tenant has used up what it may use
    ├── ServiceError                  the operator can mend it
    │   ├── Unavailable               503  + Retry-After
    │   │   ├── Overloaded            the process is busy with as much as it can do
    │   │   ├── RerankRequired        `required` was set and the reranker did not answer
    │   │   └── ModelUnavailable      a remote model does not answer
    │   ├── NotServed                 501  this server runs without what the call needs
    │   ├── DeadlineExceeded          504  not even the first stage made it in time
    │   │   └── TimeTooShort          the models had not done all of it
    │   ├── StorageFull               507
    │   └── StartupError              the process refuses to start
    │       ├── ConfigurationError
    │       ├── DataFolderInUse
    │       ├── DataFolderUnwritable
    │       └── ModelUnfit            the weights are missing, altered, or fail the self-test
    ├── ParseError                    a document that cannot be read; lands on its ledger row
    ├── ConnectionFailed              the client cannot reach the server
    └── UnexpectedResponse            the server answered something that is not Twofold's

An error carries its fields; its sentence is a template over them. Over HTTP it travels as
`{"error": {"code", "message", "details", "request_id"}}`, and the client raises the same class
that the server did. The map from class to status lives in `services/api/errors.py`, once.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, TypeAlias

Detail: TypeAlias = "str | int | float | bool | list[Detail] | dict[str, Detail] | None"


class TwofoldError(Exception):
    """The root: catch this to catch everything that Twofold raises.

    Attributes:
        code: Stable, machine-readable name, such as `document_not_found`.
        message: One sentence: what was wrong and what to do.
        details: The fields that the sentence was made from.
        request_id: The request that failed, where there was one; quote it to the operator.
        retry_after: Seconds after which another try makes sense, where that is known.
    """

    code: ClassVar[str] = "internal"
    template: ClassVar[str] = "Something went wrong inside Twofold; the log has the trace."

    def __init__(
        self,
        message: str | None = None,
        *,
        request_id: str | None = None,
        retry_after: float | None = None,
        **details: Detail,
    ) -> None:
        self.message = message if message is not None else self.template.format(**details)
        self.details: dict[str, Detail] = details
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__(self.message)


class RequestError(TwofoldError):
    """The request cannot be served as it is; the caller can mend it."""

    code = "bad_request"
    template = "The request cannot be served: {reason}."


class MalformedRequest(RequestError):
    """The body is not the JSON or multipart form that it claims to be."""

    code = "malformed"
    template = "The request body cannot be read: {reason}."


class Unauthenticated(RequestError):
    """No key came with the request, or one that is not known."""

    code = "unauthenticated"
    template = (
        "Send a valid API key in the header 'Authorization: Bearer KEY'; Twofold's own clients "
        "read it from TWOFOLD_API_KEY."
    )


class Forbidden(RequestError):
    """The key is known and lacks the scope that the call needs."""

    code = "forbidden"
    template = "This key lacks the scope '{scope}'; ask for a key that has it."


class ForeignSite(Forbidden):
    """A server without keys answers this machine, and no web page of somebody else's."""

    code = "foreign_site"
    template = "Without API keys this server answers its own machine alone: {reason}."


class NotFound(RequestError):
    """Nothing of that name exists for this caller."""

    code = "not_found"
    template = "There is nothing at {path}."


class DocumentNotFound(NotFound):
    """No such document in this collection, or it belongs to somebody else."""

    code = "document_not_found"
    template = "No document '{document_id}' in collection '{collection}'; GET /documents lists all."


class CollectionNotFound(NotFound):
    """No such collection; the first upload makes it."""

    code = "collection_not_found"
    template = "No collection '{collection}'; it comes into being with the first upload to it."


class GenerationNotFound(CollectionNotFound):
    """The collection exists and has no such generation, or not any more."""

    code = "generation_not_found"
    template = (
        "Collection '{collection}' has no generation {generation}; GET /collections/{collection} "
        "shows what it has."
    )


class ContentNotReady(NotFound):
    """The document exists and has no extracted text yet."""

    code = "content_not_ready"
    template = "Document '{document_id}' has no text yet ('{status}'); wait until it is ready."


class RebuildNotFound(NotFound):
    """Nothing is being rebuilt there."""

    code = "rebuild_not_found"
    template = (
        "Collection '{collection}' is not being rebuilt; POST /collections/{collection}/rebuild "
        "begins that."
    )


class KeyNotFound(NotFound):
    """No such API key, or it belongs to somebody else."""

    code = "key_not_found"
    template = "No API key '{key_id}'; GET /keys lists those of your tenant."


class CursorExpired(NotFound):
    """The ranking that the cursor continues is not kept any more."""

    code = "cursor_expired"
    template = "The ranking of this cursor is not kept any more; search again without the cursor."


class MethodNotAllowed(RequestError):
    """The path exists, and not with this method."""

    code = "method_not_allowed"
    template = "{path} does not take {method}; it takes {allowed}."


class Conflict(RequestError):
    """The request contradicts the state of what it names."""

    code = "conflict"
    template = "The request conflicts with the present state: {reason}."


class EmbedderMismatch(Conflict):
    """The collection was built with an embedding model that the server does not have."""

    code = "embedder_mismatch"
    template = (
        "Collection '{collection}' was built with '{stored}' ({stored_dimensions} dimensions) and "
        "this server runs '{running}'; add the former to TWOFOLD_OTHER_EMBEDDERS and restart, "
        "then POST /collections/{collection}/rebuild moves the collection to another model "
        "without a gap."
    )


class CollectionExists(Conflict):
    """The tenant has a collection of this name already."""

    code = "collection_exists"
    template = (
        "Collection '{collection}' exists already; rebuild it to change its settings, delete it, "
        "or choose another name."
    )


class RebuildUnderWay(Conflict):
    """The collection is being rebuilt, and not as this request wants it."""

    code = "rebuild_under_way"
    template = (
        "Collection '{collection}' is being rebuilt with other settings; wait until that is done, "
        "or cancel it."
    )


class GenerationInUse(Conflict):
    """The generation is the one that searches and uploads use."""

    code = "generation_in_use"
    template = (
        "Generation {generation} of collection '{collection}' is the one in use; switch to "
        "another one first, or delete the collection."
    )


class KeysUnchangeable(Conflict):
    """The keys cannot be changed from here."""

    code = "keys_unchangeable"
    template = "The API keys cannot be changed here: {reason}."


class TooSlow(RequestError):
    """A body comes so slowly that it would hold its place for hours."""

    code = "too_slow"
    template = "{received} bytes of the body came in {seconds} s, which is too slow; try again."


class TooLarge(RequestError):
    """A body, a file or a text is over its cap."""

    code = "too_large"
    template = "{what} has {size} bytes and the limit is {limit}; {advice}"


class TextTooLong(TooLarge):
    """A text has more tokens than the model reads, and the request forbids to cut it."""

    code = "text_too_long"
    template = (
        "Of text {place} (counted from 0) the model would read a part only, and the request says "
        "'truncate': false; shorten the text, or leave that out."
    )


class UnsupportedFormat(RequestError):
    """Twofold does not read this kind of file."""

    code = "unsupported_format"
    template = "'{name}' is {found}, which Twofold does not read; it reads {supported}."


class InvalidRequest(RequestError):
    """The request can be read and a value in it is wrong."""

    code = "invalid"
    template = "'{field}' is not valid: {reason}."


class TooManyRequests(RequestError):
    """A quota or a queue is full; `retry_after` says when to come back."""

    code = "too_many_requests"
    template = "Too many requests: {reason}; try again in {seconds} s."


class QuotaExceeded(TooManyRequests):
    """The tenant has used up what the operator allows each."""

    code = "quota_exceeded"
    template = (
        "The quota of {limit} {what} is used up; try again in {seconds} s, use less, or ask the "
        "operator for more."
    )


class ServiceError(TwofoldError):
    """The server cannot do it now; the operator can mend it."""

    code = "service"
    template = "Twofold cannot serve this now: {reason}"


class Unavailable(ServiceError):
    """A part that the request needs is not there at the moment."""

    code = "unavailable"
    template = "{what} is not available: {reason}; try again in {seconds} s."


class Overloaded(Unavailable):
    """The process is busy with as much as it can answer in time."""

    code = "overloaded"
    template = "This server is busy: {reason}; try again in {seconds} s."


class RerankRequired(Unavailable):
    """The request said `rerank.required` and the second stage did not score all of it."""

    code = "rerank_required"
    template = (
        "The reranker did not answer in full (status '{status}') and the request requires it; "
        "try again, allow more deadline_ms, or drop rerank.required to get the recall order."
    )


class ModelUnavailable(Unavailable):
    """A model behind a URL does not answer, or answers something unreadable."""

    code = "model_unavailable"
    template = "The {role} at {url} does not answer: {reason}"


class DeadlineExceeded(ServiceError):
    """The request's own deadline passed before the first stage had an answer."""

    code = "deadline_exceeded"
    template = "Nothing was found within {deadline_ms} ms; allow more deadline_ms or try again."


class TimeTooShort(DeadlineExceeded):
    """The models had done a part, or nothing, and the answer has no place for a part."""

    code = "time_too_short"
    template = (
        "{done} of {texts} texts were done within {deadline_ms} ms, and this format has no place "
        "for a part of an answer; try again, send fewer, or allow more with 'X-Deadline-Ms'."
    )


class NotServed(ServiceError):
    """This server runs without the part that the call needs; another try changes nothing."""

    code = "not_served"
    template = "This server does not do that: {reason}."


class StorageFull(ServiceError):
    """The disk is full; nothing that was stored is harmed."""

    code = "storage_full"
    template = "The disk under {path} is full; free some space. Nothing stored was harmed."


class StartupError(ServiceError):
    """The process refuses to start, and says why."""

    code = "startup"
    template = "Twofold cannot start: {reason}"


class ConfigurationError(StartupError):
    """A setting is missing, unknown or contradicts another."""

    code = "configuration"
    template = "{setting} is not usable: {reason}"


class DataFolderInUse(StartupError):
    """Another process holds the data folder."""

    code = "data_folder_in_use"
    template = (
        "The data folder {path} is in use by another process{holder}; stop that one, or set "
        "TWOFOLD_DATA_DIR to another folder."
    )


class DataFolderUnwritable(StartupError):
    """The data folder cannot be made or written."""

    code = "data_folder_unwritable"
    template = (
        "The data folder {path} cannot be written ({reason}); mend its permissions, or set "
        "TWOFOLD_DATA_DIR to another folder."
    )


class ModelUnfit(StartupError):
    """The weights are missing, not the expected ones, or the model fails its self-test."""

    code = "model_unfit"
    template = "The model '{model}' is not fit to serve: {reason}"


ParseFailure: TypeAlias = Literal[
    "empty",
    "encrypted",
    "needs_ocr",
    "corrupt",
    "too_large",
    "unsupported_format",
    "parser_timeout",
    "parser_memory",
    "parser_crashed",
]


class ParseError(TwofoldError):
    """A document that cannot be read. It ends on the document's ledger row, not in a response.

    Attributes:
        failure: Which of the known ways it failed; becomes `error.code` of the document.
        message: What a person can do about it.
        retryable: Whether another try could end differently (a timeout may, a lie cannot).
    """

    code = "parse"

    def __init__(self, failure: ParseFailure, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.failure: ParseFailure = failure
        self.retryable = retryable


class ConnectionFailed(TwofoldError):
    """The client could not reach the server, or lost it in mid-answer."""

    code = "connection_failed"
    template = "Cannot reach Twofold at {url} ({reason}); is it running? `make run` starts it."


class UnexpectedResponse(TwofoldError):
    """Something answered that is not Twofold: a proxy, a wrong port, another service."""

    code = "unexpected_response"
    template = "{url} answered {status} with something that is not Twofold's: {excerpt}"


def from_body(error: dict[str, Detail], *, retry_after: float | None = None) -> TwofoldError:
    """Rebuild the error that the server raised from the `error` object of its response."""
    details = error.get("details")
    request_id = error.get("request_id")
    # A code from a newer server falls back to the root.
    kind = _BY_CODE.get(str(error.get("code")), TwofoldError)
    failure = kind(
        str(error.get("message")),
        request_id=str(request_id) if request_id is not None else None,
        retry_after=retry_after,
    )
    # Not through the constructor, whose own arguments a detail could be called like.
    failure.details = details if isinstance(details, dict) else {}
    return failure


def _tree(root: type[TwofoldError]) -> Iterator[type[TwofoldError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


_BY_CODE: dict[str, type[TwofoldError]] = {
    kind.code: kind for kind in _tree(TwofoldError) if kind is not ParseError
}
