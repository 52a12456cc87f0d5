import asyncio

import pytest

from pipelines.build import OK, Part
from services.api.routes import health
from twofold.errors import Unavailable

pytestmark = pytest.mark.anyio


async def well() -> str:
    return OK


async def three() -> int:
    return 3


async def away() -> int:
    raise Unavailable(what="The queue in Redis", reason="it is away", seconds=5)


async def silent() -> int:
    await asyncio.Event().wait()
    return 1


async def test_workers_are_counted_where_they_can_be(monkeypatch):
    monkeypatch.setattr(health, "PATIENCE_S", 0.01)
    parts = {
        "reranker": Part(well, workers=three),
        "store": Part(well),
        "ingestion": Part(well, workers=away),
        "embedder": Part(well, workers=silent),
    }
    assert await health.workers_of(parts) == {"reranker": 3}
