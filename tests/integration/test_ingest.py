"""What a worker does with a row of the ledger when things go wrong."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines import keys
from pipelines.documents import Documents, Upload
from pipelines.drain import Drain, seconds_to_wait
from pipelines.ingest import Ingest
from pipelines.ports import Block, Parsed, Vector
from pipelines.store.blobs import LocalBlobs
from pipelines.store.edge import EdgeStore
from pipelines.work import BACKOFF_S
from tests.support.ingesting import first_stage, founder, makers
from tests.support.models import WordEmbedder
from tests.support.stored import row
from twofold.errors import DocumentNotFound, ParseError
from twofold.schema import Document

pytestmark = pytest.mark.anyio
TENANT = "mine"


class ScriptedParser:
    """Fails as often as it is told, stands still while its gate is shut, then reads UTF-8."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0

    def parse(self, path: Path, *, name: str, media_type: str | None) -> Parsed:
        self.calls += 1
        assert self.gate.wait(20), "a test left the gate shut"
        if self.failures:
            raise self.failures.pop(0)
        text = path.read_text(encoding="utf-8")
        return Parsed(text, (Block(0, len(text)),), "text/plain")


class GatedModel(WordEmbedder):
    """Stands still while its gate is shut, and counts how often it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        self.calls += 1
        assert self.gate.wait(20), "a test left the gate shut"
        return super().embed_passages(texts)


class Bench:
    """The parts of ingestion in a folder; nothing works the ledger off unless a test says so."""

    def __init__(self, folder: Path, parser: ScriptedParser) -> None:
        self.store = EdgeStore.open(folder / "store")
        self.blobs = LocalBlobs(folder / "files")
        self.model = embedder = GatedModel()
        self.ingest = Ingest(
            store=self.store,
            blobs=self.blobs,
            parser=parser,
            makers=makers(embedder),
            heartbeat_s=0.05,
        )
        self.drain = Drain(self.store, self.ingest, first_stage(self.store, embedder))
        self.documents = Documents(self.store, self.blobs, self, founder(embedder))

    async def submit(self, tenant: str, documents: object) -> None:
        """The queue that forgets."""

    async def upload(self, text: str, name: str = "note") -> Document:
        data = text.encode()
        digest = sha256(data).hexdigest()
        [row] = await self.documents.accept(
            TENANT, "default", [Upload(name, data, len(data), digest, "text/plain", id=name)]
        )
        return Document(**dict(row))

    async def row(self, name: str = "note") -> Document:
        return await self.store.get_document(TENANT, "default", name)

    async def files(self) -> list[str]:
        """Kind and version of every file."""
        names = [key.rsplit("/", 1)[1] async for key in self.blobs.keys("")]
        return sorted("-".join(name.split("-")[:2]) for name in names)


@asynccontextmanager
async def bench(folder: Path, parser: ScriptedParser | None = None) -> AsyncIterator[Bench]:
    parts = Bench(folder, parser or ScriptedParser())
    try:
        yield parts
    finally:
        await asyncio.to_thread(parts.drain.stop)
        await parts.store.close()


def passing() -> ParseError:
    return ParseError("parser_timeout", "It took too long; try again.", retryable=True)


async def test_a_failure_that_may_pass_is_tried_three_times(tmp_path: Path) -> None:
    async with bench(tmp_path, ScriptedParser(passing(), passing(), passing())) as parts:
        row = await parts.upload("rye")
        states = []
        for _ in range(3):
            row = await parts.ingest(TENANT, row)
            states.append((row.status, row.attempts))
        assert states == [("queued", 1), ("queued", 2), ("failed", 3)]
        assert row.error
        assert row.error.code == "parser_timeout"
        assert await parts.row() == row


async def test_a_failure_that_passes_ends_in_ready_without_an_error(tmp_path: Path) -> None:
    async with bench(tmp_path, ScriptedParser(passing())) as parts:
        row = await parts.ingest(TENANT, await parts.upload("rye"))
        row = await parts.ingest(TENANT, row)
        assert (row.status, row.attempts, row.error, row.progress) == ("ready", 2, None, 1.0)


async def test_a_failure_for_good_is_not_tried_again(tmp_path: Path) -> None:
    lie = ParseError("corrupt", "It is no PDF; export it anew.")
    async with bench(tmp_path, ScriptedParser(lie)) as parts:
        row = await parts.ingest(TENANT, await parts.upload("rye"))
        assert (row.status, row.attempts) == ("failed", 1)


async def test_a_bug_in_a_parser_fails_the_document_and_not_the_worker(tmp_path: Path) -> None:
    bugs = [ZeroDivisionError("a bug") for _ in range(3)]
    async with bench(tmp_path, ScriptedParser(*bugs)) as parts:
        row = await parts.upload("rye")
        for _ in range(3):
            row = await parts.ingest(TENANT, row)
        assert row.status == "failed"
        assert row.error
        assert row.error.code == "internal"
        assert "a bug" not in row.error.message


async def test_a_document_that_kills_its_worker_is_given_up(tmp_path: Path) -> None:
    async with bench(tmp_path) as parts:
        row = await parts.upload("rye")
        killed = row.model_copy(update={"attempts": 3, "status": "embedding"})
        assert await parts.store.touch_document(TENANT, killed)
        row = await parts.ingest(TENANT, killed)
        assert row.status == "failed"
        assert row.error
        assert row.error.code == "worker_died"


async def test_a_worker_that_is_stopped_puts_its_document_back(tmp_path: Path) -> None:
    parser = ScriptedParser()
    async with bench(tmp_path, parser) as parts:
        parser.gate.clear()
        work = asyncio.create_task(parts.ingest(TENANT, await parts.upload("rye")))
        while not parser.calls:
            await asyncio.sleep(0.01)
        work.cancel()
        parser.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        row = await parts.row()
        assert (row.status, row.attempts) == ("queued", 0)


async def test_a_worker_gives_signs_of_life(tmp_path: Path) -> None:
    parser = ScriptedParser()
    async with bench(tmp_path, parser) as parts:
        parser.gate.clear()
        work = asyncio.create_task(parts.ingest(TENANT, await parts.upload("rye")))
        beats = set()
        while len(beats) < 3:
            beats.add((await parts.row()).heartbeat_at)
            await asyncio.sleep(0.02)
        parser.gate.set()
        assert (await work).status == "ready"


async def test_an_older_upload_stops_when_a_newer_one_comes(tmp_path: Path) -> None:
    parser = ScriptedParser()
    async with bench(tmp_path, parser) as parts:
        parser.gate.clear()
        work = asyncio.create_task(parts.ingest(TENANT, await parts.upload("rye")))
        while not parser.calls:
            await asyncio.sleep(0.01)
        second = await parts.upload("wheat")
        parser.gate.set()
        await work
        assert await parts.row() == second
        await parts.ingest(TENANT, second)
        assert (await parts.row()).live_version == 2
        assert await parts.files() == ["document-2", "original-2", "text-2"]


async def test_a_document_deleted_in_mid_work_stays_deleted(tmp_path: Path) -> None:
    parser = ScriptedParser()
    async with bench(tmp_path, parser) as parts:
        parser.gate.clear()
        work = asyncio.create_task(parts.ingest(TENANT, await parts.upload("rye")))
        while not parser.calls:
            await asyncio.sleep(0.01)
        await parts.documents.delete(TENANT, "default", "note")
        parser.gate.set()
        await work
        with pytest.raises(DocumentNotFound):
            await parts.row()
        assert await parts.files() == []


async def test_the_drain_finds_what_nobody_announced(tmp_path: Path) -> None:
    async with bench(tmp_path) as parts:
        for n in range(12):
            await parts.upload(f"note {n}", name=f"note-{n}")
        parts.drain.start()
        async with asyncio.timeout(30):
            while await parts.store.count_documents(TENANT, "default") != {"ready": 12}:
                await asyncio.sleep(0.02)
        await asyncio.to_thread(parts.drain.stop)
        assert not parts.drain.alive


async def test_small_documents_in_hand_share_a_call_of_the_model(tmp_path: Path) -> None:
    parser = ScriptedParser()
    async with bench(tmp_path, parser) as parts:
        for n in range(32):
            await parts.upload(f"note {n}", name=f"note-{n}")
        parts.model.gate.clear()
        parts.drain.start()
        async with asyncio.timeout(60):
            while (await parts.store.count_documents(TENANT, "default")) != {"embedding": 32}:
                await asyncio.sleep(0.02)
            # The last of them is about to hand in its passage.
            await asyncio.sleep(0.2)
            parts.model.gate.set()
            while await parts.store.count_documents(TENANT, "default") != {"ready": 32}:
                await asyncio.sleep(0.02)
        assert parts.model.calls <= 3


async def test_the_drain_comes_back_to_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.work.BACKOFF_S", 0.05)
    parser = ScriptedParser(passing(), passing())
    async with bench(tmp_path, parser) as parts:
        await parts.upload("rye")
        parts.drain.start()
        async with asyncio.timeout(30):
            while (await parts.row()).status != "ready":
                await asyncio.sleep(0.02)
        assert parser.calls == 3


async def test_attempts_rest_longer_each_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as parts:
        row = await parts.upload("rye")
        assert seconds_to_wait(row) == 0
        waits = [seconds_to_wait(row.model_copy(update={"attempts": n})) for n in (1, 2, 3)]
        assert waits == sorted(waits)
        assert waits[2] <= BACKOFF_S * 4


def test_a_callers_names_never_become_paths() -> None:
    document = row("../../etc/passwd", name="../x", collection="default", metadata={"a": "../"})
    for key_of in (keys.original, keys.identity, keys.text):
        assert re.fullmatch(
            r"mine/default/[0-9a-f-]{36}/[a-z]+-[0-9A-Za-z.-]+", key_of("mine", document)
        )


def test_keys_of_different_documents_never_meet() -> None:
    places = [("a", "b", "c"), ("a", "b\x1fc", ""), ("ab", "", "c"), ("a", "", "bc")]
    assert len({keys.derived_uuid(*place) for place in places}) == len(places)
