"""What one tenant has, for the tools to look into: with its limits, as everywhere."""

import asyncio

from pipelines.ports import Collection
from services.api.parts import Parts, Tenant
from services.api.routes.search import Search
from twofold.schema import Document, DocumentContent, DocumentStatus, SearchRequest, SearchResponse


class Library:
    """The collections of the tenant whose key came with the request, and of nobody else."""

    def __init__(self, parts: Parts, tenant: Tenant, searches: Search) -> None:
        self._parts = parts
        self._tenant = tenant
        self._searches = searches

    async def search(self, request: SearchRequest) -> SearchResponse:
        """As `POST /search`, quotas and refusals included."""
        return await self._searches(request)

    async def document(self, collection: str, document_id: str) -> tuple[Document, DocumentContent]:
        """A document's row and its whole text.

        Raises:
            NotFound: There is no such document, or nothing has been extracted from it yet.
        """
        row = await self._parts.documents.find(self._tenant, collection, document_id)
        text = await self._parts.documents.content(self._tenant, collection, document_id)
        return row, text

    async def collections(self) -> list[tuple[Collection, dict[DocumentStatus, int]]]:
        """The collections in which the tenant has documents, with how many in which state."""
        store = self._parts.store
        found = await store.list_collections(self._tenant)
        counts = [store.count_documents(self._tenant, each.name) for each in found]
        return list(zip(found, await asyncio.gather(*counts), strict=True))


async def library_of(parts: Parts, tenant: Tenant, searches: Search) -> Library:
    """The collections of whoever asks."""
    return Library(parts, tenant, searches)
