"""What every store promises of collections: settings, generations, and the switch between them."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from pipelines.ports import Collection, Generation, Store
from tests.support.stored import (
    COLLECTION,
    also,
    chunks_of,
    found,
    ingest,
    query,
    ready,
    row,
    stage,
    vectors_of,
)
from twofold.errors import (
    CollectionExists,
    CollectionNotFound,
    DocumentNotFound,
    GenerationInUse,
    GenerationNotFound,
    InvalidRequest,
    RebuildUnderWay,
)

pytestmark = pytest.mark.anyio

Open = Callable[[], AbstractAsyncContextManager[Store]]

NAME = COLLECTION.name
SECOND = replace(COLLECTION, generation=2)
FULL = Collection(
    "full", "model-b", 16, 1, 300, "de", "Find the passage.", "Is it about the question?"
)
NEXT = replace(COLLECTION, embedder="model-b", chunk_tokens=100)


def at(number: int) -> str:
    return f"{NAME}@{number}"


# --- Settings -------------------------------------------------------------------------------


async def test_a_collection_remembers_its_settings(open_store: Open) -> None:
    async with open_store() as store:
        assert await store.create_collection("mine", FULL) == FULL
    async with open_store() as store:
        assert await store.get_collection("mine", "full") == FULL
        assert await store.list_collections("mine") == [FULL]
        assert await store.count_documents("mine", "full") == {}


async def test_a_collection_is_created_once(store: Store) -> None:
    with pytest.raises(CollectionExists, match=NAME):
        await store.create_collection("mine", replace(COLLECTION, embedder="model-b"))
    assert await store.get_collection("mine", NAME) == COLLECTION


async def test_of_many_who_create_a_collection_one_does(open_store: Open) -> None:
    async with open_store() as store, also(store, open_store) as another:
        rivals = [replace(COLLECTION, chunk_tokens=100 + number) for number in range(6)]
        made = await asyncio.gather(
            *(
                each.create_collection("mine", rival)
                for each, rival in zip([store, another] * 3, rivals, strict=True)
            ),
            return_exceptions=True,
        )
        [taken] = [each for each in made if isinstance(each, Collection)]
        assert {type(each) for each in made if each is not taken} == {CollectionExists}
        for each in (store, another):
            assert await each.get_collection("mine", NAME) == taken
            assert await each.ensure_collection("mine", rivals[0]) == taken


async def test_the_settings_of_one_tenant_say_nothing_of_anothers(store: Store) -> None:
    theirs = Collection(NAME, "model-c", 16, language="fr")
    assert await store.create_collection("third", theirs) == theirs
    assert await store.get_collection("mine", NAME) == COLLECTION
    await ingest(store, "mine", row(), ["apple"])
    await store.delete_collection("third", NAME)
    assert await found(store, "mine") == {"apple"}
    assert await store.list_collections("third") == []


async def test_instructions_may_change_at_any_time(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple"])
    await store.begin_generation("mine", NEXT)
    changed = await store.instruct_collection(
        "mine", NAME, query_instruction="Find it.", rerank_instruction=None
    )
    assert changed == replace(COLLECTION, query_instruction="Find it.")
    assert await store.get_collection("mine", NAME) == changed
    assert (await store.get_collection("mine", at(2))).query_instruction == "Find it."
    assert await found(store, "mine") == {"apple"}
    with pytest.raises(CollectionNotFound):
        await store.instruct_collection(
            "mine", "nowhere", query_instruction=None, rerank_instruction=None
        )


@pytest.mark.parametrize("name", ["../out", "", "a/b", "docs@2", "Upper", "x" * 64])
async def test_nothing_but_a_plain_name_can_be_created(store: Store, name: str) -> None:
    with pytest.raises(InvalidRequest, match="collection"):
        await store.create_collection("mine", replace(COLLECTION, name=name))


# --- Generations ----------------------------------------------------------------------------


async def test_a_generation_is_built_beside_the_live_one_and_then_takes_its_place(
    store: Store,
) -> None:
    await ingest(store, "mine", row(), ["apple"])
    begun = await store.begin_generation("mine", NEXT)
    assert begun == replace(NEXT, generation=2)
    await ingest(store, "mine", row(collection=at(2)), ["ap", "ple"])
    assert await found(store, "mine") == {"apple"}
    assert await store.get_document("mine", NAME, "d") == ready(row(), 1)
    assert await store.get_document("mine", at(2), "d") == ready(row(collection=at(2)), 2)
    assert await store.get_collection("mine", NAME) == COLLECTION

    assert await store.switch_generation("mine", NAME, 2) == begun
    assert await found(store, "mine") == {"ap", "ple"}
    assert await store.get_document("mine", NAME, "d") == ready(row(), 2)
    assert [each.text for each in await store.get_chunks("mine", at(1), "d")] == ["apple"]
    assert await store.get_collection("mine", NAME) == begun
    assert await store.list_collections("mine") == [begun]
    assert await store.generations("mine", NAME) == [
        Generation(COLLECTION, "former"),
        Generation(begun, "live"),
    ]

    await store.drop_generation("mine", NAME, 1)
    assert await store.generations("mine", NAME) == [Generation(begun, "live")]
    assert await found(store, "mine") == {"ap", "ple"}
    with pytest.raises(GenerationNotFound, match="no generation 1"):
        await store.get_document("mine", at(1), "d")


async def test_a_generation_may_have_the_same_shape_of_vectors(store: Store) -> None:
    for tenant in ("mine", "other"):
        await ingest(store, tenant, row(), [f"{tenant} apple"])
        finer = await store.begin_generation(tenant, replace(COLLECTION, chunk_tokens=50))
        await ingest(store, tenant, row(collection=finer.address), [f"{tenant} a", f"{tenant} b"])
    assert await found(store, "mine") == {"mine apple"}
    await store.switch_generation("mine", NAME, 2)
    await store.drop_generation("mine", NAME, 1)
    assert await found(store, "mine") == {"mine a", "mine b"}
    assert await found(store, "other") == {"other apple"}
    await store.drop_generation("other", NAME, 2)
    assert await found(store, "other") == {"other apple"}


async def test_a_switch_can_be_taken_back(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple"])
    await store.begin_generation("mine", NEXT)
    for _ in range(2):
        await store.switch_generation("mine", NAME, 2)
        assert await found(store, "mine") == set()
    await store.switch_generation("mine", NAME, 1)
    assert await found(store, "mine") == {"apple"}
    states = [each.state for each in await store.generations("mine", NAME)]
    assert states == ["live", "former"]


async def test_one_generation_is_built_at_a_time(store: Store) -> None:
    begun = await store.begin_generation("mine", NEXT)
    assert await store.begin_generation("mine", replace(NEXT, query_instruction="x")) == begun
    with pytest.raises(RebuildUnderWay, match="cancel"):
        await store.begin_generation("mine", replace(NEXT, language="de"))
    await store.drop_generation("mine", NAME, 2)
    assert await store.begin_generation("mine", NEXT) == replace(NEXT, generation=3)
    with pytest.raises(CollectionNotFound):
        await store.begin_generation("nobody", NEXT)


async def test_many_who_begin_the_same_begin_one(open_store: Open) -> None:
    async with open_store() as store, also(store, open_store) as another:
        await store.ensure_collection("mine", COLLECTION)
        begun = await asyncio.gather(
            *(each.begin_generation("mine", NEXT) for each in [store, another] * 3)
        )
        assert len(set(begun)) == 1
        assert len(await another.generations("mine", NAME)) == 2


async def test_what_is_in_use_is_not_dropped(store: Store) -> None:
    with pytest.raises(GenerationInUse):
        await store.drop_generation("mine", NAME, 1)
    await store.drop_generation("mine", NAME, 7)
    with pytest.raises(GenerationNotFound):
        await store.switch_generation("mine", NAME, 7)
    for call in (store.switch_generation, store.drop_generation):
        with pytest.raises(CollectionNotFound):
            await call("nobody", NAME, 1)


async def test_a_deleted_document_is_gone_from_every_generation(store: Store) -> None:
    await ingest(store, "mine", row(), ["apple"])
    await store.begin_generation("mine", NEXT)
    await ingest(store, "mine", row(collection=at(2)), ["pear"])
    await ingest(store, "mine", row("e", collection=at(2)), ["plum"])
    await store.delete_document("mine", NAME, "d")
    with pytest.raises(DocumentNotFound):
        await store.get_document("mine", at(2), "d")
    with pytest.raises(DocumentNotFound):
        await store.delete_document("mine", NAME, "e")
    assert await store.count_documents("mine", at(2)) == {}
    await ingest(store, "mine", row(), ["apple"])
    await ingest(store, "mine", row(collection=at(2)), ["pear"])
    await store.delete_document("mine", at(2), "d")
    assert await found(store, "mine") == {"apple"}


async def test_what_the_former_generation_has_alone_can_be_deleted(store: Store) -> None:
    await store.begin_generation("mine", NEXT)
    await ingest(store, "mine", row(), ["apple"])
    await store.switch_generation("mine", NAME, 2)
    gone = await store.delete_document("mine", NAME, "d")
    assert (gone.id, gone.collection) == ("d", NAME)
    with pytest.raises(DocumentNotFound):
        await store.get_document("mine", at(1), "d")
    with pytest.raises(DocumentNotFound):
        await store.delete_document("mine", NAME, "d")


async def test_what_is_unfinished_names_its_generation(store: Store) -> None:
    await store.put_documents("mine", [row()])
    await store.begin_generation("mine", NEXT)
    await store.put_documents("mine", [row(collection=at(2))])
    unfinished = {
        (tenant, document.collection, document.id) async for tenant, document in store.unfinished()
    }
    assert unfinished == {("mine", at(1), "d"), ("mine", at(2), "d")}
    await store.drop_generation("mine", NAME, 2)
    assert [each.collection async for _, each in store.unfinished()] == [at(1)]


async def test_a_worker_of_a_generation_that_is_gone_changes_nothing(store: Store) -> None:
    await store.begin_generation("mine", NEXT)
    late = row(collection=at(2))
    await store.put_documents("mine", [late])
    await store.drop_generation("mine", NAME, 2)
    assert not await store.touch_document("mine", late)
    await store.stage_chunks("mine", late, chunks_of(late, ["apple"]), [vectors_of("apple")])
    assert not await store.publish("mine", ready(late, 1))
    with pytest.raises(GenerationNotFound):
        await store.put_documents("mine", [late])
    await store.begin_generation("mine", NEXT)
    assert await store.count_documents("mine", at(3)) == {}


async def test_notes_stay_with_their_generation_and_are_found_after_a_restart(
    open_store: Open,
) -> None:
    async with open_store() as store:
        for tenant in ("mine", "other"):
            await store.ensure_collection(tenant, COLLECTION)
        begun = await store.begin_generation("mine", NEXT)
        await store.note_generation("mine", begun.address, '{"switch": "manual"}')
        with pytest.raises(GenerationNotFound):
            await store.note_generation("mine", at(3), "nobody's")
    async with open_store() as store:
        noted = Generation(begun, "building", '{"switch": "manual"}')
        assert [each async for each in store.unsettled()] == [("mine", noted)]
        await store.switch_generation("mine", NAME, 2)
        former = [each async for each in store.unsettled()]
        assert former == [("mine", Generation(COLLECTION, "former"))]
        [_, live] = await store.generations("mine", NAME)
        assert live == Generation(begun, "live", '{"switch": "manual"}')
        await store.drop_generation("mine", NAME, 1)
        assert [each async for each in store.unsettled()] == []


# --- Deleting -------------------------------------------------------------------------------


async def test_a_deleted_collection_is_gone_and_its_successor_is_empty(open_store: Open) -> None:
    async with open_store() as store, also(store, open_store) as another:
        for tenant in ("mine", "other"):
            await store.ensure_collection(tenant, COLLECTION)
            await ingest(another, tenant, row(), [f"{tenant} apple"])
        await store.begin_generation("mine", replace(COLLECTION, chunk_tokens=50))
        await ingest(store, "mine", row(collection=at(2)), ["pear"])
        await store.delete_collection("mine", NAME)
        for each in (store, another):
            assert await each.list_collections("mine") == []
            assert [document async for _, document in each.unfinished()] == []
            for address in (NAME, at(1), at(2)):
                with pytest.raises(CollectionNotFound):
                    await each.list_documents("mine", address)
        with pytest.raises(CollectionNotFound):
            await store.delete_collection("mine", NAME)
        again = await another.ensure_collection("mine", COLLECTION)
        assert again.generation > 2
        for each in (store, another):
            assert await found(each, "mine") == set()
            assert await found(each, "other") == {"other apple"}


# --- While others work ----------------------------------------------------------------------


async def test_no_search_fails_or_sees_two_generations_or_none_during_a_switch(
    open_store: Open,
) -> None:
    """Rebuilt again and again, while another process searches without a pause."""
    async with open_store() as store, also(store, open_store) as reader:
        await store.ensure_collection("mine", COLLECTION)
        await ingest(store, "mine", row(), [f"word g1 {number}" for number in range(6)])
        seen: list[str] = []

        async def rebuild() -> None:
            for _ in range(4):
                before = await store.get_collection("mine", NAME)
                begun = await store.begin_generation("mine", COLLECTION)
                texts = [f"word g{begun.generation} {number}" for number in range(6)]
                await ingest(store, "mine", row(collection=begun.address), texts)
                await store.switch_generation("mine", NAME, begun.generation)
                mark = len(seen)
                while len(seen) < mark + 2:
                    await asyncio.sleep(0.01)
                assert set(seen[mark + 1 :]) == {f"g{begun.generation}"}
                await store.drop_generation("mine", NAME, before.generation)

        rebuilding = asyncio.create_task(rebuild())
        while not rebuilding.done():
            candidates = await reader.recall("mine", NAME, query("word", limit=1000))
            [generation] = {each.chunk.text.split()[1] for each in candidates}
            assert len(candidates) == 6
            seen.append(generation)
            assert len(await reader.get_chunks("mine", NAME, "d")) == 6
            assert (await reader.get_document("mine", NAME, "d")).chunks == 6
            await asyncio.sleep(0)
        await rebuilding
        assert seen == sorted(seen)
        assert seen[-1] == "g5"


async def test_no_upload_is_lost_during_a_switch(open_store: Open) -> None:
    """When a switch has returned, what was written to the former generation is there to be read."""
    async with open_store() as store, also(store, open_store) as writer:
        await store.ensure_collection("mine", COLLECTION)
        accepted: list[str] = []
        stopping = False

        async def upload() -> None:
            while not stopping:
                document = row(f"d{len(accepted)}")
                assert not await writer.put_documents("mine", [document], known={document.id: None})
                accepted.append(document.id)
                await asyncio.sleep(0)

        uploading = asyncio.create_task(upload())
        for number in range(2, 5):
            await store.begin_generation("mine", COLLECTION)
            while len(accepted) < 10 * number:
                await asyncio.sleep(0.01)
            await store.switch_generation("mine", NAME, number)
            after = await ids_in(store, at(number - 1))
            before, mark = set(accepted), len(accepted)
            assert before <= after | await all_ids(store, number)
            while len(accepted) < mark + 5:
                await asyncio.sleep(0.01)
            assert await ids_in(store, at(number - 1)) == after
        stopping = True
        await uploading
        assert set(accepted) == await all_ids(store, 4)


async def ids_in(store: Store, address: str) -> set[str]:
    page = await store.list_documents("mine", address, limit=100_000)
    return {document.id for document in page.documents}


async def all_ids(store: Store, last: int) -> set[str]:
    return set().union(*[await ids_in(store, at(number)) for number in range(1, last + 1)])


async def test_a_deletion_during_a_switch_is_of_both_generations(open_store: Open) -> None:
    async with open_store() as store, also(store, open_store) as other:
        await store.ensure_collection("mine", COLLECTION)
        rows = [f"d{number}" for number in range(40)]
        await store.put_documents("mine", [row(each) for each in rows])
        await other.get_document("mine", NAME, "d0")
        await store.begin_generation("mine", COLLECTION)
        await store.put_documents("mine", [row(each, collection=at(2)) for each in rows])
        switching = asyncio.create_task(store.switch_generation("mine", NAME, 2))
        for each in rows:
            await other.delete_document("mine", NAME, each)
            await asyncio.sleep(0)
        await switching
        assert await all_ids(store, 2) == set()


@pytest.mark.parametrize("staged", [True, False])
async def test_a_name_of_a_generation_works_like_any_other(store: Store, staged: bool) -> None:
    """Rows say the address that they were asked for by, whatever they were put under."""
    await store.put_documents("mine", [row(collection=at(1))])
    if staged:
        await stage(store, "mine", row(), ["apple"])
    assert (await store.get_document("mine", NAME, "d")).collection == NAME
    assert (await store.get_document("mine", at(1), "d")).collection == at(1)
    [listed] = (await store.list_documents("mine", at(1))).documents
    assert listed.collection == at(1)
    assert await store.publish("mine", ready(row(collection=at(1)), int(staged)))
    assert await found(store, "mine") == ({"apple"} if staged else set())
