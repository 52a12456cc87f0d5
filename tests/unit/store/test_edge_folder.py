"""What the folder under the embedded store may be: locked, unwritable, full, large, broken."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.ports import Collection, RecallQuery
from pipelines.store.edge import EdgeStore
from pipelines.store.records import Shape
from pipelines.store.shard import Shard
from tests.support import stored
from tests.support.stored import COLLECTION, found, ingest, next_version, ready, row, stage
from twofold.errors import (
    CollectionNotFound,
    DataFolderInUse,
    DataFolderUnwritable,
    StartupError,
    StorageFull,
)

pytestmark = pytest.mark.anyio

TEXTS = [f"text{number} word{number % 7}" for number in range(300)]


async def filled(folder: Path) -> EdgeStore:
    store = EdgeStore.open(folder)
    await store.ensure_collection("mine", COLLECTION)
    await ingest(store, "mine", row(), TEXTS)
    return store


def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path) -> None:
    holder = (
        "import time; from pathlib import Path; from pipelines.store.edge import EdgeStore\n"
        f"store = EdgeStore.open(Path({str(tmp_path)!r}))\n"
        "print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(DataFolderInUse, match=rf"pid {child.pid}.*TWOFOLD_DATA_DIR"):
            EdgeStore.open(tmp_path)
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        EdgeStore.open(tmp_path)._let_go()


async def test_a_closed_store_lets_go_of_its_folder(tmp_path: Path) -> None:
    store = await filled(tmp_path)
    await store.close()
    await store.close()
    await EdgeStore.open(tmp_path).close()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataFolderUnwritable, match="TWOFOLD_DATA_DIR"):
        EdgeStore.open(tmp_path / "file" / "data")


async def test_a_collection_that_cannot_be_read_stops_the_start_and_frees_the_folder(
    tmp_path: Path,
) -> None:
    await (await filled(tmp_path)).close()
    whole = tmp_path / "collections" / COLLECTION.address
    aside = tmp_path / "aside"
    shutil.copytree(whole, aside)
    (whole / "shard" / "edge_config.json").write_text("{")
    with pytest.raises(StartupError, match="restore it from a backup"):
        EdgeStore.open(tmp_path)
    shutil.rmtree(whole)
    shutil.move(aside, whole)
    store = EdgeStore.open(tmp_path)
    assert len(await found(store, "mine")) == len(TEXTS)
    await store.close()


async def test_a_collection_that_was_made_in_part_is_made_anew(tmp_path: Path) -> None:
    await EdgeStore.open(tmp_path).close()
    # As a crash leaves it right before the last step: files that no entry knows of.
    shard = Shard.create(tmp_path / "collections" / COLLECTION.address, Shape.of(COLLECTION))
    shard.close()
    store = EdgeStore.open(tmp_path)
    assert list((tmp_path / "collections").iterdir()) == []
    with pytest.raises(CollectionNotFound):
        await found(store, "mine")
    await store.ensure_collection("mine", COLLECTION)
    assert await found(store, "mine") == set()
    await store.close()


async def test_collections_that_nobody_knows_the_owners_of_stop_the_start(tmp_path: Path) -> None:
    await (await filled(tmp_path)).close()
    entries = (tmp_path / "collections.json").read_bytes()
    (tmp_path / "collections.json").unlink()
    with pytest.raises(StartupError, match=r"collections\.json is missing.*backup"):
        EdgeStore.open(tmp_path)
    (tmp_path / "collections.json").write_bytes(entries[:-5])
    with pytest.raises(StartupError, match="cannot be read"):
        EdgeStore.open(tmp_path)
    (tmp_path / "collections.json").write_bytes(entries)
    store = EdgeStore.open(tmp_path)
    assert await found(store, "mine") == set(TEXTS)
    await store.close()


async def test_a_disk_that_fills_up_refuses_what_grows_and_keeps_what_is_there(
    tmp_path: Path,
) -> None:
    store = await filled(tmp_path)
    second = next_version(row())
    await store.put_documents("mine", [second, row("e")])
    await stage(store, "mine", second, ["new"])
    await store.close()
    store = EdgeStore.open(tmp_path, reserve_bytes=2 * shutil.disk_usage(tmp_path).free)
    with pytest.raises(StorageFull, match=r"free some space"):
        await store.put_documents("mine", [row("f")])
    with pytest.raises(StorageFull):
        await stage(store, "mine", second, ["newer"])
    with pytest.raises(StorageFull):
        await store.ensure_collection("mine", Collection("more", "model-a", 8))
    # What finishes or frees goes on for a while.
    assert await store.publish("mine", ready(second, 1))
    await store.delete_document("mine", COLLECTION.name, "e")
    assert await found(store, "mine") == {"new"}
    await store.close()


async def test_many_unindexed_vectors_are_indexed_before_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await (await filled(tmp_path)).close()
    await EdgeStore.open(tmp_path, index_above=len(TEXTS)).close()
    assert caplog.messages == []
    store = EdgeStore.open(tmp_path, index_above=len(TEXTS) - 1)
    before, after = caplog.messages
    assert "Indexing 300 vectors of collection 'notes@1'" in before
    assert "Indexed collection 'notes@1'" in after
    assert await found(store, "mine") == set(TEXTS)
    asked = RecallQuery(stored.dense_of(TEXTS[5]), stored.sparse_of(TEXTS[5]), limit=3)
    best = max(await store.recall("mine", COLLECTION.name, asked), key=lambda each: each.dense or 0)
    assert best.chunk.text == TEXTS[5]
    assert best.dense == pytest.approx(1.0, abs=1e-6)
    # Filters and BM25 find the same after the index was rebuilt.
    assert best.sparse == pytest.approx(np.log(1 + 300.5 / 1.5) + np.log(1 + 258.5 / 42.5), abs=0.5)
    await store.close()
    caplog.clear()
    await EdgeStore.open(tmp_path, index_above=len(TEXTS) - 1).close()
    assert caplog.messages == []


async def test_an_indexing_that_takes_too_long_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await (await filled(tmp_path)).close()
    store = EdgeStore.open(tmp_path, index_above=10, index_deadline_s=0.001)
    [warning] = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "served without an index" in warning
    assert await found(store, "mine") == set(TEXTS)
    await store.close()


async def test_an_indexing_that_fails_is_not_fatal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await filled(tmp_path)).close()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    store = EdgeStore.open(tmp_path, index_above=10)
    assert "the child ended with 1" in caplog.text
    assert await found(store, "mine") == set(TEXTS)
    await store.close()


async def test_a_large_collection_is_pointed_out_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.store.edge.LARGE", 250)
    store = await filled(tmp_path)
    assert await store.publish("mine", ready(row(), len(TEXTS)))
    [warning] = caplog.messages
    assert "TWOFOLD_QDRANT_URL" in warning
    await store.close()


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    store = EdgeStore.open(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    store._let_go()
