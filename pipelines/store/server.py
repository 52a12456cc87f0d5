"""The store of the distributed mode: a Qdrant server or cluster, used by any number of processes.

What one generation of a collection does is in `server_space`, where generations lie and what is
written down of them in `server_catalogue`. Here the two come together: each call finds its
generation by an entry that may be a second old, and is repeated if that has led it astray.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from pipelines.ports import (
    Candidate,
    Chunk,
    Collection,
    DocumentPage,
    Generation,
    Health,
    RecallQuery,
    Vectors,
    plain_name,
)
from pipelines.store import records
from pipelines.store.catalogue import Entry, Kept, place_of, space_of
from pipelines.store.conditions import every, match
from pipelines.store.connection import Connection, NoSuchCollection, Server
from pipelines.store.records import Payload
from pipelines.store.remote import Layout, RemoteCollection
from pipelines.store.rules import UNFINISHED, check_name, oldest_first
from pipelines.store.server_catalogue import ROUNDS, ServerCatalogue, View
from pipelines.store.server_space import RemoteSpace
from pipelines.store.server_sweep import Sweep
from twofold.errors import (
    CollectionExists,
    CollectionNotFound,
    DocumentNotFound,
    NotFound,
    TwofoldError,
)
from twofold.schema import Document, DocumentStatus

T = TypeVar("T")

VIEW_S = 1.0


class QdrantStore:
    """`ports.Store` on a server.

    Args:
        server: Where it is; it need not be there yet.
        layout: How new collections are made.
        prefix: What names of collections on the server begin with, where it is shared.
        view_s: How long this process, and so every other one, may take to notice a switch; they
            must agree on it.
    """

    def __init__(
        self,
        server: Server,
        layout: Layout | None = None,
        *,
        prefix: str = "",
        view_s: float = VIEW_S,
    ) -> None:
        self._connection = Connection(server)
        self._catalogue = ServerCatalogue(
            self._connection, layout or Layout(), prefix=prefix, view_s=view_s
        )

    # --- Collections ------------------------------------------------------------------------

    async def ensure_collection(self, tenant: str, collection: Collection) -> Collection:
        check_name(collection.name)
        view = await self._catalogue.view(tenant, collection.name)
        if not view.entry.exists:
            with suppress(CollectionExists):  # made by somebody else meanwhile
                return await self.create_collection(tenant, collection)
            view = await self._catalogue.view(tenant, collection.name, fresh=True)
        return view.entry.live.collection

    async def create_collection(self, tenant: str, collection: Collection) -> Collection:
        check_name(collection.name)
        await self._catalogue.finish(tenant, collection.name)
        kept = await self._catalogue.reserve(tenant, collection, Entry.new)
        entry = await self._take(tenant, kept, lambda entry: entry.created(kept.number))
        return entry.live.collection

    async def get_collection(self, tenant: str, collection: str) -> Collection:
        view = await self._catalogue.view(tenant, plain_name(collection))
        return view.entry.at(collection).collection

    async def list_collections(self, tenant: str) -> list[Collection]:
        views = await self._catalogue.entries(match("tenant", tenant))
        return [view.entry.live.collection for view in views if view.entry.exists]

    async def instruct_collection(
        self,
        tenant: str,
        name: str,
        *,
        query_instruction: str | None,
        rerank_instruction: str | None,
    ) -> Collection:
        entry = await self._catalogue.change(
            tenant, name, lambda entry: entry.instructed(query_instruction, rerank_instruction)
        )
        return entry.live.collection

    async def delete_collection(self, tenant: str, name: str) -> None:
        await self._catalogue.change(tenant, name, Entry.emptied)
        await self._catalogue.finish(tenant, name)

    # --- Generations ------------------------------------------------------------------------

    async def begin_generation(self, tenant: str, collection: Collection) -> Collection:
        name = collection.name
        await self._catalogue.finish(tenant, name)
        entry = (await self._catalogue.view(tenant, name, fresh=True)).entry
        if entry.building(collection) is None:
            kept = await self._catalogue.reserve(
                tenant, collection, lambda entry: entry.building(collection)
            )
            entry = await self._take(tenant, kept, lambda entry: entry.begun(kept.number))
        building = entry.building(collection)
        assert building  # noqa: S101 - either ours, or that of somebody who was faster
        await self._catalogue.settle()
        return building.collection

    async def _take(self, tenant: str, kept: Kept, change: Callable[[Entry], Entry]) -> Entry:
        """Make a reserved generation a real one, or give the place back."""
        name = kept.collection.name
        try:
            return await self._catalogue.change(tenant, name, change)
        except TwofoldError:
            await self._catalogue.change(tenant, name, lambda entry: entry.without(kept.number))
            raise

    async def generations(self, tenant: str, name: str) -> list[Generation]:
        return (await self._catalogue.view(tenant, name, fresh=True)).entry.shown

    async def unsettled(self) -> AsyncIterator[tuple[str, Generation]]:
        for view in await self._catalogue.entries(match("states", "building", "former")):
            for generation in view.entry.shown:
                if generation.state != "live":
                    yield view.tenant, generation

    async def note_generation(self, tenant: str, collection: str, note: str | None) -> None:
        name = plain_name(collection)
        await self._catalogue.change(tenant, name, lambda entry: entry.noted(collection, note))

    async def switch_generation(self, tenant: str, name: str, generation: int) -> Collection:
        entry = await self._catalogue.change(tenant, name, lambda entry: entry.switched(generation))
        await self._catalogue.settle()
        return entry.live.collection

    async def drop_generation(self, tenant: str, name: str, generation: int) -> None:
        await self._catalogue.change(tenant, name, lambda entry: entry.dropped(generation))
        await self._catalogue.finish(tenant, name)

    # --- Finding the generation -------------------------------------------------------------

    async def _at(
        self, tenant: str, address: str, work: Callable[[RemoteSpace], Awaitable[T]]
    ) -> T:
        """Do something in the generation that an address means."""

        async def there(view: View) -> T:
            return await work(await self._space(view, view.entry.at(address), address))

        return await self._seen(tenant, plain_name(address), there)

    async def _seen(self, tenant: str, name: str, work: Callable[[View], Awaitable[T]]) -> T:
        """Do something by an entry, again if that has changed before it was done."""
        for tries in range(ROUNDS):
            view = await self._catalogue.view(tenant, name)
            try:
                answer = await work(view)
            except NoSuchCollection:
                self._catalogue.forget(view)
                if tries:
                    raise CollectionNotFound(collection=name) from None
            except NotFound:
                if await self._catalogue.is_current(view):
                    raise
            else:
                if await self._catalogue.is_current(view):
                    return answer
        raise CollectionNotFound(collection=name)

    async def _space(self, view: View, kept: Kept, address: str) -> RemoteSpace:
        home = await self._catalogue.home(kept.home)
        return RemoteSpace(home, space_of(view.tenant, kept.collection), kept.collection, address)

    # --- The ledger -------------------------------------------------------------------------

    async def put_documents(
        self,
        tenant: str,
        documents: Sequence[Document],
        *,
        known: Mapping[str, Document | None] | None = None,
    ) -> set[str]:
        if not documents:
            return set()
        [address] = {document.collection for document in documents}
        return await self._at(tenant, address, lambda at: at.put_documents(documents, known))

    async def touch_document(self, tenant: str, document: Document) -> bool:
        with suppress(CollectionNotFound):
            return await self._at(
                tenant, document.collection, lambda at: at.touch_document(document)
            )
        return False

    async def get_document(self, tenant: str, collection: str, document_id: str) -> Document:
        return await self._at(tenant, collection, lambda at: at.get_document(document_id))

    async def find_by_sha256(self, tenant: str, collection: str, sha256: str) -> list[Document]:
        return await self._at(tenant, collection, lambda at: at.find_by_sha256(sha256))

    async def list_documents(
        self,
        tenant: str,
        collection: str,
        *,
        status: Sequence[DocumentStatus] = (),
        cursor: str | None = None,
        limit: int = 100,
    ) -> DocumentPage:
        return await self._at(
            tenant, collection, lambda at: at.list_documents(status, cursor, limit)
        )

    async def count_documents(self, tenant: str, collection: str) -> dict[DocumentStatus, int]:
        return await self._at(tenant, collection, lambda at: at.count_documents())

    async def count_passages(self, tenant: str, collection: str) -> int:
        return await self._at(tenant, collection, lambda at: at.count_passages())

    async def unfinished(self) -> AsyncIterator[tuple[str, Document]]:
        where = every(match("kind", "document"), match("status", *UNFINISHED))
        for home in await self._catalogue.homes("open"):
            with suppress(NoSuchCollection):
                there = await self._catalogue.home(home.name)

                async def page(
                    since: float | None, limit: int, there: RemoteCollection = there
                ) -> list[Payload]:
                    return await there.oldest(where, since=since, limit=limit)

                async for payload in oldest_first(page):
                    tenant, address = place_of(str(payload["space"]))
                    view = await self._catalogue.view(tenant, plain_name(address))
                    if any(each.collection.address == address for each in view.entry.present):
                        yield tenant, records.row_of(payload, address)

    async def delete_document(self, tenant: str, collection: str, document_id: str) -> Document:
        gone: Document | None = None

        async def delete(view: View) -> Document:
            nonlocal gone
            asked = view.entry.at(collection)
            if collection == view.entry.name:
                for each in view.entry.present:
                    if each is not asked:
                        with suppress(DocumentNotFound):
                            other = await self._space(view, each, collection)
                            row = await other.delete_document(document_id)
                            gone = row if each.state == "former" else gone
            try:
                space = await self._space(view, asked, collection)
                gone = await space.delete_document(document_id)
            except DocumentNotFound:
                if gone is None:
                    raise
            return gone

        return await self._seen(tenant, plain_name(collection), delete)

    # --- Chunks -----------------------------------------------------------------------------

    async def vectors_by_sha256(
        self, tenant: str, collection: str, document_id: str
    ) -> dict[str, Vectors]:
        return await self._at(tenant, collection, lambda at: at.vectors_by_sha256(document_id))

    async def stage_chunks(
        self, tenant: str, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        with suppress(CollectionNotFound):
            await self._at(
                tenant, document.collection, lambda at: at.stage_chunks(document, chunks, vectors)
            )

    async def publish(self, tenant: str, document: Document) -> bool:
        with suppress(CollectionNotFound):
            return await self._at(tenant, document.collection, lambda at: at.publish(document))
        return False

    async def get_chunks(self, tenant: str, collection: str, document_id: str) -> list[Chunk]:
        return await self._at(tenant, collection, lambda at: at.get_chunks(document_id))

    async def chunks_by_id(
        self, tenant: str, collection: str, ids: Sequence[str]
    ) -> dict[str, Chunk]:
        return await self._at(tenant, collection, lambda at: at.chunks_by_id(ids))

    async def chunks_between(
        self, tenant: str, collection: str, document_id: str, first: int, last: int
    ) -> list[Chunk]:
        return await self._at(
            tenant, collection, lambda at: at.chunks_between(document_id, first, last)
        )

    async def recall(self, tenant: str, collection: str, query: RecallQuery) -> list[Candidate]:
        return await self._at(tenant, collection, lambda at: at.recall(query))

    # --- The rest ---------------------------------------------------------------------------

    async def sweep(self) -> int:
        return await Sweep(self._catalogue)()

    async def health(self) -> Health:
        return await self._connection.health()

    async def close(self) -> None:
        await self._connection.close()
