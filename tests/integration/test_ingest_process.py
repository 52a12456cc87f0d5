"""`python -m services.ingest` as an operator meets it."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines.documents import Documents, Upload
from pipelines.models.select import choose_embedder
from pipelines.queue.celery import CeleryQueue
from pipelines.settings import Settings
from pipelines.store.blobs import LocalBlobs
from pipelines.store.server import QdrantStore
from tests.support.ingesting import founder
from tests.support.live import ROOT, STOP_S, clean_environment, free_port
from tests.support.qdrant_server import StandIn
from tests.support.redis import RedisServer

pytestmark = pytest.mark.anyio
WORKER = (sys.executable, "-m", "services.ingest")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    return clean_environment() | {f"TWOFOLD_{name}": settings[name] for name in settings}


def refusal(*arguments: str, **settings: str) -> str:
    """What it says when it does not start, all of it."""
    done = subprocess.run(
        [*WORKER, *arguments],
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    return done.stderr.strip()


def started(told: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(WORKER, cwd=ROOT, env=told, stdout=output, stderr=subprocess.STDOUT)


def test_a_worker_without_redis_says_what_to_set() -> None:
    said = refusal()
    assert "TWOFOLD_REDIS_URL" in said
    assert "\n" not in said


def test_a_worker_without_a_store_says_what_to_set(redis: RedisServer) -> None:
    assert "TWOFOLD_QDRANT_URL" in refusal(REDIS_URL=redis.url)


def test_a_host_without_a_worker_is_not_healthy(redis: RedisServer) -> None:
    assert "no ingestion worker" in refusal("--health", REDIS_URL=redis.url)
    nobody = f"redis://127.0.0.1:{free_port()}"
    assert "Redis" in refusal("--health", REDIS_URL=nobody)


async def test_a_worker_reads_embeds_and_stores(memory_path: Path, redis: RedisServer) -> None:
    stand_in = StandIn(memory_path / "qdrant")
    stand_in.start()
    settings = {"REDIS_URL": redis.url, "QDRANT_URL": stand_in.server.url}
    told = environment({**settings, "DATA_DIR": str(memory_path), "EMBEDDER": "minilm"})
    log = memory_path / "worker.log"
    worker = started(told, log)
    store, queue = QdrantStore(stand_in.server), CeleryQueue(redis.url)
    try:
        model = choose_embedder(Settings(embedder="minilm"))
        documents = Documents(store, LocalBlobs(memory_path / "files"), queue, founder(model))
        data = b"# Rye\n\nRye bread is made of rye flour.\n"
        upload = Upload("rye.md", data, len(data), sha256(data).hexdigest(), "text/markdown")
        [accepted] = await documents.accept("mine", "default", [upload])
        end, status = time.monotonic() + 120, "queued"
        while time.monotonic() < end and status not in ("ready", "failed"):
            await asyncio.sleep(0.2)
            status = (await store.get_document("mine", "default", accepted.id)).status
        assert status == "ready", log.read_text()
        [chunk] = await store.get_chunks("mine", "default", accepted.id)
        assert "rye flour" in chunk.text
    finally:
        worker.terminate()
        assert worker.wait(STOP_S) == 0
        await queue.close()
        await store.close()
        stand_in.kill()
