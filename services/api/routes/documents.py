"""`/documents`: upload, watch, read and remove."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from pipelines.build import Twofold
from pipelines.documents import Upload
from services.api.described import STORE, fails
from services.api.parts import InCollection, Parts, Quota, Tenant
from services.api.uploads import batch_of
from services.api.watching import changes
from twofold.errors import (
    CollectionNotFound,
    Conflict,
    ContentNotReady,
    DocumentNotFound,
    EmbedderMismatch,
    NotFound,
    UnsupportedFormat,
)
from twofold.names import document_name
from twofold.schema import (
    COLLECTION,
    AcceptedDocument,
    AcceptedDocuments,
    CollectionName,
    CompareDocuments,
    Document,
    DocumentContent,
    DocumentList,
    DocumentStatus,
    ErrorInfo,
    PassageList,
    RejectedFile,
)

LOOK_S = 0.1  # seconds between two looks at the ledger while a caller waits

MISSING = (NotFound, CollectionNotFound, DocumentNotFound)

router = APIRouter(tags=["documents"])


async def place(
    document_id: Annotated[str, Path(max_length=255, description="As the upload's answer has it.")],
    tenant: Tenant,
    collection: InCollection = "default",
) -> tuple[str, str, str]:
    """What locates a document: tenant, collection and id."""
    return tenant, collection, document_id


Where = Annotated[tuple[str, str, str], Depends(place)]

UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "additionalProperties": False,
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                        },
                        "collection": {
                            "type": "string",
                            "pattern": COLLECTION,
                            "default": "default",
                        },
                        "metadata": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "examples": ['{"year": 2024, "tags": ["bread"]}'],
                        },
                        "wait": {"type": "number", "minimum": 0, "maximum": 300},
                        "id": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 255,
                            "description": "Where there is one file.",
                        },
                    },
                }
            },
            "application/json": {"schema": {"$ref": "#/components/schemas/AddDocuments"}},
        },
    }
}


@router.post(
    "/documents",
    status_code=202,
    operation_id="add_documents",
    summary="Upload files or texts",
    openapi_extra=UPLOAD_BODY,
    responses=fails(EmbedderMismatch, UnsupportedFormat, *STORE),
)
async def add_documents(
    request: Request,
    parts: Parts,
    tenant: Tenant,
    quota: Quota,
    wait: Annotated[
        float | None, Query(ge=0, le=300, description="Seconds to wait for the ingestion to end.")
    ] = None,
) -> AcceptedDocuments:
    """Accept documents: once this answers, their bytes and ledger rows are on disk.

    The same document again (same id, or same name) is an update; the same bytes change nothing.
    """
    settings = parts.settings
    async with batch_of(
        request,
        spool=request.app.state.spool,
        cap=settings.max_upload_bytes,
        unpacked=settings.max_request_bytes if settings.open_archives else None,
    ) as batch:
        if not batch.uploads and len(batch.refused) == 1:
            raise batch.refused[0][1]
        await quota.admit_uploads(parts.store, tenant, batch.collection, batch.uploads)
        accepted = (
            await parts.documents.accept(tenant, batch.collection, batch.uploads)
            if batch.uploads
            else []
        )
    if patience := wait or batch.wait:
        accepted = await settled(parts, tenant, accepted, patience)
    refused = [
        RejectedFile(
            name=name,
            error=ErrorInfo(code=error.code, message=error.message, details=error.details),
        )
        for name, error in batch.refused
    ]
    return AcceptedDocuments(documents=accepted, rejected=refused)


@router.post(
    "/documents/compare",
    operation_id="compare_documents",
    summary="Which files need no upload",
    responses=fails(*STORE),
)
async def compare_documents(
    body: CompareDocuments, parts: Parts, tenant: Tenant
) -> AcceptedDocuments:
    """Of files with these hashes, the documents that an upload would leave as they are.

    The rest has to be uploaded: it is not there, has changed, or has failed.
    """
    uploads = [
        Upload(document_name(file.name), b"", 0, file.sha256, "", metadata=body.metadata)
        for file in body.files
    ]
    return AcceptedDocuments(
        documents=await parts.documents.unchanged(tenant, body.collection, uploads)
    )


@router.get(
    "/documents",
    operation_id="list_documents",
    summary="List documents",
    responses=fails(CollectionNotFound, *STORE),
)
async def list_documents(
    parts: Parts,
    tenant: Tenant,
    collection: CollectionName = "default",
    status: Annotated[list[DocumentStatus] | None, Query()] = None,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> DocumentList:
    """A page of the ledger; pass `cursor` on to get the next one."""
    page = await parts.store.list_documents(
        tenant, collection, status=status or (), cursor=cursor, limit=limit
    )
    return DocumentList(documents=page.documents, cursor=page.cursor)


async def get_document(where: Where, parts: Parts) -> Document:
    """A document's row on the ledger: state, progress, and why it failed if it did."""
    return await parts.documents.find(*where)


@router.get(
    "/documents/{document_id:path}/content",
    operation_id="get_document_content",
    summary="The text of a document",
    responses=fails(*MISSING, ContentNotReady, *STORE),
)
async def get_document_content(where: Where, parts: Parts) -> DocumentContent:
    """The extracted text of the live version: what every offset of the document counts in."""
    return await parts.documents.content(*where)


@router.get(
    "/documents/{document_id:path}/chunks",
    operation_id="get_document_chunks",
    summary="The passages of a document",
    responses=fails(*MISSING, ContentNotReady, *STORE),
)
async def get_document_chunks(where: Where, parts: Parts) -> PassageList:
    """The passages of the live version, in reading order."""
    return await parts.documents.passages(*where)


@router.get(
    "/documents/{document_id:path}/events",
    operation_id="watch_document",
    summary="Watch a document",
    responses=fails(*MISSING, *STORE),
    response_class=EventSourceResponse,
)
async def watch_document(
    document: Annotated[Document, Depends(get_document)], parts: Parts, tenant: Tenant
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the document at each change, until it is ready or failed."""
    async for event in changes(
        "document",
        document,
        again=lambda: parts.documents.find(tenant, document.collection, document.id),
        over=lambda now: now.final,
        gone=DocumentNotFound,
        look_s=LOOK_S,
    ):
        yield event


@router.post(
    "/documents/{document_id:path}/retry",
    status_code=202,
    operation_id="retry_document",
    summary="Try a failed document again",
    responses=fails(*MISSING, Conflict, *STORE),
)
async def retry_document(where: Where, parts: Parts) -> Document:
    """Queue a failed document again."""
    return await parts.documents.retry(*where)


# Ids may hold slashes, so this path matches everything: it comes after those with a tail.
router.get(
    "/documents/{document_id:path}",
    operation_id="get_document",
    summary="Look at a document",
    responses=fails(*MISSING, *STORE),
)(get_document)


@router.delete(
    "/documents/{document_id:path}",
    operation_id="delete_document",
    summary="Remove a document",
    responses=fails(*MISSING, *STORE),
)
async def delete_document(where: Where, parts: Parts) -> Document:
    """Remove a document; it is gone from search when this answers. Returns what was removed."""
    return await parts.documents.delete(*where)


async def settled(
    parts: Twofold, tenant: str, accepted: list[AcceptedDocument], seconds: float
) -> list[AcceptedDocument]:
    """The documents as they are when all are ready or failed, or when the time is up."""
    end = time.monotonic() + seconds
    now: list[AcceptedDocument] = []
    for each in accepted:
        row: Document = each
        # Somebody may delete it meanwhile: then it stays as it was last seen.
        with suppress(DocumentNotFound):
            while not row.final and time.monotonic() < end:
                await asyncio.sleep(LOOK_S)
                row = await parts.documents.find(tenant, each.collection, each.id)
        now.append(AcceptedDocument(**{**dict(row), "verdict": each.verdict}))
    return now
