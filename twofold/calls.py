"""What can be asked of the server: one `Call` for each thing that it does. Sends nothing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Generic, TypedDict, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue

from twofold.checking import checked
from twofold.errors import InvalidRequest
from twofold.schema import (
    AcceptedDocuments,
    AddDocuments,
    ApiKey,
    ApiScope,
    CompareDocuments,
    CreateKey,
    Document,
    DocumentContent,
    DocumentList,
    DocumentStatus,
    DocumentText,
    Embedded,
    Filter,
    Fusion,
    Health,
    KeyList,
    McpAnswer,
    Metadata,
    NewApiKey,
    PassageList,
    Readiness,
    Recall,
    Rerank,
    Reranked,
    SearchAnswers,
    SearchBatch,
    SearchRequest,
    SearchResponse,
    TextKind,
)
from twofold.uploads import Meter

Answer = TypeVar("Answer", bound=BaseModel)

_JSON = {"Content-Type": "application/json"}
_SLOWEST_UPLOAD = 250_000  # bytes a second; the deadline of an upload grows with its size
_TOOL_S = 15.0  # that a tool may take beyond the client's timeout: a search has 10 s
_LONGEST_SILENCE_S = 30.0  # of a stream of events, which says every 15 s that it is alive
_DEADLINE_MARGIN_S = 5.0  # beyond the request's own deadline, for the way there and back


class SearchOptions(TypedDict, total=False):
    """The fields of `SearchRequest` beside the query; plain dicts stand for the nested ones."""

    collection: str
    limit: int
    offset: int
    filter: Filter | Mapping[str, JsonValue] | None
    recall: Recall | Mapping[str, JsonValue]
    rerank: Rerank | Mapping[str, JsonValue]
    fusion: Fusion | Mapping[str, JsonValue]
    deadline_ms: int
    min_score: float | None
    group_by_document: int | None
    diversity: float | None
    context: int
    highlight: bool
    explain: bool
    pages: bool
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, complete but for the server that it goes to.

    Attributes:
        answer: The model that a success is parsed into.
        headers: Beside those that every request has.
        files: From the name that each is stored under to where it lies; read while it is sent.
        watched: Tells how much of the files has been sent, to whoever wants to know.
        idempotent: Whether sending it twice leaves what sending it once does.
        extra_s: Seconds that it may take beyond the client's timeout.
        also: Statuses beside 2xx that carry the answer.
    """

    method: str
    path: str
    answer: type[Answer]
    params: Sequence[tuple[str, str]] = ()
    content: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    watched: Meter | None = None
    idempotent: bool = True
    extra_s: float = 0.0
    also: frozenset[int] = frozenset()

    @contextmanager
    def request(
        self, http: httpx.Client | httpx.AsyncClient, timeout: float
    ) -> Iterator[httpx.Request]:
        """The request for a server; its files are open as long as the context is."""
        with ExitStack() as stack:
            files = [
                ("files", (name, stack.enter_context(self._opened(name, path))))
                for name, path in self.files.items()
            ]
            yield http.build_request(
                self.method,
                self.path,
                params=list(self.params) or None,
                content=self.content,
                data=dict(self.form) or None,
                files=files or None,
                headers={**(_JSON if self.content else {}), **self.headers},
                timeout=timeout,
            )

    def _opened(self, name: str, path: Path) -> BinaryIO:
        return self.watched.open(name, path) if self.watched else path.open("rb")


# --- What can be asked ----------------------------------------------------------------------


def add_files(
    files: Mapping[str, Path],
    *,
    collection: str,
    metadata: Metadata | None,
    watched: Meter | None = None,
) -> Call[AcceptedDocuments]:
    """`POST /documents` as a form. The same files again are found unchanged, so it may repeat."""
    form = {"collection": collection}
    if metadata:
        form["metadata"] = json.dumps(metadata)
    seconds = sum(path.stat().st_size for path in files.values()) / _SLOWEST_UPLOAD
    return Call(
        "POST",
        "/documents",
        AcceptedDocuments,
        form=form,
        files=files,
        watched=watched,
        extra_s=seconds,
    )


def compare(
    hashes: Mapping[str, str], *, collection: str, metadata: Metadata | None
) -> Call[AcceptedDocuments]:
    """`POST /documents/compare`."""
    files = [{"name": name, "sha256": sha256} for name, sha256 in hashes.items()]
    about = {"metadata": metadata} if metadata else {}
    body = checked(CompareDocuments, {"files": files, "collection": collection, **about})
    return Call("POST", "/documents/compare", AcceptedDocuments, content=_json(body))


def add_texts(documents: Sequence[DocumentText], *, collection: str) -> Call[AcceptedDocuments]:
    """`POST /documents` as JSON."""
    body = checked(AddDocuments, {"documents": documents, "collection": collection})
    content = _json(body)
    seconds = len(content) / _SLOWEST_UPLOAD
    return Call("POST", "/documents", AcceptedDocuments, content=content, extra_s=seconds)


def documents(
    collection: str, status: DocumentStatus | Sequence[DocumentStatus], cursor: str | None
) -> Call[DocumentList]:
    """`GET /documents`: one page."""
    states = [status] if isinstance(status, str) else status
    params = [("collection", collection), *(("status", state) for state in states)]
    if cursor is not None:
        params.append(("cursor", cursor))
    return Call("GET", "/documents", DocumentList, params=params)


def document(document_id: str, collection: str) -> Call[Document]:
    """`GET /documents/{id}`."""
    return _of_document("GET", document_id, "", collection, Document)


def content(document_id: str, collection: str) -> Call[DocumentContent]:
    """`GET /documents/{id}/content`."""
    return _of_document("GET", document_id, "/content", collection, DocumentContent)


def chunks(document_id: str, collection: str) -> Call[PassageList]:
    """`GET /documents/{id}/chunks`."""
    return _of_document("GET", document_id, "/chunks", collection, PassageList)


def events(document_id: str, collection: str) -> Call[Document]:
    """`GET /documents/{id}/events`: a stream, to be read with `Events`."""
    return _of_document(
        "GET", document_id, "/events", collection, Document, extra_s=_LONGEST_SILENCE_S
    )


def delete(document_id: str, collection: str) -> Call[Document]:
    """`DELETE /documents/{id}`; a second one finds nothing, so it is not repeated."""
    return _of_document("DELETE", document_id, "", collection, Document, idempotent=False)


def retry(document_id: str, collection: str) -> Call[Document]:
    """`POST /documents/{id}/retry`."""
    return _of_document("POST", document_id, "/retry", collection, Document, idempotent=False)


def search(query: str | SearchRequest, options: SearchOptions) -> Call[SearchResponse]:
    """`POST /search`."""
    base = {"query": query} if isinstance(query, str) else _fields(query)
    request = checked(SearchRequest, {**base, **options})
    seconds = request.deadline_ms / 1_000 + _DEADLINE_MARGIN_S
    return Call("POST", "/search", SearchResponse, content=_json(request), extra_s=seconds)


def paged(options: SearchOptions) -> SearchOptions:
    """The options of the first page of several."""
    first: SearchOptions = {**options, "pages": True}
    return first


def continued(options: SearchOptions, cursor: str) -> SearchOptions:
    """The options of the page that a cursor leads to."""
    later: SearchOptions = {**options, "offset": 0, "cursor": cursor}
    return later


def search_batch(searches: Sequence[str | SearchRequest]) -> Call[SearchAnswers]:
    """`POST /search/batch`."""
    asked = [{"query": each} if isinstance(each, str) else _fields(each) for each in searches]
    batch = checked(SearchBatch, {"searches": asked})
    longest = max(each.deadline_ms for each in batch.searches)
    seconds = longest / 1_000 + _DEADLINE_MARGIN_S
    return Call("POST", "/search/batch", SearchAnswers, content=_json(batch), extra_s=seconds)


def keys() -> Call[KeyList]:
    """`GET /keys`."""
    return Call("GET", "/keys", KeyList)


def create_key(
    name: str, scopes: Sequence[ApiScope], expires_in_days: int | None
) -> Call[NewApiKey]:
    """`POST /keys`; a second one makes another key, so it is not repeated."""
    asked = {"name": name, "scopes": scopes, "expires_in_days": expires_in_days}
    body = _json(checked(CreateKey, asked))
    return Call("POST", "/keys", NewApiKey, content=body, idempotent=False)


def revoke_key(key_id: str) -> Call[ApiKey]:
    """`DELETE /keys/{id}`; a second one finds nothing, so it is not repeated."""
    return Call("DELETE", f"/keys/{_segment(key_id, 'key_id')}", ApiKey, idempotent=False)


def rerank(
    query: str,
    documents: Sequence[str],
    *,
    top_n: int | None,
    instruction: str | None,
    deadline_ms: int,
) -> Call[Reranked]:
    """`POST /v1/rerank`, which scores all of them by the deadline or fails."""
    body = {
        "query": query,
        "documents": list(documents),
        "top_n": top_n,
        "instruction": instruction,
        "return_documents": False,
    }
    return Call(
        "POST",
        "/v1/rerank",
        Reranked,
        content=json.dumps(body),
        headers={"X-Deadline-Ms": str(deadline_ms)},
        extra_s=deadline_ms / 1_000 + _DEADLINE_MARGIN_S,
    )


def embed(
    texts: Sequence[str], *, kind: TextKind, dimensions: int | None, deadline_ms: int
) -> Call[Embedded]:
    """`POST /v1/embeddings`, with the vectors in base64: a quarter of what they are as digits."""
    body: dict[str, JsonValue] = {
        "input": list(texts),
        "input_type": kind,
        "encoding_format": "base64",
    }
    if dimensions is not None:
        body["dimensions"] = dimensions
    return Call(
        "POST",
        "/v1/embeddings",
        Embedded,
        content=json.dumps(body),
        headers={"X-Deadline-Ms": str(deadline_ms)},
        extra_s=deadline_ms / 1_000 + _DEADLINE_MARGIN_S,
    )


def mcp(message: Mapping[str, JsonValue], headers: Mapping[str, str]) -> Call[McpAnswer]:
    """`POST /mcp`: a message that wants an answer; the tools only read, so it may be repeated."""
    content = json.dumps(message)
    return Call(
        "POST",
        "/mcp",
        McpAnswer,
        content=content,
        headers=headers,
        extra_s=_TOOL_S,
        also=frozenset({400, 404, 406}),
    )


def health() -> Call[Health]:
    """`GET /healthz`."""
    return Call("GET", "/healthz", Health)


def ready() -> Call[Readiness]:
    """`GET /readyz`, which says 503 and why while it is not."""
    return Call("GET", "/readyz", Readiness, also=frozenset({503}))


# --- Details --------------------------------------------------------------------------------


def _of_document(
    method: str,
    document_id: str,
    part: str,
    collection: str,
    answer: type[Answer],
    *,
    idempotent: bool = True,
    extra_s: float = 0.0,
) -> Call[Answer]:
    return Call(
        method,
        f"/documents/{_segment(document_id, 'document_id')}{part}",
        answer,
        params=[("collection", collection)],
        idempotent=idempotent,
        extra_s=extra_s,
    )


def _segment(name: str, field: str) -> str:
    """A name as one segment of a path."""
    if not name:
        raise InvalidRequest(field=field, reason="it is empty")
    segment = quote(name, safe="")
    return segment.replace(".", "%2E") if segment in {".", ".."} else segment  # not swallowed


def _fields(request: SearchRequest) -> dict[str, object]:
    """What the caller has set; the rest is left to the server, whatever its age."""
    return request.model_dump(by_alias=True, exclude_unset=True)


def _json(body: BaseModel) -> str:
    return body.model_dump_json(by_alias=True, exclude_unset=True)
