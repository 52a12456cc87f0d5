"""What the embedded store has acknowledged survives a SIGKILL, whole and once."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipelines.store.edge import EdgeStore
from tests.support.crashing_writer import TENANT, texts_of
from tests.support.stored import (
    COLLECTION,
    found,
    ingest,
    next_version,
    query,
    ready,
    row,
    stage,
)
from twofold.errors import CollectionNotFound, Conflict, DocumentNotFound, NotFound

pytestmark = pytest.mark.anyio

KILLS = 10
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Version:
    """Where a document stands: which version searches see, and which the row is at."""

    visible: int = 0
    chunks: int = 0
    row: int = 0


@dataclass
class Ledger:
    """What the test expects: per document the states that are possible after a crash.

    One state is certain once a step was acknowledged; a step that had only begun may or may not
    have happened.
    """

    possible: dict[str, list[Version]] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        phase, step, document_id, *numbers = line.split()
        version, chunks = map(int, numbers)
        self.highest[document_id] = max(version, self.highest.get(document_id, 0))
        before = self.possible.get(document_id, [Version()])[0]
        after = {
            "put": Version(before.visible, before.chunks, version),
            "publish": Version(version, chunks, version),
            "delete": Version(),
        }[step]
        self.possible[document_id] = [after] if phase == "done" else [before, after]


def write_until_killed(folder: Path, seed: int, ledger: Ledger, seconds: float) -> None:
    """Run the writer and kill it that long after its first acknowledgement."""
    known = [f"{document}={version}" for document, version in ledger.highest.items()]
    command = [sys.executable, "-m", "tests.support.crashing_writer", str(folder), str(seed)]
    with subprocess.Popen([*command, *known], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(seconds)
        child.kill()
        for line in [first, *child.stdout]:
            if line.endswith("\n"):
                ledger.hear(line)


async def seen(store: EdgeStore, document_id: str) -> Version:
    """Where a document stands in the store; fails if it is not whole."""
    try:
        document = await store.get_document(TENANT, COLLECTION.name, document_id)
    except (DocumentNotFound, CollectionNotFound):
        document = None
    chunks = await store.get_chunks(TENANT, COLLECTION.name, document_id) if document else []
    versions = {chunk.version for chunk in chunks}
    assert len(versions) <= 1, f"{document_id} is mixed: {versions}"
    visible = versions.pop() if versions else 0
    assert [chunk.text for chunk in chunks] == texts_of(document_id, visible, len(chunks))
    if document and document.status == "ready":
        assert (document.live_version, document.chunks) == (visible, len(chunks))
    return Version(visible, len(chunks), document.version if document else 0)


async def check(store: EdgeStore, ledger: Ledger) -> None:
    """Every document stands where it may stand, and nothing else is in the store."""
    total = 0
    for document_id, possible in ledger.possible.items():
        standing = await seen(store, document_id)
        assert standing in possible, f"{document_id} is at {standing}, expected {possible}"
        ledger.possible[document_id] = [standing]
        total += standing.chunks
    if total:
        found = await store.recall(TENANT, COLLECTION.name, query("d0 kept 0", limit=1000))
        assert len(found) == len({each.chunk.id for each in found}) == total


async def test_acknowledged_writes_survive_being_killed_at_any_moment(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    draw, ledger = random.Random(seed), Ledger()
    for _ in range(KILLS):
        write_until_killed(tmp_path, draw.randrange(10**6), ledger, draw.uniform(0.0, 0.5))
        store = EdgeStore.open(tmp_path)
        await check(store, ledger)
        await store.close()
    assert any(each[0].chunks for each in ledger.possible.values())


STEPS: Sequence[str] = ("upsert", "delete", "set_payload", "upsert", "sync")


def publish_until(folder: Path, survived: int) -> None:
    """Publish a second version in a process that dies after so many operations."""
    dying = f"""
import asyncio, os
from pathlib import Path
from pipelines.store.edge import EdgeStore
from pipelines.store.shard import Shard
from tests.support.stored import COLLECTION, ingest, next_version, ready, row, stage

async def main():
    store = EdgeStore.open(Path({str(folder)!r}))
    await store.ensure_collection("mine", COLLECTION)
    await ingest(store, "mine", row(), ["old one", "old two", "old three"])
    second = next_version(row())
    await store.put_documents("mine", [second])
    await stage(store, "mine", second, ["new one", "new two"])
    survived = {survived}
    for name in {sorted(set(STEPS))!r}:
        def step(self, *args, _real=getattr(Shard, name)):
            global left
            if left == 0:
                os.kill(os.getpid(), 9)
            left -= 1
            return _real(self, *args)
        setattr(Shard, name, step)
    await store.publish("mine", ready(second, 2))

left = {survived}
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", dying], cwd=ROOT, capture_output=True, timeout=60)
    assert ended.returncode == -9, ended.stderr.decode()


@pytest.mark.parametrize("survived", range(len(STEPS)))
async def test_publishing_is_all_or_nothing_wherever_it_is_cut_off(
    tmp_path: Path, survived: int
) -> None:
    """The process ends after each of the operations that a publish consists of."""
    publish_until(tmp_path, survived)
    store = EdgeStore.open(tmp_path)
    texts = {chunk.text for chunk in await store.get_chunks("mine", COLLECTION.name, "d")}
    document = await store.get_document("mine", COLLECTION.name, "d")
    old, new = {"old one", "old two", "old three"}, {"new one", "new two"}
    assert (texts, document.status) == ((old, "queued") if survived == 0 else (new, "ready"))
    # The worker that comes next does the same again.
    second = row(version=2)
    await stage(store, "mine", second, ["new one", "new two"])
    assert await store.publish("mine", ready(second, 2))
    texts = {chunk.text for chunk in await store.get_chunks("mine", COLLECTION.name, "d")}
    assert texts == new
    await store.close()


def lose_power(earlier: Path, now: Path, after: Path, *, kept: Callable[[], bool]) -> None:
    """Make the folder that a power loss could leave.

    The log was synced and is as it is now. Of every other file the system has written the present
    state to the disk, or it has not.
    """
    shutil.copytree(now, after)
    for path in [each for each in after.rglob("*") if each.is_file()]:
        name = path.relative_to(after)
        if "wal" not in name.parts and not kept():
            old = earlier / name
            shutil.copy2(old, path) if old.exists() else path.unlink()


@pytest.mark.parametrize("share_written", [0.0, 0.5])
async def test_acknowledged_writes_survive_a_power_loss(
    tmp_path: Path, share_written: float
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    store = EdgeStore.open(tmp_path / "now")
    await store.ensure_collection(TENANT, COLLECTION)
    for number in range(3):
        await ingest(store, TENANT, row(f"d{number}"), [f"d{number} a", f"d{number} b"])
    await store.close()
    shutil.copytree(tmp_path / "now", tmp_path / "earlier")
    store = EdgeStore.open(tmp_path / "now")
    await store.delete_document(TENANT, COLLECTION.name, "d0")
    await ingest(store, TENANT, next_version(row("d1")), ["d1 new"])
    await store.put_documents(TENANT, [row("d3")])
    await stage(store, TENANT, row("d3"), ["d3 a"])
    await store.put_documents(TENANT, [row("d4")])
    lose_power(
        tmp_path / "earlier",
        tmp_path / "now",
        tmp_path / "after",
        kept=lambda: draw.random() < share_written,
    )
    await store.close()
    store = EdgeStore.open(tmp_path / "after")
    assert await found(store, TENANT) == {"d1 new", "d2 a", "d2 b"}
    assert await store.count_documents(TENANT, COLLECTION.name) == {"ready": 2, "queued": 2}
    assert await store.publish(TENANT, ready(row("d3"), 1))
    assert await found(store, TENANT) == {"d1 new", "d2 a", "d2 b", "d3 a"}
    await store.close()


# --- Changes of collections -----------------------------------------------------------------

CHANGES = {
    "create": "store.create_collection('third', replace(COLLECTION, dimensions=16))",
    "begin": "store.begin_generation('mine', replace(COLLECTION, language='de'))",
    "switch": "store.switch_generation('mine', 'notes', 2)",
    "drop": "store.drop_generation('mine', 'notes', 2)",
    "delete": "store.delete_collection('mine', 'notes')",
}


def change_until(folder: Path, name: str, survived: int) -> bool:
    """Change a collection in a process that dies before one of its steps; False: it did not."""
    dying = f"""
import asyncio, os
from dataclasses import replace
from pathlib import Path
from pipelines.store import edge_catalogue, shard
from pipelines.store.edge import EdgeStore
from pipelines.store.shard import Shard
from tests.support.stored import COLLECTION

left = {survived}

def watched(real):
    def step(*args, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), 9)
        left -= 1
        return real(*args, **named)
    return step

async def main():
    store = EdgeStore.open(Path({str(folder)!r}))
    for module in (edge_catalogue, shard):
        module.write_file = watched(module.write_file)
    for name in ("delete", "sync", "close", "_update"):
        setattr(Shard, name, watched(getattr(Shard, name)))
    shard.make_folders = watched(shard.make_folders)
    shard.shutil.rmtree = watched(shard.shutil.rmtree)
    await {CHANGES[name]}
    print("done", flush=True)
    os._exit(0)

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", dying], cwd=ROOT, capture_output=True, timeout=60)
    assert ended.returncode == (0 if ended.stdout else -9), ended.stderr.decode()
    return ended.returncode == -9


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_of_a_collection_is_done_or_not_begun_wherever_it_is_cut_off(
    memory_path: Path, name: str
) -> None:
    before = memory_path / "before"
    store = EdgeStore.open(before)
    for tenant in ("mine", "other"):
        await store.ensure_collection(tenant, COLLECTION)
        await ingest(store, tenant, row(), [f"{tenant} one"])
    if name not in ("create", "begin"):
        begun = await store.begin_generation("mine", replace(COLLECTION, chunk_tokens=100))
        await ingest(store, "mine", row(collection=begun.address), ["mine two"])
    await store.close()
    for survived in range(20):
        folder = memory_path / str(survived)
        shutil.copytree(before, folder)
        died = change_until(folder, name, survived)
        store = EdgeStore.open(folder)
        assert await found(store, "other") == {"other one"}
        entries = dict(store._catalogue.entries())
        kept = {each.home for entry in entries.values() for each in entry.generations}
        assert {each.name for each in (folder / "collections").iterdir()} == kept
        states = {each.state for entry in entries.values() for each in entry.generations}
        assert states <= {"live", "building", "former"}
        if name != "delete" or "mine" in entries:
            assert await found(store, "mine") in ({"mine one"}, {"mine two"})
            assert not died or name == "switch" or await found(store, "mine") == {"mine one"}
        elif not died:
            assert "mine" not in entries
        with suppress(Conflict, NotFound):  # it was done already
            await eval(CHANGES[name], {"store": store, **globals()})
        await store.close()
        if not died:
            assert survived > 0
            return
    raise AssertionError("it never came to its end")
