"""The client that awaits: the methods of `Client`, for programs that run on an event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
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


class AsyncClient(Connection):
    """The methods and arguments of `Client`, to be awaited or iterated with `async for`."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        backoff: float = 0.25,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, api_key, timeout, retries, backoff)
        self._http = httpx.AsyncClient(
            base_url=self.base_url, headers=self._headers, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def add_files(
        self,
        paths: Paths,
        *,
        collection: str = "default",
        metadata: Metadata | None = None,
        wait: float = 0.0,
        on_sent: OnSent | None = None,
    ) -> AcceptedDocuments:
        """Upload files; see `Client.add_files`."""
        every = named(paths)
        meter = Meter(every, on_sent) if on_sent else None
        answers = [
            await self._send(
                calls.add_files(files, collection=collection, metadata=metadata, watched=meter)
            )
            for files in file_batches(every)
        ]
        return await self._settled(joined(answers), collection, wait)

    async def add_texts(
        self,
        documents: Iterable[DocumentText],
        *,
        collection: str = "default",
        wait: float = 0.0,
    ) -> AcceptedDocuments:
        """Upload texts; otherwise as `add_files`."""
        answers = [
            await self._send(calls.add_texts(texts, collection=collection))
            for texts in text_batches(documents)
        ]
        return await self._settled(joined(answers), collection, wait)

    async def unchanged(
        self,
        hashes: Mapping[str, str],
        *,
        collection: str = "default",
        metadata: Metadata | None = None,
    ) -> list[AcceptedDocument]:
        """As of `Client`."""
        call = calls.compare(hashes, collection=collection, metadata=metadata)
        return (await self._send(call)).documents

    async def documents(
        self, collection: str = "default", *, status: DocumentStatus | Sequence[DocumentStatus] = ()
    ) -> AsyncIterator[Document]:
        """Every document, or those in one of the given states; pages are fetched on the way."""
        cursor = None
        while True:
            page = await self._send(calls.documents(collection, status, cursor))
            for document in page.documents:
                yield document
            if (cursor := page.cursor) is None:
                return

    async def document(self, document_id: str, *, collection: str = "default") -> Document:
        """One document as it is now."""
        return await self._send(calls.document(document_id, collection))

    async def content(self, document_id: str, *, collection: str = "default") -> DocumentContent:
        """The text that the offsets of results count in."""
        return await self._send(calls.content(document_id, collection))

    async def chunks(self, document_id: str, *, collection: str = "default") -> PassageList:
        """The passages of a document in reading order."""
        return await self._send(calls.chunks(document_id, collection))

    async def events(
        self, document_id: str, *, collection: str = "default"
    ) -> AsyncIterator[Document]:
        """The document each time that it changes, until it is ready or failed."""
        call = calls.events(document_id, collection)
        stream = Events(self.base_url)
        try:
            with call.request(self._http, self._timeout + call.extra_s) as request:
                async with aclosing(await self._http.send(request, stream=True)) as response:
                    if not response.is_success:
                        await response.aread()
                        raise failure(response)
                    async for chunk in response.aiter_bytes():
                        for document in stream.feed(chunk):
                            yield document
                        if stream.done:
                            return
                    stream.end()
        except httpx.RequestError as error:
            raise connection_failed(self.base_url, error) from error

    async def wait(
        self,
        document_ids: str | Iterable[str],
        *,
        collection: str = "default",
        timeout: float = 60.0,  # noqa: ASYNC109 - running out of it is an answer, no exception
    ) -> list[Document]:
        """Wait until all are final or the time is up; see `Client.wait`."""
        ids = [document_ids] if isinstance(document_ids, str) else document_ids
        pauses = polls(timeout)
        return [await self._final(each, collection, pauses) for each in ids]

    async def delete(self, document_id: str, *, collection: str = "default") -> Document:
        """Remove a document and its passages; returns what it was."""
        return await self._send(calls.delete(document_id, collection))

    async def retry(self, document_id: str, *, collection: str = "default") -> Document:
        """Queue a failed document once more."""
        return await self._send(calls.retry(document_id, collection))

    async def search(
        self, query: str | SearchRequest, **options: Unpack[SearchOptions]
    ) -> SearchResponse:
        """Ranked passages for a question; see `Client.search`."""
        return await self._send(calls.search(query, options))

    async def search_pages(
        self, query: str | SearchRequest, **options: Unpack[SearchOptions]
    ) -> AsyncIterator[SearchResponse]:
        """As of `Client`."""
        page = await self.search(query, **calls.paged(options))
        yield page
        while page.cursor is not None:
            page = await self.search(query, **calls.continued(options, page.cursor))
            yield page

    async def search_batch(self, searches: Sequence[str | SearchRequest]) -> list[SearchAnswer]:
        """As of `Client`."""
        answers = await self._send(calls.search_batch(searches))
        return answers.answers

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        instruction: str | None = None,
        deadline_ms: int = 30_000,
    ) -> Reranked:
        """Texts scored by the second stage alone, best first; see `Client.rerank`."""
        call = calls.rerank(
            query, documents, top_n=top_n, instruction=instruction, deadline_ms=deadline_ms
        )
        return await self._send(call)

    async def embed(
        self,
        texts: Sequence[str],
        *,
        kind: TextKind = "passage",
        dimensions: int | None = None,
        deadline_ms: int = 30_000,
    ) -> Embedded:
        """Vectors of texts from anywhere; see `Client.embed`."""
        call = calls.embed(texts, kind=kind, dimensions=dimensions, deadline_ms=deadline_ms)
        return await self._send(call)

    async def keys(self) -> list[ApiKey]:
        """The API keys of your tenant, without what is secret; needs a key with `admin`."""
        return (await self._send(calls.keys())).keys

    async def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[ApiScope] = ("read",),
        expires_in_days: int | None = None,
    ) -> NewApiKey:
        """Make a key for your tenant; the answer is the only place where it can be read."""
        return await self._send(calls.create_key(name, scopes, expires_in_days))

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key of your tenant, by id; returns what it was."""
        return await self._send(calls.revoke_key(key_id))

    async def mcp(
        self, message: Mapping[str, JsonValue], headers: Mapping[str, str] | None = None
    ) -> McpAnswer:
        """Pass on a message of the Model Context Protocol that wants an answer.

        Programs rather use a library that speaks it; this is for what stands between two others.
        """
        return await self._send(calls.mcp(message, headers or {}))

    async def create_collection(
        self, name: str, **settings: Unpack[CollectionOptions]
    ) -> CollectionInfo:
        """Make an empty collection; see `Client.create_collection`."""
        return await self._send(collection_calls.create(name, settings))

    async def collections(self) -> list[CollectionInfo]:
        """All of them, by name."""
        return (await self._send(collection_calls.every())).collections

    async def collection(self, name: str) -> CollectionInfo:
        """One of them: its settings, what it holds, and how far its rebuild is."""
        return await self._send(collection_calls.one(name))

    async def change_collection(
        self, name: str, **instructions: Unpack[InstructionOptions]
    ) -> CollectionInfo:
        """Set the instructions of its searches; what is left out stays, None takes it away."""
        return await self._send(collection_calls.change(name, instructions))

    async def delete_collection(self, name: str) -> CollectionInfo:
        """Remove a collection with everything in it, for good; returns what it was."""
        return await self._send(collection_calls.delete(name))

    async def rebuild_collection(
        self, name: str, *, wait: float = 0.0, **settings: Unpack[RebuildOptions]
    ) -> CollectionInfo:
        """Make all passages anew beside the old ones; see `Client.rebuild_collection`."""
        collection = await self._send(collection_calls.rebuild(name, settings))
        if wait > 0:
            async for each in self.rebuild_progress(name, timeout=wait):
                collection = each
        return collection

    async def rebuild_progress(
        self,
        name: str,
        *,
        timeout: float = 3_600.0,  # noqa: ASYNC109 - running out of it is an answer, no exception
    ) -> AsyncIterator[CollectionInfo]:
        """The collection until nothing more happens by itself; see `Client.rebuild_progress`."""
        pauses = polls(timeout)
        while True:
            collection = await self.collection(name)
            yield collection
            if collection.rebuild is None or collection.rebuild.resting:
                return
            if (pause := next(pauses, None)) is None:
                return
            await asyncio.sleep(pause)

    async def switch_rebuild(self, name: str) -> CollectionInfo:
        """Let searches use what a rebuild has made that waits for this."""
        return await self._send(collection_calls.switch(name))

    async def cancel_rebuild(self, name: str) -> CollectionInfo:
        """Give a rebuild up; the collection is as if there had been none."""
        return await self._send(collection_calls.cancel(name))

    async def health(self) -> Health:
        """Whether the process is alive."""
        return await self._send(calls.health())

    async def ready(self) -> Readiness:
        """Whether a search or an upload would be served now; not being ready is no error."""
        return await self._send(calls.ready())

    async def _final(self, document_id: str, collection: str, pauses: Iterator[float]) -> Document:
        call = calls.document(document_id, collection)
        document = await self._send(call)
        while not document.final and (pause := next(pauses, None)) is not None:
            await asyncio.sleep(pause)
            document = await self._send(call)
        return document

    async def _settled(
        self, accepted: AcceptedDocuments, collection: str, seconds: float
    ) -> AcceptedDocuments:
        unfinished = pending(accepted)
        if not unfinished or seconds <= 0:
            return accepted
        return updated(
            accepted, await self.wait(unfinished, collection=collection, timeout=seconds)
        )

    async def _send(self, call: Call[Answer]) -> Answer:
        tries = self._tries(call)
        while True:
            try:
                with call.request(self._http, tries.remaining_s) as request:
                    return read(call, await self._http.send(request))
            except (TwofoldError, httpx.RequestError) as error:
                pause = tries.pause_after(error)
            await asyncio.sleep(pause)
