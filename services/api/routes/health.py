"""`/healthz` and `/readyz`: is the process alive, and would it serve."""

from collections import Counter

from fastapi import APIRouter, Response

from services.api.parts import Parts, Tenant
from twofold import __version__
from twofold.errors import TwofoldError
from twofold.schema import DocumentStatus, Health, Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="health", summary="Alive")
async def health() -> Health:
    """Answers as long as the process does."""
    return Health(version=__version__)


@router.get(
    "/readyz",
    operation_id="ready",
    summary="Ready",
    responses={503: {"model": Readiness, "description": "A part is not well."}},
)
async def ready(parts: Parts, tenant: Tenant, response: Response) -> Readiness:
    """Whether uploads and searches would be served now, part by part."""
    documents: Counter[DocumentStatus] = Counter()
    state = {"store": "ok", "ingestion": "ok" if parts.drain.alive else "stopped"}
    try:
        for collection in await parts.store.list_collections(tenant):
            documents.update(await parts.store.count_documents(tenant, collection.name))
    except TwofoldError as error:
        state["store"] = error.message
    well = all(part == "ok" for part in state.values())
    response.status_code = 200 if well else 503
    return Readiness(
        ready=well,
        parts=state,
        embedder=parts.embedder.name,
        reranker=parts.reranker.model,
        documents=dict(documents),
    )
