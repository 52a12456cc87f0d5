"""A whole Twofold in a folder, with small models, reached without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from pipelines.build import Models, Twofold, embedded
from pipelines.settings import Settings
from services.api.app import create_app
from tests.support.models import WordEmbedder
from tests.support.reranking import OverlapModel


@asynccontextmanager
async def running(
    folder: Path, *, models: Models | None = None, **settings: object
) -> AsyncIterator[tuple[httpx.AsyncClient, Twofold]]:
    """A client of the API over parts that live as long as the block."""
    chosen = models or Models(WordEmbedder(), OverlapModel())
    options = Settings.model_validate({"data_dir": folder, "heartbeat_s": 0.1, **settings})
    async with embedded(options, choose=lambda _: chosen) as twofold:
        transport = httpx.ASGITransport(create_app(twofold), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, twofold
