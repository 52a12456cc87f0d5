"""The client that blocks; `AsyncClient` in `async_client.py` has the same methods, to be awaited.

    with Client() as twofold:
        twofold.add_files(["paper.pdf"], wait=60)
        for result in twofold.search("how long does a bow dry?").results:
            print(result.rank, result.name, result.text)

What they ask is in `calls.py`, how they read the answer in `answers.py`, when they try again in
`tries.py`; what is left here is the waiting. Every method raises a `TwofoldError`: the class that
the server raised, ConnectionFailed when none answers, UnexpectedResponse when it is not Twofold.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Self, Unpack

import httpx
from pydantic import JsonValue

from twofold import calls, collection_calls
from twofold.answers import Events, failure, read
from twofold.calls import Answer, Call, SearchOptions
from twofold.collection_calls import CollectionOptions, InstructionOptions, RebuildOptions
from twofold.connection import Connection
from twofold.errors import TwofoldError
from twofold.schema import (
    AcceptedDocument,
    AcceptedDocuments,
    ApiKey,
    ApiScope,
    CollectionInfo,
    Document,
    DocumentContent,
    DocumentStatus,
    DocumentText,
    Embedded,
    Health,
    McpAnswer,
    Metadata,
    NewApiKey,
    PassageList,
    Readiness,
    Reranked,
    SearchAnswer,
    SearchRequest,
    SearchResponse,
    TextKind,
)
from twofold.tries import connection_failed, polls
from twofold.uploads import (
    Meter,
    OnSent,
    Paths,
    file_batches,
    joined,
    named,
    pending,
    text_batches,
    updated,
)


class Client(Connection):
    """Talks to a Twofold server and blocks for its answers; safe to share between threads.

    Args:
        base_url: Default: the environment variable TWOFOLD_URL, else http://127.0.0.1:8000.
        api_key: Default: the environment variable TWOFOLD_API_KEY, else none is sent.
        timeout: Seconds for a call with all its tries. An upload gets more by its size, a search
            more by its own deadline.
        retries: Tries after the first when the server is away or busy, of calls that may be
            repeated: all but `delete` and `retry`. A `Retry-After` is obeyed.
        backoff: Seconds before the second try; doubles with each.
        transport: What carries the requests instead of a socket, as in httpx.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        backoff: float = 0.25,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, api_key, timeout, retries, backoff)
        self._http = httpx.Client(
            base_url=self.base_url, headers=self._headers, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def add_files(
        self,
        paths: Paths,
        *,
        collection: str = "default",
        metadata: Metadata | None = None,
        wait: float = 0.0,
        on_sent: OnSent | None = None,
    ) -> AcceptedDocuments:
        """Upload files, in as many requests as their number and size ask for.

        Args:
            paths: Files, stored under their own names; or a mapping from the name to store to
                the file. A name that is there already becomes a new version if the bytes differ.
            collection: Comes into being with the first upload.
            metadata: Of every one of them.
            wait: Seconds to wait after the upload until they can be searched.
            on_sent: Called every 64 kB or so with how much of all files has been sent.

        Raises:
            TwofoldError: A request of which nothing was accepted; what was uploaded before it
                is kept, and the same call again finds that unchanged.
        """
        every = named(paths)
        meter = Meter(every, on_sent) if on_sent else None
        answers = [
            self._send(
                calls.add_files(files, collection=collection, metadata=metadata, watched=meter)
            )
            for files in file_batches(every)
        ]
        return self._settled(joined(answers), collection, wait)

    def add_texts(
        self,
        documents: Iterable[DocumentText],
        *,
        collection: str = "default",
        wait: float = 0.0,
    ) -> AcceptedDocuments:
        """Upload texts; otherwise as `add_files`."""
        answers = [
            self._send(calls.add_texts(texts, collection=collection))
            for texts in text_batches(documents)
        ]
        return self._settled(joined(answers), collection, wait)

    def unchanged(
        self,
        hashes: Mapping[str, str],
        *,
        collection: str = "default",
        metadata: Metadata | None = None,
    ) -> list[AcceptedDocument]:
        """The documents that need no upload, because their bytes and metadata are known.

        Args:
            hashes: SHA-256 in hexadecimal by name; at most 1,000.
            collection: Need not exist.
            metadata: With which they would be uploaded.
        """
        call = calls.compare(hashes, collection=collection, metadata=metadata)
        return self._send(call).documents

    def documents(
        self, collection: str = "default", *, status: DocumentStatus | Sequence[DocumentStatus] = ()
    ) -> Iterator[Document]:
        """Every document, or those in one of the given states; pages are fetched on the way."""
        cursor = None
        while True:
            page = self._send(calls.documents(collection, status, cursor))
            yield from page.documents
            if (cursor := page.cursor) is None:
                return

    def document(self, document_id: str, *, collection: str = "default") -> Document:
        """One document as it is now."""
        return self._send(calls.document(document_id, collection))

    def content(self, document_id: str, *, collection: str = "default") -> DocumentContent:
        """The text that the offsets of results count in."""
        return self._send(calls.content(document_id, collection))

    def chunks(self, document_id: str, *, collection: str = "default") -> PassageList:
        """The passages of a document in reading order."""
        return self._send(calls.chunks(document_id, collection))

    def events(self, document_id: str, *, collection: str = "default") -> Iterator[Document]:
        """The document each time that it changes, until it is ready or failed."""
        call = calls.events(document_id, collection)
        stream = Events(self.base_url)
        try:
            with (
                call.request(self._http, self._timeout + call.extra_s) as request,
                closing(self._http.send(request, stream=True)) as response,
            ):
                if not response.is_success:
                    response.read()
                    raise failure(response)
                for chunk in response.iter_bytes():
                    yield from stream.feed(chunk)
                    if stream.done:
                        return
                stream.end()
        except httpx.RequestError as error:
            raise connection_failed(self.base_url, error) from error

    def wait(
        self,
        document_ids: str | Iterable[str],
        *,
        collection: str = "default",
        timeout: float = 60.0,
    ) -> list[Document]:
        """Wait until all are ready or failed, or the time is up; each as it is then.

        Look at `final` and `status` of each: running out of time is not an error.
        """
        ids = [document_ids] if isinstance(document_ids, str) else document_ids
        pauses = polls(timeout)
        return [self._final(each, collection, pauses) for each in ids]

    def delete(self, document_id: str, *, collection: str = "default") -> Document:
        """Remove a document and its passages; returns what it was."""
        return self._send(calls.delete(document_id, collection))

    def retry(self, document_id: str, *, collection: str = "default") -> Document:
        """Queue a failed document once more."""
        return self._send(calls.retry(document_id, collection))

    def search(
        self, query: str | SearchRequest, **options: Unpack[SearchOptions]
    ) -> SearchResponse:
        """Ranked passages for a question.

        Args:
            query: The question, or a whole request.
            **options: Fields of `SearchRequest`, such as `limit=5` or `rerank={"depth": 20}`.
        """
        return self._send(calls.search(query, options))

    def search_pages(
        self, query: str | SearchRequest, **options: Unpack[SearchOptions]
    ) -> Iterator[SearchResponse]:
        """One ranking, page by page; `limit` is the length of a page, the rest as in `search`.

        Later pages are of the ranking that the first one began: nothing is searched again.
        """
        page = self.search(query, **calls.paged(options))
        yield page
        while page.cursor is not None:
            page = self.search(query, **calls.continued(options, page.cursor))
            yield page

    def search_batch(self, searches: Sequence[str | SearchRequest]) -> list[SearchAnswer]:
        """Several searches side by side, in their order; each has its response or its error."""
        return self._send(calls.search_batch(searches)).answers

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        instruction: str | None = None,
        deadline_ms: int = 30_000,
    ) -> Reranked:
        """Texts from anywhere, scored by the second stage alone and ordered, best first.

        Args:
            query: The question.
            documents: 1 to 1,000 texts.
            top_n: So many of the best; None: all of them.
            instruction: Refused where the reranker takes none.
            deadline_ms: All texts are scored by then, or the call fails.

        Raises:
            TwofoldError: Not all of them were scored; there is no part of an answer.
        """
        call = calls.rerank(
            query, documents, top_n=top_n, instruction=instruction, deadline_ms=deadline_ms
        )
        return self._send(call)

    def embed(
        self,
        texts: Sequence[str],
        *,
        kind: TextKind = "passage",
        dimensions: int | None = None,
        deadline_ms: int = 30_000,
    ) -> Embedded:
        """Vectors of texts from anywhere, in their order and of unit length.

        Args:
            texts: 1 to 2,048.
            kind: Models read a question otherwise than a passage that may answer it.
            dimensions: Shorter vectors, of models that were trained for it (MRL).
            deadline_ms: All of them are there by then, or the call fails.
        """
        call = calls.embed(texts, kind=kind, dimensions=dimensions, deadline_ms=deadline_ms)
        return self._send(call)

    def keys(self) -> list[ApiKey]:
        """The API keys of your tenant, without what is secret; needs a key with `admin`."""
        return self._send(calls.keys()).keys

    def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[ApiScope] = ("read",),
        expires_in_days: int | None = None,
    ) -> NewApiKey:
        """Make a key for your tenant; the answer is the only place where it can be read."""
        return self._send(calls.create_key(name, scopes, expires_in_days))

    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key of your tenant, by id; returns what it was."""
        return self._send(calls.revoke_key(key_id))

    def mcp(
        self, message: Mapping[str, JsonValue], headers: Mapping[str, str] | None = None
    ) -> McpAnswer:
        """Pass on a message of the Model Context Protocol that wants an answer.

        Programs rather use a library that speaks it; this is for what stands between two others.
        """
        return self._send(calls.mcp(message, headers or {}))

    def create_collection(self, name: str, **settings: Unpack[CollectionOptions]) -> CollectionInfo:
        """Make an empty collection.

        Args:
            name: Of the collection.
            **settings: Fields of `CreateCollection`, such as `language="german"`.
        """
        return self._send(collection_calls.create(name, settings))

    def collections(self) -> list[CollectionInfo]:
        """All of them, by name."""
        return self._send(collection_calls.every()).collections

    def collection(self, name: str) -> CollectionInfo:
        """One of them: its settings, what it holds, and how far its rebuild is."""
        return self._send(collection_calls.one(name))

    def change_collection(
        self, name: str, **instructions: Unpack[InstructionOptions]
    ) -> CollectionInfo:
        """Set the instructions of its searches; what is left out stays, None takes it away."""
        return self._send(collection_calls.change(name, instructions))

    def delete_collection(self, name: str) -> CollectionInfo:
        """Remove a collection with everything in it, for good; returns what it was."""
        return self._send(collection_calls.delete(name))

    def rebuild_collection(
        self, name: str, *, wait: float = 0.0, **settings: Unpack[RebuildOptions]
    ) -> CollectionInfo:
        """Make all passages anew beside the old ones; searches and uploads go on meanwhile.

        Args:
            name: Of the collection.
            wait: Seconds to wait until it is done, or waits for somebody; as `rebuild_progress`.
            **settings: Fields of `RebuildCollection`; what is left out stays as it is.
        """
        collection = self._send(collection_calls.rebuild(name, settings))
        for each in self.rebuild_progress(name, timeout=wait) if wait > 0 else ():
            collection = each
        return collection

    def rebuild_progress(self, name: str, *, timeout: float = 3_600.0) -> Iterator[CollectionInfo]:
        """The collection now, and then again and again until nothing more happens by itself.

        Look at `rebuild.state`: running out of time is not an error, and neither is a rebuild
        that waits for its switch.
        """
        pauses = polls(timeout)
        while True:
            collection = self.collection(name)
            yield collection
            if collection.rebuild is None or collection.rebuild.resting:
                return
            if (pause := next(pauses, None)) is None:
                return
            time.sleep(pause)

    def switch_rebuild(self, name: str) -> CollectionInfo:
        """Let searches use what a rebuild has made that waits for this."""
        return self._send(collection_calls.switch(name))

    def cancel_rebuild(self, name: str) -> CollectionInfo:
        """Give a rebuild up; the collection is as if there had been none."""
        return self._send(collection_calls.cancel(name))

    def health(self) -> Health:
        """Whether the process is alive."""
        return self._send(calls.health())

    def ready(self) -> Readiness:
        """Whether a search or an upload would be served now; not being ready is no error."""
        return self._send(calls.ready())

    def _final(self, document_id: str, collection: str, pauses: Iterator[float]) -> Document:
        call = calls.document(document_id, collection)
        document = self._send(call)
        while not document.final and (pause := next(pauses, None)) is not None:
            time.sleep(pause)
            document = self._send(call)
        return document

    def _settled(
        self, accepted: AcceptedDocuments, collection: str, seconds: float
    ) -> AcceptedDocuments:
        unfinished = pending(accepted)
        if not unfinished or seconds <= 0:
            return accepted
        return updated(accepted, self.wait(unfinished, collection=collection, timeout=seconds))

    def _send(self, call: Call[Answer]) -> Answer:
        tries = self._tries(call)
        while True:
            try:
                with call.request(self._http, tries.remaining_s) as request:
                    return read(call, self._http.send(request))
            except (TwofoldError, httpx.RequestError) as error:
                pause = tries.pause_after(error)
            time.sleep(pause)
