"""`/collections`: make, look, instruct, rebuild beside the old one, delete."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.api.described import STORE, fails
from services.api.parts import Parts, Tenant
from services.api.watching import changes
from twofold.errors import (
    CollectionExists,
    CollectionNotFound,
    Conflict,
    NotFound,
    RebuildNotFound,
    RebuildUnderWay,
)
from twofold.schema import (
    ChangeCollection,
    CollectionInfo,
    CollectionList,
    CollectionName,
    CreateCollection,
    RebuildCollection,
)

LOOK_S = 0.5  # seconds between two looks at a rebuild that somebody watches

MISSING = (NotFound, CollectionNotFound)

Name = Annotated[CollectionName, Path(description="Of the collection.")]

router = APIRouter(tags=["collections"])


@router.post(
    "/collections",
    status_code=201,
    operation_id="create_collection",
    summary="Make a collection",
    responses=fails(CollectionExists, *STORE),
)
async def create_collection(body: CreateCollection, parts: Parts, tenant: Tenant) -> CollectionInfo:
    """Make an empty collection with settings of its own.

    Without this, the first upload to a name makes one as the server is set to.
    """
    return await parts.collections.create(tenant, body)


@router.get(
    "/collections",
    operation_id="list_collections",
    summary="List collections",
    responses=fails(*STORE),
)
async def list_collections(parts: Parts, tenant: Tenant) -> CollectionList:
    """Your collections by name, empty ones as well."""
    return CollectionList(collections=await parts.collections.all(tenant))


async def get_collection(name: Name, parts: Parts, tenant: Tenant) -> CollectionInfo:
    """What it is made with, what it holds, and how far its rebuild is."""
    return await parts.collections.describe(tenant, name)


router.get(
    "/collections/{name}",
    operation_id="get_collection",
    summary="Look at a collection",
    responses=fails(*MISSING, *STORE),
)(get_collection)


@router.patch(
    "/collections/{name}",
    operation_id="change_collection",
    summary="Change the instructions",
    responses=fails(*MISSING, *STORE),
)
async def change_collection(
    name: Name, body: ChangeCollection, parts: Parts, tenant: Tenant
) -> CollectionInfo:
    """Set the instructions of searches that bring none; everything else takes a rebuild."""
    return await parts.collections.change(tenant, name, body)


@router.delete(
    "/collections/{name}",
    operation_id="delete_collection",
    summary="Remove a collection",
    responses=fails(*MISSING, *STORE),
)
async def delete_collection(name: Name, parts: Parts, tenant: Tenant) -> CollectionInfo:
    """Remove it with its documents, passages and files, for good; returns what it was."""
    return await parts.collections.delete(tenant, name)


@router.post(
    "/collections/{name}/rebuild",
    status_code=202,
    operation_id="rebuild_collection",
    summary="Rebuild a collection",
    responses=fails(*MISSING, RebuildUnderWay, *STORE),
)
async def rebuild_collection(
    name: Name, body: RebuildCollection, parts: Parts, tenant: Tenant
) -> CollectionInfo:
    """Make all passages anew beside the old ones, with another model, chunk size or language.

    Uploads, deletions and searches go on meanwhile, in the old ones. When all is there, and the
    comparison on `queries` has been made, searches switch at one moment: by itself, or by
    `POST /collections/{name}/rebuild/switch` when `switch` says `manual`. Sent again for a rebuild
    that waits, it tries the documents again that have failed.
    """
    return await parts.collections.rebuild(tenant, name, body)


@router.post(
    "/collections/{name}/rebuild/switch",
    operation_id="switch_rebuild",
    summary="Put a rebuild in force",
    responses=fails(*MISSING, RebuildNotFound, Conflict, *STORE),
)
async def switch_rebuild(name: Name, parts: Parts, tenant: Tenant) -> CollectionInfo:
    """Let searches use what a rebuild has made that waits for this."""
    return await parts.collections.switch(tenant, name)


@router.delete(
    "/collections/{name}/rebuild",
    operation_id="cancel_rebuild",
    summary="Give a rebuild up",
    responses=fails(*MISSING, RebuildNotFound, *STORE),
)
async def cancel_rebuild(name: Name, parts: Parts, tenant: Tenant) -> CollectionInfo:
    """Remove what a rebuild has made so far; the collection is as if there had been none."""
    return await parts.collections.cancel(tenant, name)


@router.get(
    "/collections/{name}/events",
    operation_id="watch_collection",
    summary="Watch a rebuild",
    responses=fails(*MISSING, *STORE),
    response_class=EventSourceResponse,
)
async def watch_collection(
    collection: Annotated[CollectionInfo, Depends(get_collection)], parts: Parts, tenant: Tenant
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the collection at each change, until its rebuild ends or waits."""
    async for event in changes(
        "collection",
        collection,
        again=lambda: parts.collections.describe(tenant, collection.name),
        over=lambda now: now.rebuild is None or now.rebuild.resting,
        gone=CollectionNotFound,
        look_s=LOOK_S,
    ):
        yield event
