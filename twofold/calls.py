"""Requests and answers without the network: what both clients share.

A `Call` is a request complete but for the server that it goes to. The functions below build one
for each thing that the server does; `read` turns the server's response into a model or raises the
error that the server raised. Nothing here sends, sleeps or blocks.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Generic, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from twofold.errors import (
    ConnectionFailed,
    InvalidRequest,
    TwofoldError,
    UnexpectedResponse,
    from_body,
)
from twofold.schema import (
    AcceptedDocuments,
    AddDocuments,
    Document,
    DocumentContent,
    DocumentList,
    DocumentStatus,
    DocumentText,
    ErrorBody,
    Filter,
    Fusion,
    Health,
    Metadata,
    PassageList,
    Readiness,
    Recall,
    Rerank,
    SearchRequest,
    SearchResponse,
)

Item = TypeVar("Item")
Answer = TypeVar("Answer", bound=BaseModel)
Model = TypeVar("Model", bound=BaseModel)

StrPath: TypeAlias = str | os.PathLike[str]
Paths: TypeAlias = StrPath | Iterable[StrPath] | Mapping[str, StrPath]
"""Files under their own names, or a mapping from the name to be stored to the file."""

MAX_UPLOAD_ITEMS = 64
MAX_UPLOAD_BYTES = 8_000_000
"""Bounds of one request; a single larger file is a request of its own."""

_SLOWEST_UPLOAD = 250_000  # bytes a second; the deadline of an upload grows with its size
_SEARCH_MARGIN_S = 5.0  # beyond the search's own deadline, for the way there and back


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


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, complete but for the server that it goes to.

    Attributes:
        answer: The model that a success is parsed into.
        files: From the name that each is stored under to where it lies; read while it is sent.
        idempotent: Whether sending it twice leaves what sending it once does.
        extra_s: Seconds that it may take beyond the client's timeout.
        also: Statuses beside 2xx that carry the answer.
    """

    method: str
    path: str
    answer: type[Answer]
    params: Sequence[tuple[str, str]] = ()
    content: str | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
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
                ("files", (name, stack.enter_context(path.open("rb"))))
                for name, path in self.files.items()
            ]
            yield http.build_request(
                self.method,
                self.path,
                params=list(self.params) or None,
                content=self.content,
                data=dict(self.form) or None,
                files=files or None,
                headers={"Content-Type": "application/json"} if self.content else None,
                timeout=timeout,
            )


# --- What can be asked ----------------------------------------------------------------------


def add_files(
    files: Mapping[str, Path], *, collection: str, metadata: Metadata | None
) -> Call[AcceptedDocuments]:
    """`POST /documents` as a form. The same files again are found unchanged, so it may repeat."""
    form = {"collection": collection}
    if metadata:
        form["metadata"] = json.dumps(metadata)
    seconds = sum(path.stat().st_size for path in files.values()) / _SLOWEST_UPLOAD
    return Call("POST", "/documents", AcceptedDocuments, form=form, files=files, extra_s=seconds)


def add_texts(documents: Sequence[DocumentText], *, collection: str) -> Call[AcceptedDocuments]:
    """`POST /documents` as JSON."""
    body = _valid(AddDocuments, documents=documents, collection=collection)
    content = _json(body)
    seconds = len(content) / _SLOWEST_UPLOAD
    return Call("POST", "/documents", AcceptedDocuments, content=content, extra_s=seconds)


def documents(
    collection: str, status: Sequence[DocumentStatus], cursor: str | None
) -> Call[DocumentList]:
    """`GET /documents`: one page."""
    params = [("collection", collection), *(("status", each) for each in status)]
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
    return _of_document("GET", document_id, "/events", collection, Document)


def delete(document_id: str, collection: str) -> Call[Document]:
    """`DELETE /documents/{id}`; a second one finds nothing, so it is not repeated."""
    return _of_document("DELETE", document_id, "", collection, Document, idempotent=False)


def retry(document_id: str, collection: str) -> Call[Document]:
    """`POST /documents/{id}/retry`."""
    return _of_document("POST", document_id, "/retry", collection, Document, idempotent=False)


def search(query: str | SearchRequest, options: SearchOptions) -> Call[SearchResponse]:
    """`POST /search`."""
    base = {"query": query} if isinstance(query, str) else _fields(query)
    request = _valid(SearchRequest, **{**base, **options})
    seconds = request.deadline_ms / 1_000 + _SEARCH_MARGIN_S
    return Call("POST", "/search", SearchResponse, content=_json(request), extra_s=seconds)


def health() -> Call[Health]:
    """`GET /healthz`."""
    return Call("GET", "/healthz", Health)


def ready() -> Call[Readiness]:
    """`GET /readyz`, which says 503 and why while it is not."""
    return Call("GET", "/readyz", Readiness, also=frozenset({503}))


# --- What comes back ------------------------------------------------------------------------


def read(call: Call[Answer], response: httpx.Response) -> Answer:
    """The answer in a response whose body has been read.

    Raises:
        TwofoldError: The class that the server raised.
        UnexpectedResponse: The body is not Twofold's.
    """
    if not response.is_success and response.status_code not in call.also:
        raise failure(response)
    try:
        return call.answer.model_validate_json(response.content)
    except ValidationError:
        raise _unexpected(response) from None


def failure(response: httpx.Response) -> TwofoldError:
    """The error that a response which is not a success carries."""
    try:
        body = ErrorBody.model_validate_json(response.content)
    except ValidationError:
        return _unexpected(response)
    return from_body(body.error.model_dump(), retry_after=_retry_after(response))


class Events:
    """Reads the server-sent events of one document as their bytes come in.

    The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    _EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
    _LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would also split inside the JSON

    def __init__(self, url: str) -> None:
        self._url = url
        self._rest = b""
        self._done = False

    def feed(self, chunk: bytes) -> Iterator[Document]:
        """The states that this piece completes."""
        *complete, self._rest = self._EVENT_END.split(self._rest + chunk)
        for event in complete:
            lines = self._LINE_END.split(event.decode())
            data = "\n".join(line[5:].lstrip(" ") for line in lines if line.startswith("data:"))
            if data and "event: document" in lines:
                state = Document.model_validate_json(data)
                self._done = state.final
                yield state

    def end(self) -> None:
        """Raises ConnectionFailed when the stream broke off before a final state."""
        if not self._done:
            raise ConnectionFailed(url=self._url, reason="the stream of events broke off")


# --- Uploads --------------------------------------------------------------------------------


def named(paths: Paths) -> dict[str, Path]:
    """Give each file the name that it is stored under.

    Raises:
        InvalidRequest: Two files have the same name, and so would overwrite each other.
    """
    if isinstance(paths, Mapping):
        return {name: Path(path) for name, path in paths.items()}
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    files: dict[str, Path] = {}
    for path in map(Path, paths):
        if path != files.setdefault(path.name, path):
            raise InvalidRequest(
                field="paths",
                reason=f"{files[path.name]} and {path} have the same name and would overwrite "
                "each other; give a mapping from names to files",
            )
    return files


def batches(
    sizes: Iterable[tuple[Item, int]],
    *,
    max_items: int = MAX_UPLOAD_ITEMS,
    max_bytes: int = MAX_UPLOAD_BYTES,
) -> Iterator[list[Item]]:
    """Split (item, bytes) in order into lists that stay within both bounds."""
    batch: list[Item] = []
    total = 0
    for item, size in sizes:
        if batch and (len(batch) == max_items or total + size > max_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch


def file_batches(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Uploads of files that each make one request."""
    for names in batches((name, path.stat().st_size) for name, path in files.items()):
        yield {name: files[name] for name in names}


def text_batches(texts: Iterable[DocumentText]) -> Iterator[list[DocumentText]]:
    """Uploads of texts that each make one request."""
    return batches((text, len(text.text.encode())) for text in texts)


def joined(first: AcceptedDocuments, second: AcceptedDocuments) -> AcceptedDocuments:
    """The answers to two uploads as one."""
    return AcceptedDocuments(
        documents=first.documents + second.documents, rejected=first.rejected + second.rejected
    )


def pending(accepted: AcceptedDocuments) -> list[str]:
    """Ids of the documents that something still happens to."""
    return [document.id for document in accepted.documents if not document.final]


def updated(accepted: AcceptedDocuments, documents: Iterable[Document]) -> AcceptedDocuments:
    """The same verdicts, on the documents as they are by now."""
    now = {document.id: document for document in documents}
    return accepted.model_copy(
        update={
            "documents": [
                each.model_copy(update=dict(now.get(each.id, each))) for each in accepted.documents
            ]
        }
    )


# --- Details --------------------------------------------------------------------------------


def _of_document(
    method: str,
    document_id: str,
    part: str,
    collection: str,
    answer: type[Answer],
    *,
    idempotent: bool = True,
) -> Call[Answer]:
    if not document_id:
        raise InvalidRequest(field="document_id", reason="it is empty")
    segment = quote(document_id, safe="")
    if segment in {".", ".."}:  # which a path would swallow
        segment = segment.replace(".", "%2E")
    return Call(
        method,
        f"/documents/{segment}{part}",
        answer,
        params=[("collection", collection)],
        idempotent=idempotent,
    )


def _valid(model: type[Model], **values: object) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or model.__name__
        raise InvalidRequest(field=where, reason=first["msg"]) from None


def _fields(request: SearchRequest) -> dict[str, object]:
    """What the caller has set; the rest is left to the server, whatever its age."""
    return request.model_dump(by_alias=True, exclude_unset=True)


def _json(body: BaseModel) -> str:
    return body.model_dump_json(by_alias=True, exclude_unset=True)


def _unexpected(response: httpx.Response) -> UnexpectedResponse:
    excerpt = " ".join(response.text[:400].split())
    return UnexpectedResponse(
        url=str(response.url), status=response.status_code, excerpt=excerpt[:200] or "nothing"
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from either form of the header (RFC 9110, section 10.2.3)."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without its zone
        return None
