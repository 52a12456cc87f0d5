"""The row of a document's last upload, on whichever ledger it is.

For a moment after the switch of a rebuild, an upload that came right before it is on the ledger of
the former generation alone, until it is carried over, see `rebuild`. Callers see nothing of that:
to them a document has one row.
"""

from contextlib import suppress
from typing import NamedTuple

from pipelines.generations import is_behind
from pipelines.ports import Store
from twofold.errors import DocumentNotFound, GenerationNotFound
from twofold.schema import Document


class Rows(NamedTuple):
    """A document as it is on the ledger that searches go by, and as its last upload left it.

    They are the same object, unless the upload has not come to that ledger yet. None: it is on no
    ledger.
    """

    live: Document | None
    newest: Document | None


async def newest_row(store: Store, tenant: str, collection: str, document_id: str) -> Document:
    """The row of the last upload. Raises CollectionNotFound, DocumentNotFound."""
    _, newest = await rows_of(store, tenant, collection, document_id)
    if newest is None:
        raise DocumentNotFound(document_id=document_id, collection=collection)
    return newest


async def rows_of(store: Store, tenant: str, collection: str, document_id: str) -> Rows:
    """Both rows of a document. Raises CollectionNotFound."""
    live = newest = await find_row(store, tenant, collection, document_id)
    # A collection that was never rebuilt has no former generation: nearly all are spared a look.
    if (await store.get_collection(tenant, collection)).generation > 1:
        for generation in await store.generations(tenant, collection):
            if generation.state == "former":
                former = None
                with suppress(GenerationNotFound):  # dropped meanwhile
                    address = generation.collection.address
                    former = await find_row(store, tenant, address, document_id)
                if former is not None and is_behind(newest, former):
                    newest = _brought(former, collection, live)
    return Rows(live, newest)


async def find_row(store: Store, tenant: str, address: str, document_id: str) -> Document | None:
    """The row on one ledger, if it is there. Raises CollectionNotFound, GenerationNotFound."""
    try:
        return await store.get_document(tenant, address, document_id)
    except DocumentNotFound:
        return None


def _brought(former: Document, collection: str, live: Document | None) -> Document:
    """A row of the former ledger as it will be on the other one: what is live is there already."""
    return former.model_copy(
        update={
            "collection": collection,
            "live_version": live.live_version if live else None,
            "chunks": live.chunks if live else 0,
            "title": live.title if live else None,
        }
    )
