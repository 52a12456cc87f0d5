"""What every store promises."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipelines.ports import Collection, RecallQuery, SparseVector, Store
from tests.support import stored
from tests.support.stored import COLLECTION, also, found, ingest, next_version, ready, row, stage
from twofold.errors import (
    CollectionNotFound,
    DocumentNotFound,
    EmbedderMismatch,
    InvalidRequest,
)
from twofold.schema import And, Condition, Document, DocumentFailure, Not

pytestmark = pytest.mark.anyio

Open = Callable[[], AbstractAsyncContextManager[Store]]

NAME = COLLECTION.name
ODD_IDS = ["a/../../b", "line\nbreak", "nul\x00byte", "ü" * 127, "'\"`;--", " ", "文" * 85, "🏹"]


# --- Collections ----------------------------------------------------------------------------


async def test_a_collection_remembers_its_model(store: Store) -> None:
    await store.ensure_collection("mine", COLLECTION)
    assert await store.get_collection("mine", NAME) == COLLECTION


@pytest.mark.parametrize(
    "differing", [Collection(NAME, "model-b", 8), Collection(NAME, COLLECTION.embedder, 16)]
)
async def test_a_collection_that_is_there_stays_as_it_is(
    store: Store, differing: Collection
) -> None:
    assert await store.ensure_collection("mine", differing) == COLLECTION
    assert await store.get_collection("mine", NAME) == COLLECTION


@pytest.mark.parametrize("name", ["../out", "", "a/b", "Upper", "x" * 64])
async def test_a_collection_has_a_plain_name(store: Store, name: str) -> None:
    with pytest.raises(InvalidRequest, match="collection"):
        await store.ensure_collection("mine", Collection(name, "model-a", 8))


async def test_every_collection_of_the_tenant_is_listed(store: Store) -> None:
    another = Collection("another", "model-a", 8)
    await store.ensure_collection("mine", another)
    assert await store.list_collections("mine") == [another, COLLECTION]
    assert await store.list_collections("other") == [COLLECTION]
    assert await store.list_collections("nobody") == []


READS: dict[str, Callable[[Store, str, str], Awaitable[object]]] = {
    "get_collection": lambda store, tenant, name: store.get_collection(tenant, name),
    "get_document": lambda store, tenant, name: store.get_document(tenant, name, "d"),
    "find_by_sha256": lambda store, tenant, name: store.find_by_sha256(tenant, name, "0"),
    "list_documents": lambda store, tenant, name: store.list_documents(tenant, name),
    "count_documents": lambda store, tenant, name: store.count_documents(tenant, name),
    "vectors_by_sha256": lambda store, tenant, name: store.vectors_by_sha256(tenant, name, "d"),
    "delete_document": lambda store, tenant, name: store.delete_document(tenant, name, "d"),
    "get_chunks": lambda store, tenant, name: store.get_chunks(tenant, name, "d"),
    "recall": lambda store, tenant, name: store.recall(tenant, name, stored.query("apple")),
}


@pytest.mark.parametrize("read", READS)
async def test_reading_a_collection_that_is_not_there_says_so(store: Store, read: str) -> None:
    with pytest.raises(CollectionNotFound, match="nowhere"):
        await READS[read](store, "mine", "nowhere")


@pytest.mark.parametrize("read", READS)
async def test_a_collection_of_another_tenant_is_not_there(store: Store, read: str) -> None:
    await store.ensure_collection("other", Collection("theirs", "model-a", 8))
    await store.put_documents("other", [row(collection="theirs")])
    with pytest.raises(CollectionNotFound):
        await READS[read](store, "mine", "theirs")


# --- The ledger -----------------------------------------------------------------------------


async def test_a_row_comes_back_as_it_was_put(store: Store) -> None:
    full = row(
        metadata={
            "text": "ä",
            "int": 2**60 + 1,
            "float": 1.0,
            "bool": True,
            "null": None,
            "a.b-c": ["x", "y"],
            "numbers": [1, 2],
            "floats": [1.0, 2.5],
            "empty": [],
        },
        title="A title",
        status="failed",
        progress=0.3,
        attempts=2,
        error=DocumentFailure(code="corrupt", message="It cannot be read."),
        duplicate_of="e",
        updated_at=datetime(2026, 5, 6, tzinfo=UTC),
        heartbeat_at=datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
    )
    await store.put_documents("mine", [full])
    read = await store.get_document("mine", NAME, "d")
    assert read == full
    assert {key: type(value) for key, value in read.metadata.items()} == {
        key: type(value) for key, value in full.metadata.items()
    }


async def test_a_row_that_is_put_again_is_replaced(store: Store) -> None:
    await store.put_documents("mine", [row(), row("e")])
    failed = row(status="failed", metadata={"new": 1})
    await store.put_documents("mine", [failed])
    assert await store.get_document("mine", NAME, "d") == failed
    assert await store.count_documents("mine", NAME) == {"failed": 1, "queued": 1}


@pytest.mark.parametrize("document_id", ODD_IDS)
async def test_any_string_is_an_id(store: Store, document_id: str) -> None:
    await ingest(store, "mine", row(document_id), ["apple"])
    assert (await store.get_document("mine", NAME, document_id)).id == document_id
    [chunk] = await store.get_chunks("mine", NAME, document_id)
    assert chunk.document_id == document_id
    await store.delete_document("mine", NAME, document_id)
    assert await found(store, "mine") == set()


async def test_a_row_that_is_not_there_says_so(store: Store) -> None:
    with pytest.raises(DocumentNotFound, match="'d'"):
        await store.get_document("mine", NAME, "d")
    with pytest.raises(DocumentNotFound, match="'d'"):
        await store.delete_document("mine", NAME, "d")


async def test_rows_with_the_same_bytes_are_found_oldest_first(store: Store) -> None:
    same = {"sha256": "f" * 64}
    rows = [
        row(str(day), created_at=datetime(2026, 1, day, tzinfo=UTC), **same) for day in (3, 1, 2)
    ]
    await store.put_documents("mine", [*rows, row("else")])
    found_rows = await store.find_by_sha256("mine", NAME, "f" * 64)
    assert [each.id for each in found_rows] == ["1", "2", "3"]
    assert await store.find_by_sha256("mine", NAME, "e" * 64) == []


async def test_rows_are_counted_by_status(store: Store) -> None:
    await store.put_documents("mine", [row("a"), row("b"), row("c", status="parsing")])
    await ingest(store, "mine", row("d"), ["apple"])
    assert await store.count_documents("mine", NAME) == {"queued": 2, "parsing": 1, "ready": 1}
    await store.delete_document("mine", NAME, "d")
    assert await store.count_documents("mine", NAME) == {"queued": 2, "parsing": 1}
    assert await store.count_documents("other", NAME) == {}


async def test_a_listing_shows_every_row_once_while_rows_change(store: Store) -> None:
    rows = [row(f"d{number}") for number in range(25)]
    await store.put_documents("mine", rows)
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.list_documents("mine", NAME, cursor=cursor, limit=4)
        assert len(page.documents) <= 4
        seen += [document.id for document in page.documents]
        await store.touch_document("mine", page.documents[0].model_copy(update={"attempts": 7}))
        if page.cursor is None:
            break
        cursor = page.cursor
        await store.delete_document("mine", NAME, seen[-1])
    assert sorted(seen) == sorted(document.id for document in rows)


async def test_a_listing_can_be_of_some_states(store: Store) -> None:
    await store.put_documents("mine", [row("a"), row("b", status="failed"), row("c")])
    await ingest(store, "mine", row("d"), ["apple"])
    page = await store.list_documents("mine", NAME, status=["failed", "ready"])
    assert {document.id for document in page.documents} == {"b", "d"}
    assert page.cursor is None


async def test_a_listing_refuses_a_cursor_that_it_did_not_make(store: Store) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.list_documents("mine", NAME, cursor="tampered")


async def test_what_is_unfinished_is_found_over_all_tenants(store: Store) -> None:
    states = ["queued", "parsing", "embedding", "ready", "failed"]
    await store.put_documents("mine", [row(status, status=status) for status in states])
    await store.put_documents("other", [row("theirs")])
    unfinished = {(tenant, document.id) async for tenant, document in store.unfinished()}
    assert unfinished == {
        ("mine", "queued"),
        ("mine", "parsing"),
        ("mine", "embedding"),
        ("other", "theirs"),
    }


async def test_progress_is_written_to_the_row(store: Store) -> None:
    await store.put_documents("mine", [row()])
    working = row(status="embedding", progress=0.5, heartbeat_at=datetime.now(UTC))
    assert await store.touch_document("mine", working)
    assert await store.get_document("mine", NAME, "d") == working


@pytest.mark.parametrize(
    "newer", [next_version(row()), row(created_at=stored.CREATED + timedelta(seconds=1)), None]
)
async def test_a_stale_worker_changes_nothing(store: Store, newer: stored.Document | None) -> None:
    stale = row()
    await store.put_documents("mine", [stale])
    await stage(store, "mine", stale, ["apple"])
    if newer:
        await store.put_documents("mine", [newer])
    else:
        await store.delete_document("mine", NAME, "d")
    assert not await store.touch_document("mine", stale)
    assert not await store.publish("mine", ready(stale, 1))
    assert await found(store, "mine") == set()
    page = await store.list_documents("mine", NAME)
    assert page.documents == ([newer] if newer else [])


async def test_the_least_recently_touched_is_found_first(store: Store) -> None:
    def touched(document_id: str, minute: int, **fields: object) -> Document:
        return row(document_id, updated_at=stored.CREATED + timedelta(minutes=minute), **fields)

    alive = stored.CREATED + timedelta(minutes=9)
    rows = [
        touched("third", 3),
        touched("alive", 0, status="parsing", heartbeat_at=alive),
        touched("first", 1),
        touched("second", 2),
    ]
    await store.put_documents("mine", rows)
    order = [document.id async for _, document in store.unfinished()]
    assert order == ["first", "second", "third", "alive"]


async def test_many_rows_of_one_moment_are_all_found(store: Store) -> None:
    rows = [row(f"d{number}") for number in range(150)]
    await store.put_documents("mine", rows)
    unfinished = [document.id async for _, document in store.unfinished()]
    assert sorted(unfinished) == sorted(document.id for document in rows)


# --- Several writers ------------------------------------------------------------------------


async def test_a_row_is_written_only_over_the_one_that_the_caller_knew(store: Store) -> None:
    first, rival = row(), row(created_at=stored.CREATED + timedelta(seconds=1))
    assert await store.put_documents("mine", [first], known={"d": None}) == set()
    assert await store.put_documents("mine", [rival], known={"d": None}) == {"d"}
    assert await store.get_document("mine", NAME, "d") == first
    second = next_version(first)
    assert await store.put_documents("mine", [second], known={"d": rival}) == {"d"}
    assert await store.put_documents("mine", [second], known={"d": first}) == set()
    assert await store.put_documents("mine", [next_version(first)], known={"d": first}) == {"d"}
    assert await store.get_document("mine", NAME, "d") == second


async def test_a_row_that_has_gone_is_not_written_over(store: Store) -> None:
    await store.put_documents("mine", [row()])
    await store.delete_document("mine", NAME, "d")
    assert await store.put_documents("mine", [next_version(row())], known={"d": row()}) == {"d"}
    with pytest.raises(DocumentNotFound):
        await store.get_document("mine", NAME, "d")


async def test_rows_of_one_call_are_refused_one_by_one(store: Store) -> None:
    await store.put_documents("mine", [row("a"), row("b", version=2)])
    known = {"a": row("a"), "b": row("b"), "c": None}
    after = [next_version(row("a")), next_version(row("b")), row("c")]
    assert await store.put_documents("mine", after, known=known) == {"b"}
    page = await store.list_documents("mine", NAME)
    assert {document.id: document.version for document in page.documents} == {
        "a": 2,
        "b": 2,
        "c": 1,
    }


async def test_of_many_decisions_from_one_row_exactly_one_is_taken(store: Store) -> None:
    await store.put_documents("mine", [row()])
    rivals = [row(version=2, name=f"{number}.txt") for number in range(12)]
    refused = await asyncio.gather(
        *(store.put_documents("mine", [rival], known={"d": row()}) for rival in rivals)
    )
    [taken] = [rival for rival, lost in zip(rivals, refused, strict=True) if not lost]
    assert await store.get_document("mine", NAME, "d") == taken


async def test_a_worker_that_comes_late_does_not_undo_what_was_published(store: Store) -> None:
    chunks = await ingest(store, "mine", row(), ["apple", "pear"])
    late = row(status="embedding", progress=0.7)
    assert not await store.touch_document("mine", late)
    await stage(store, "mine", late, ["apple", "pear"])
    assert await store.get_chunks("mine", NAME, "d") == chunks
    assert await found(store, "mine") == {"apple", "pear"}
    assert await store.publish("mine", ready(late, 2))
    assert await store.get_document("mine", NAME, "d") == ready(row(), 2)
    assert await found(store, "mine") == {"apple", "pear"}


async def test_a_sign_of_life_leaves_alone_what_is_live(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple"])
    second = next_version(row())
    await store.put_documents("mine", [second])
    assert await store.touch_document("mine", second.model_copy(update={"progress": 0.5}))
    touched = await store.get_document("mine", NAME, "d")
    assert (touched.progress, touched.live_version, touched.chunks) == (0.5, 1, 1)
    assert await found(store, "mine") == {"apple"}


async def test_chunks_of_a_deleted_document_never_pass_for_those_of_its_successor(
    store: Store,
) -> None:
    await store.put_documents("mine", [row()])
    await store.delete_document("mine", NAME, "d")
    successor = row(created_at=stored.CREATED + timedelta(seconds=1))
    await ingest(store, "mine", successor, ["pear"])
    await stage(store, "mine", row(), ["apple"])
    assert not await store.publish("mine", ready(row(), 1))
    assert await found(store, "mine") == {"pear"}
    assert [each.text for each in await store.get_chunks("mine", NAME, "d")] == ["pear"]


async def test_no_search_sees_two_versions_or_none_while_one_is_published(
    open_store: Open,
) -> None:
    async with open_store() as writer, also(writer, open_store) as reader:
        await writer.ensure_collection("mine", COLLECTION)
        await ingest(writer, "mine", row(), [f"word v1 {number}" for number in range(6)])
        seen: list[int] = []

        async def publish_versions() -> None:
            for version in range(2, 12):
                texts = [f"word v{version} {number}" for number in range(6)]
                await ingest(writer, "mine", row(version=version), texts)
                await asyncio.sleep(0)

        publishing = asyncio.create_task(publish_versions())
        while not publishing.done():
            candidates = await reader.recall("mine", NAME, stored.query("word", limit=1000))
            [version] = {candidate.chunk.version for candidate in candidates}
            assert len(candidates) == 6
            seen.append(version)
            chunks = await reader.get_chunks("mine", NAME, "d")
            assert {chunk.version for chunk in chunks} <= set(range(version, 12))
            assert len(chunks) == 6
            await asyncio.sleep(0)
        await publishing
        assert seen == sorted(seen)


# --- Chunks ---------------------------------------------------------------------------------


async def test_chunks_come_back_as_they_were_staged(store: Store) -> None:
    chunks = await ingest(store, "mine", row(metadata={"year": 2024}), ["apple", "pear", "plum"])
    assert await store.get_chunks("mine", NAME, "d") == chunks
    candidates = await store.recall("mine", NAME, stored.query("pear"))
    assert chunks[1] in [candidate.chunk for candidate in candidates]


async def test_staged_chunks_are_not_seen(store: Store) -> None:
    await store.put_documents("mine", [row()])
    await stage(store, "mine", row(), ["apple"])
    assert await found(store, "mine") == set()
    assert await store.get_chunks("mine", NAME, "d") == []


async def test_a_new_version_replaces_the_old_one_whole(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple", "pear", "plum"])
    second = next_version(row())
    await store.put_documents("mine", [second])
    await stage(store, "mine", second, ["quince", "apple"])
    assert await found(store, "mine") == {"apple", "pear", "plum"}
    assert await store.publish("mine", ready(second, 2))
    assert await found(store, "mine") == {"quince", "apple"}
    assert {chunk.version for chunk in await store.get_chunks("mine", NAME, "d")} == {2}
    assert await store.get_document("mine", NAME, "d") == ready(second, 2)


async def test_an_upload_that_was_decided_before_a_publish_keeps_what_is_live(
    store: Store,
) -> None:
    await store.put_documents("mine", [row()])
    second = next_version(row())
    await stage(store, "mine", row(), ["apple"])
    assert await store.publish("mine", ready(row(), 1))
    await store.put_documents("mine", [second])
    kept = await store.get_document("mine", NAME, "d")
    assert (kept.version, kept.live_version, kept.chunks) == (2, 1, 1)
    assert await found(store, "mine") == {"apple"}


async def test_publishing_twice_changes_nothing(store: Store) -> None:
    chunks = await ingest(store, "mine", row(), ["apple", "pear"])
    assert await store.publish("mine", ready(row(), 2))
    assert await store.get_chunks("mine", NAME, "d") == chunks


async def test_what_an_earlier_try_has_left_is_not_published(store: Store) -> None:
    await store.put_documents("mine", [row()])
    await stage(store, "mine", row(), ["apple", "pear", "plum"])
    chunks = await stage(store, "mine", row(), ["quince", "medlar"])
    assert await store.publish("mine", ready(row(), 2))
    assert await store.get_chunks("mine", NAME, "d") == chunks
    assert await found(store, "mine") == {"quince", "medlar"}


async def test_a_document_without_text_can_be_published(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple"])
    second = next_version(row())
    await store.put_documents("mine", [second])
    assert await store.publish("mine", ready(second, 0))
    assert await found(store, "mine") == set()


async def test_publishing_leaves_other_documents_alone(store: Store) -> None:
    await ingest(store, "mine", row("a"), ["apple"])
    await store.put_documents("mine", [row("b")])
    await stage(store, "mine", row("b"), ["pear"])
    await ingest(store, "mine", row("c"), ["plum"])
    assert await found(store, "mine") == {"apple", "plum"}


async def test_a_deleted_document_is_gone_with_all_its_chunks(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple"])
    second = next_version(row())
    await store.put_documents("mine", [second])
    await stage(store, "mine", second, ["pear"])
    assert (await store.delete_document("mine", NAME, "d")).version == second.version
    assert await found(store, "mine") == set()
    assert await store.vectors_by_sha256("mine", NAME, "d") == {}
    assert [each async for each in store.unfinished()] == []


async def test_nothing_is_staged_for_a_document_that_is_gone(store: Store) -> None:
    await stage(store, "mine", row(), ["apple"])
    assert await store.vectors_by_sha256("mine", NAME, "d") == {}


async def test_vectors_are_kept_bit_by_bit_from_the_moment_of_staging(store: Store) -> None:
    await store.put_documents("mine", [row()])
    await stage(store, "mine", row(), ["apple pear", "plum"])
    for _ in range(2):
        kept = await store.vectors_by_sha256("mine", NAME, "d")
        assert set(kept) == {stored.digest("apple pear"), stored.digest("plum")}
        dense, sparse = kept[stored.digest("apple pear")]
        expected = stored.vectors_of("apple pear")
        assert dense.dtype == np.float32
        np.testing.assert_array_equal(dense, expected.dense)
        assert dict(zip(*sparse, strict=True)) == dict(zip(*expected.sparse, strict=True))
        await store.publish("mine", ready(row(), 2))


# --- Recall ---------------------------------------------------------------------------------


async def test_recall_is_the_union_of_both_lists_with_their_scores(store: Store) -> None:
    texts = ["red apple", "green apple", "yellow pear", "blue plum"]
    await ingest(store, "mine", row(), texts)
    asked = RecallQuery(stored.dense_of("blue plum"), stored.sparse_of("apple"), limit=2)
    candidates = {each.chunk.text: each for each in await store.recall("mine", NAME, asked)}
    nearest = sorted(texts, key=lambda text: -stored.dense_of(text) @ asked.dense)[:2]
    assert {text for text, each in candidates.items() if each.dense is not None} == set(nearest)
    assert {text for text, each in candidates.items() if each.sparse is not None} == {
        "red apple",
        "green apple",
    }
    for text in nearest:
        cosine = stored.dense_of(text) @ asked.dense
        assert candidates[text].dense == pytest.approx(cosine, abs=1e-6)
    # BM25's IDF of a word that 2 of 4 passages have: ln(1 + (4 - 2 + 0.5) / (2 + 0.5)).
    assert candidates["red apple"].sparse == pytest.approx(np.log(2.0), abs=1e-6)


async def test_either_list_can_be_left_out(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple", "pear"])
    dense = RecallQuery(stored.dense_of("apple"), None, limit=10)
    assert {each.sparse for each in await store.recall("mine", NAME, dense)} == {None}
    sparse = RecallQuery(None, stored.sparse_of("apple"), limit=10)
    [only] = await store.recall("mine", NAME, sparse)
    assert (only.chunk.text, only.dense) == ("apple", None)
    nothing = RecallQuery(None, SparseVector([], []), limit=10)
    assert await store.recall("mine", NAME, nothing) == []


async def test_recall_refuses_a_vector_of_another_model(store: Store) -> None:
    with pytest.raises(EmbedderMismatch, match="8 dimensions"):
        await store.recall("mine", NAME, RecallQuery(stored.dense_of("x", 16), None, limit=1))


async def test_a_rare_word_counts_more_whatever_else_lies_in_the_store(store: Store) -> None:
    common = [f"common filler{number}" for number in range(20)]
    await ingest(store, "mine", row(), [*common, "rare word"])
    asked = RecallQuery(None, stored.sparse_of("rare"), limit=1)
    [before] = await store.recall("mine", NAME, asked)
    # Ledger rows, staged chunks, deleted chunks and another tenant's: none of them counts.
    await store.put_documents("mine", [row(f"row{number}") for number in range(30)])
    await stage(store, "mine", row("row1"), ["rare"] * 20)
    await ingest(store, "mine", row("gone"), ["rare"] * 20)
    await store.delete_document("mine", NAME, "gone")
    await ingest(store, "other", row(), ["rare"] * 20)
    [after] = await store.recall("mine", NAME, asked)
    assert after.sparse == before.sparse == pytest.approx(np.log(1 + 20.5 / 1.5), abs=1e-6)


async def test_a_filter_works_inside_both_lists(store: Store) -> None:
    for year in range(2000, 2020):
        await ingest(store, "mine", row(f"d{year}", metadata={"year": year}), ["apple pie"])
    old = And(and_=[Condition(key="year", lt=2002), Not(not_=Condition(key="year", eq=2000))])
    asked = stored.query("apple pie", limit=1, filter=old)
    [only] = await store.recall("mine", NAME, asked)
    assert only.chunk.document_id == "d2001"
    assert only.dense is not None
    assert only.sparse is not None


# --- Tenants --------------------------------------------------------------------------------


async def test_a_tenant_sees_nothing_of_another(store: Store) -> None:
    await ingest(store, "other", row(), ["apple"])
    assert await found(store, "mine") == set()
    assert await store.get_chunks("mine", NAME, "d") == []
    assert await store.vectors_by_sha256("mine", NAME, "d") == {}
    assert await store.find_by_sha256("mine", NAME, row().sha256) == []
    assert (await store.list_documents("mine", NAME)).documents == []
    for call in (store.get_document, store.delete_document):
        with pytest.raises(DocumentNotFound):
            await call("mine", NAME, "d")
    assert await found(store, "other") == {"apple"}


async def test_the_same_ids_of_two_tenants_are_two_documents(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple"])
    await ingest(store, "other", row(), ["pear"])
    assert await found(store, "mine") == {"apple"}
    await store.delete_document("mine", NAME, "d")
    assert await found(store, "other") == {"pear"}
    assert not await store.publish("mine", ready(row(), 1))
    assert await found(store, "other") == {"pear"}


async def test_metadata_cannot_pass_for_what_the_store_writes_itself(store: Store) -> None:
    canary = {
        "tenant": "mine",
        "kind": "chunk",
        "findable": "mine/notes@1",
        "document": "d",
        "status": "queued",
        "version": 1,
        "live": True,
        "facts": ["year=n2024"],
        "record": "{}",
    }
    await ingest(store, "mine", row(), ["apple"])
    await ingest(store, "other", row("canary", metadata=canary), ["canary"])
    await store.put_documents("other", [row("staged", metadata=canary)])
    await stage(store, "other", row("staged", metadata=canary), ["staged"])
    assert await found(store, "mine", "canary") == {"apple"}
    assert await found(store, "other", "canary") == {"canary"}
    assert await found(store, "other", filter=Condition(key="year", eq=2024)) == set()
    assert await store.count_documents("mine", NAME) == {"ready": 1}
    page = await store.list_documents("other", NAME)
    assert {document.id: document.metadata for document in page.documents} == {
        "canary": canary,
        "staged": canary,
    }


# --- Restart --------------------------------------------------------------------------------


async def test_everything_is_there_after_a_restart(open_store: Open) -> None:
    async with open_store() as store:
        await store.ensure_collection("mine", COLLECTION)
        chunks = await ingest(store, "mine", row("a", metadata={"year": 1}), ["apple", "pear"])
        await store.put_documents("mine", [row("b")])
        await stage(store, "mine", row("b"), ["plum"])
        before = await store.recall("mine", NAME, stored.query("apple"))
    async with open_store() as store:
        assert await store.get_collection("mine", NAME) == COLLECTION
        with pytest.raises(CollectionNotFound):
            await store.get_collection("other", NAME)
        assert await store.get_chunks("mine", NAME, "a") == chunks
        assert await store.get_document("mine", NAME, "b") == row("b")
        assert set(await store.vectors_by_sha256("mine", NAME, "b")) == {stored.digest("plum")}
        after = await store.recall("mine", NAME, stored.query("apple"))
        assert sorted(after, key=repr) == sorted(before, key=repr)
        assert await store.publish("mine", ready(row("b"), 1))
        assert await found(store, "mine") == {"apple", "pear", "plum"}
