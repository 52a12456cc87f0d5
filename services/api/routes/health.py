"""`/healthz` and `/readyz`: is the process alive, and would it serve."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from fastapi import APIRouter, Response

from pipelines.build import OK, Part
from pipelines.ports import EmbedderIdentity, Store
from services.api.parts import AnyCaller, Parts
from twofold import __version__
from twofold.errors import TwofoldError, Unavailable
from twofold.schema import DocumentStatus, Health, Readiness

PATIENCE_S = 3.0  # a part that says nothing for so long is not well

SILENT = f"no answer within {PATIENCE_S:.0f} s"

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
async def ready(parts: Parts, caller: AnyCaller, response: Response) -> Readiness:
    """Whether uploads and searches would be served now, part by part.

    Anybody may ask; documents are counted, and failures explained, for the key that asks alone.
    """
    names = list(parts.parts)
    states = await asyncio.gather(*(state_of(parts.parts[name]) for name in names))
    state = dict(zip(names, states, strict=True))
    documents: Counter[DocumentStatus] = Counter()
    if caller and state["store"] == OK:
        counting = partial(count, parts.store, caller.tenant, documents)
        state["store"] = await state_of(Part(counting))
    default = name_of(parts.embedders.default)
    vital = [name for name, part in parts.parts.items() if part.vital]
    well = all(state[name] == OK for name in vital)
    response.status_code = 200 if well else 503
    return Readiness(
        ready=well,
        parts=state if caller else {name: veiled(said) for name, said in state.items()},
        embedder=default,
        other_embedders=[name for name in parts.embedders.names if name != default],
        reranker=parts.reranker.model,
        store="qdrant" if parts.settings.distributed else "embedded",
        documents=dict(documents) if state["store"] == OK else {},
        workers=await workers_of(parts.parts) if caller else {},
    )


async def workers_of(parts: Mapping[str, Part]) -> dict[str, int]:
    """How many processes work on each part, of those that can be counted now."""
    counts: dict[str, int] = {}
    for name, part in parts.items():
        if part.workers is not None:
            with suppress(TwofoldError, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    counts[name] = await part.workers()
    return counts


async def count(store: Store, tenant: str, documents: Counter[DocumentStatus]) -> str:
    """Add the tenant's documents by status; says how the store was, as a part does."""
    for collection in await store.list_collections(tenant):
        documents.update(await store.count_documents(tenant, collection.name))
    return OK


def name_of(embedder: EmbedderIdentity) -> str | None:
    """The model of the first stage; None while no worker has said which one it is."""
    try:
        return embedder.name
    except Unavailable:
        return None


def veiled(said: str) -> str:
    """What a stranger is told of a part: not the addresses that a failure may name."""
    return said if said == OK else "not well; ask with a key, or read the log"


async def state_of(part: Part) -> str:
    """How a part is, within the time that whoever asks has."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await part.state()
    except TwofoldError as error:
        return error.message
    except TimeoutError:
        return SILENT
