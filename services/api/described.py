"""What the OpenAPI document says of failures: of each operation, which ones, and how they look.

Failures that only some operations know stand at their routes, as `responses=fails(...)`. Those
that follow from what an operation is (it asks for a key, it reads a body) are added here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from services.api.errors import headers_of, info_of, status_of
from twofold import errors
from twofold.errors import TwofoldError
from twofold.schema import ErrorBody

Object: TypeAlias = dict[str, Any]  # a part of the document

SAMPLES: Sequence[TwofoldError] = (
    errors.MalformedRequest(reason="it is not valid JSON (Expecting value at character 11)"),
    errors.Unauthenticated(),
    errors.Forbidden(scope="write"),
    errors.ForeignSite(
        reason="the request comes from a web page of another origin; add that to "
        "TWOFOLD_CORS_ORIGINS if it is yours"
    ),
    errors.NotFound(path="/documents/a%0Ab"),
    errors.DocumentNotFound(document_id="handbook.md", collection="default"),
    errors.CollectionNotFound(collection="handbooks"),
    errors.ContentNotReady(document_id="handbook.md", status="queued"),
    errors.GenerationNotFound(collection="handbooks", generation=2),
    errors.RebuildNotFound(collection="handbooks"),
    errors.KeyNotFound(key_id="0123456789ab"),
    errors.CursorExpired(),
    errors.TooSlow(received=8_192, seconds=31),
    errors.Conflict(reason="document 'handbook.md' is 'ready'; only a failed one can be retried"),
    errors.EmbedderMismatch(
        collection="default",
        stored="minilm",
        stored_dimensions=384,
        running="qwen3-0.6b",
    ),
    errors.CollectionExists(collection="handbooks"),
    errors.RebuildUnderWay(collection="handbooks"),
    errors.GenerationInUse(collection="handbooks", generation=1),
    errors.KeysUnchangeable(reason="this server asks for none"),
    errors.TooLarge(
        what="The request body",
        size=64_000_000,
        limit=32_000_000,
        advice="send it in several requests.",
    ),
    errors.TextTooLong(place=3),
    errors.UnsupportedFormat(
        name="setup.exe", found="a program", supported="PDF, Word, HTML, Markdown and more"
    ),
    errors.InvalidRequest(field="limit", reason="input should be less than or equal to 200"),
    errors.TooManyRequests(
        reason="32 of your tenant are being answered, which is its share", seconds=1, retry_after=1
    ),
    errors.QuotaExceeded(what="requests a minute", limit=600, seconds=12, retry_after=12),
    errors.NotServed(reason="it knows of no reranker"),
    errors.Unavailable(what="The store", reason="it does not answer", seconds=2, retry_after=2),
    errors.Overloaded(reason="it answers 64 requests at once", seconds=1, retry_after=1),
    errors.RerankRequired(status="timeout"),
    errors.ModelUnavailable(
        role="reranker", url="http://gpu:8080", reason="the connection was refused"
    ),
    errors.DeadlineExceeded(deadline_ms=50),
    errors.TimeTooShort(done=12, texts=64, deadline_ms=200),
    errors.StorageFull(path="/data"),
)
"""An error of each class that an answer may carry."""

SAMPLE: Mapping[type[TwofoldError], TwofoldError] = {type(each): each for each in SAMPLES}

GUARDED = (
    errors.Unauthenticated,
    errors.Forbidden,
    errors.ForeignSite,
    errors.TooManyRequests,
    errors.QuotaExceeded,
    errors.Overloaded,
)
"""Of operations that ask for a key."""
WITH_BODY = (errors.MalformedRequest, errors.TooSlow, errors.TooLarge, errors.InvalidRequest)

STORE = (errors.Unavailable, errors.StorageFull)
"""Of what reads or writes the store."""
SEARCH = (
    errors.CollectionNotFound,
    errors.EmbedderMismatch,
    errors.ModelUnavailable,
    errors.DeadlineExceeded,
    *STORE,
)
MODEL = (errors.NotServed, errors.Unavailable, errors.ModelUnavailable, errors.TimeTooShort)
"""Of the dialects, which ask a model and nothing else."""

CONTENT = "application/json"
HEADERS: Mapping[str, Object] = {
    "Retry-After": {
        "description": "Seconds after which another try makes sense, where that is known.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How a key travels.",
        "schema": {"type": "string"},
        "required": True,
    },
}


def fails(*kinds: type[TwofoldError]) -> dict[int | str, Object]:
    """For `responses` of a route: how it may fail beside what all of its kind may."""
    responses: dict[int | str, Object] = {}
    for kind in kinds:
        add(responses, kind, key=status_of(SAMPLE[kind]))
    return responses


def add(responses: dict[Any, Object], kind: type[TwofoldError], *, key: int | str) -> None:
    """Put an error among the responses, beside those that have its status."""
    sample = SAMPLE[kind]
    response = responses.setdefault(key, {"description": "", "content": {}})
    content = response["content"].setdefault(
        CONTENT, {"schema": {"$ref": "#/components/schemas/ErrorBody"}}
    )
    examples = content.setdefault("examples", {})
    examples[sample.code] = {"$ref": f"#/components/examples/{sample.code}"}
    for name in headers_of(sample):
        response.setdefault("headers", {})[name] = HEADERS[name]
    said = f"- `{sample.code}`: {summary(kind)}"
    if said not in response["description"]:
        response["description"] = f"{response['description']}\n{said}".strip()


def summary(kind: type[TwofoldError]) -> str:
    """What a class of errors is about, as its docstring says it."""
    return (kind.__doc__ or kind.code).partition("\n")[0]


def describe(document: Object) -> None:
    """Complete the failures of every operation, and show what each looks like."""
    document["components"]["examples"] = {
        sample.code: {"summary": summary(type(sample)), "value": body_of(sample)}
        for sample in SAMPLES
    }
    for operation in operations(document):
        for kind in kinds_of(operation):
            add(operation["responses"], kind, key=str(status_of(SAMPLE[kind])))


def operations(document: Object) -> Iterator[Object]:
    """Each operation of the document."""
    for methods in document["paths"].values():
        yield from methods.values()


def kinds_of(operation: Object) -> Iterator[type[TwofoldError]]:
    """How an operation may fail by what it is."""
    if operation["security"]:
        yield from GUARDED
    if "requestBody" in operation:
        yield from WITH_BODY
    elif "parameters" in operation:
        yield errors.InvalidRequest


def body_of(error: TwofoldError) -> Object:
    """An error as it travels."""
    info = info_of(error, "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    return ErrorBody(error=info).model_dump(mode="json")
