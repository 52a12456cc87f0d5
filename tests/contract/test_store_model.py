"""Uploads, workers and deletions in any order: both stores do what a few lines of Python say.

Several workers have the same document in hand: of the present upload, of older ones, of one that
was deleted. Each does its steps whenever it likes. Whatever the order, searches see the version
that was published last, whole, and nothing else.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ports import Store
from pipelines.store.connection import Server
from pipelines.store.edge import EdgeStore
from pipelines.store.server import QdrantStore
from tests.support import stored
from tests.support.qdrant_server import drop, unique_prefix
from tests.support.stored import COLLECTION, next_version, ready, row, stage
from twofold.errors import (
    CollectionExists,
    CollectionNotFound,
    DocumentNotFound,
    GenerationInUse,
    NotFound,
    RebuildUnderWay,
)
from twofold.schema import Document

T = TypeVar("T")
NAME = COLLECTION.name
TENANTS = (f"tenant{number}" for number in count())

uploads = st.integers(0, 3)  # which of the uploads so far is meant, counted from the latest
steps = st.one_of(
    st.tuples(st.just("upload"), st.one_of(st.none(), uploads)),
    st.tuples(st.just("stage"), uploads, st.integers(1, 4)),
    st.tuples(st.just("publish"), uploads),
    st.tuples(st.just("touch"), uploads),
    st.tuples(st.just("delete")),
)


@dataclass
class Model:
    """One document as it should be, beside the store that it should be so in."""

    store: Store
    tenant: str
    row: Document | None = None
    seen: list[str] = field(default_factory=list)
    uploads: list[Document] = field(default_factory=list)
    staged: dict[int, list[str]] = field(default_factory=dict)

    def meant(self, back: int) -> tuple[int, Document] | None:
        """An upload of before, and its number."""
        if not self.uploads:
            return None
        number = (len(self.uploads) - 1 - back) % len(self.uploads)
        return number, self.uploads[number]

    def is_current(self, upload: Document) -> bool:
        return self.row is not None and (self.row.version, self.row.created_at) == (
            upload.version,
            upload.created_at,
        )

    async def upload(self, base: int | None) -> None:
        """Decide from an older row, or from none; taken only if it is the one that is there."""
        known = self.meant(base) if base is not None else None
        created = stored.CREATED + timedelta(seconds=len(self.uploads))
        new = next_version(known[1]) if known else row(created_at=created)
        refused = await self.store.put_documents(
            self.tenant, [new], known={"d": known[1] if known else None}
        )
        taken = self.is_current(known[1]) if known else self.row is None
        assert refused == (set() if taken else {"d"})
        if taken:
            self.uploads.append(new)
            live = (
                {"live_version": self.row.live_version, "chunks": self.row.chunks}
                if self.row
                else {}
            )
            self.row = new.model_copy(update=live)

    async def stage(self, back: int, chunks: int) -> None:
        if meant := self.meant(back):
            number, upload = meant
            texts = [f"word u{number} {ordinal}" for ordinal in range(chunks)]
            await stage(self.store, self.tenant, upload, texts)
            if self.is_current(upload) and self.row and self.row.status != "ready":
                before = self.staged.get(number, [])
                self.staged[number] = texts + before[len(texts) :]

    async def publish(self, back: int) -> None:
        if meant := self.meant(back):
            number, upload = meant
            texts = self.staged.get(number, [])
            done = await self.store.publish(self.tenant, ready(upload, len(texts)))
            assert done == self.is_current(upload)
            if done and self.row and self.row.status != "ready":
                self.row, self.seen = ready(upload, len(texts)), texts

    async def touch(self, back: int) -> None:
        if meant := self.meant(back):
            _, upload = meant
            working = upload.model_copy(update={"status": "parsing"})
            alive = self.is_current(upload) and self.row is not None and self.row.status != "ready"
            assert await self.store.touch_document(self.tenant, working) == alive
            if alive and self.row:
                self.row = self.row.model_copy(update={"status": "parsing"})

    async def delete(self) -> None:
        if self.row is None:
            with pytest.raises(DocumentNotFound):
                await self.store.delete_document(self.tenant, NAME, "d")
        else:
            assert await self.store.delete_document(self.tenant, NAME, "d") == self.row
        self.row, self.seen = None, []

    async def check(self) -> None:
        page = await self.store.list_documents(self.tenant, NAME)
        assert page.documents == ([self.row] if self.row else [])
        query = stored.query("word", limit=1000)
        found = await self.store.recall(self.tenant, NAME, query)
        assert sorted(each.chunk.text for each in found) == sorted(self.seen)
        chunks = await self.store.get_chunks(self.tenant, NAME, "d")
        assert [chunk.text for chunk in chunks] == self.seen


class Runs:
    """A store and the loop that it is used in."""

    def __init__(self, name: str, store: Store, runner: asyncio.Runner) -> None:
        self.name = name
        self.store = store
        self._runner = runner

    def __call__(self, work: Coroutine[None, None, T]) -> T:
        return self._runner.run(work)


@pytest.fixture(scope="module", params=["edge", "server"])
def runs(request: pytest.FixtureRequest, memory_folder: Path) -> Iterator[Runs]:
    with asyncio.Runner() as runner:
        if request.param == "edge":
            store: Store = EdgeStore.open(memory_folder / "model")
            yield Runs(request.param, store, runner)
            runner.run(store.close())
        else:
            qdrant: Server = request.getfixturevalue("qdrant")
            prefix = unique_prefix()
            store = QdrantStore(qdrant, prefix=prefix, view_s=0.01)
            yield Runs(request.param, store, runner)
            runner.run(store.close())
            runner.run(drop(qdrant, prefix))


EXAMPLES = {"edge": 150, "server": 25}  # what takes about as long


async def play(store: Store, drawn: list[tuple]) -> None:
    model = Model(store, next(TENANTS))
    await store.ensure_collection(model.tenant, COLLECTION)
    for name, *arguments in drawn:
        await getattr(model, name)(*arguments)
        await model.check()
    await store.sweep()
    await model.check()


def test_whatever_the_order_searches_see_what_was_published_last(runs: Runs) -> None:
    @settings(max_examples=EXAMPLES[runs.name], deadline=None)
    @given(st.lists(steps, min_size=5, max_size=16))
    def check(drawn: list[tuple]) -> None:
        runs(play(runs.store, drawn))

    check()


# --- Collections ----------------------------------------------------------------------------

numbers = st.integers(1, 6)  # of a generation, which may be there or not
changes = st.tuples(
    st.sampled_from(["anna", "ben"]),
    st.one_of(
        st.tuples(st.just("create")),
        st.tuples(st.just("begin"), st.sampled_from([None, 50])),
        st.tuples(st.just("switch"), numbers),
        st.tuples(st.just("drop"), numbers),
        st.tuples(st.just("delete")),
        st.tuples(st.just("write"), st.one_of(st.none(), numbers)),
        st.tuples(st.just("remove")),
    ),
)


@dataclass
class Shelf:
    """One tenant's collection as it should be: the texts in each of its generations."""

    store: Store
    tenant: str
    last: int = 0
    live: int | None = None
    building: tuple[int, int | None] | None = None
    texts: dict[int, set[str]] = field(default_factory=dict)
    written: int = 0

    async def create(self) -> None:
        made = self.store.create_collection(self.tenant, COLLECTION)
        if self.live is None:
            self.live = (await made).generation
            self._added(self.live)
        else:
            with pytest.raises(CollectionExists):
                await made

    async def begin(self, tokens: int | None) -> None:
        begun = self.store.begin_generation(self.tenant, replace(COLLECTION, chunk_tokens=tokens))
        if self.live is None:
            with pytest.raises(CollectionNotFound):
                await begun
        elif self.building and self.building[1] != tokens:
            with pytest.raises(RebuildUnderWay):
                await begun
        else:
            number = (await begun).generation
            if self.building:
                assert number == self.building[0]
            else:
                self.building = (number, tokens)
                self._added(number)

    def _added(self, number: int) -> None:
        assert number > self.last
        self.last, self.texts[number] = number, set()

    async def switch(self, number: int) -> None:
        switched = self.store.switch_generation(self.tenant, NAME, number)
        if number not in self.texts:
            with pytest.raises(CollectionNotFound):
                await switched
        else:
            assert (await switched).generation == number
            self.live = number
            self._not_building(number)

    async def drop(self, number: int) -> None:
        dropped = self.store.drop_generation(self.tenant, NAME, number)
        if self.live is None:
            with pytest.raises(CollectionNotFound):
                await dropped
        elif self.live == number:
            with pytest.raises(GenerationInUse):
                await dropped
        else:
            await dropped
            self.texts.pop(number, None)
            self._not_building(number)

    def _not_building(self, number: int) -> None:
        if self.building and self.building[0] == number:
            self.building = None

    async def delete(self) -> None:
        deleted = self.store.delete_collection(self.tenant, NAME)
        if self.live is None:
            with pytest.raises(CollectionNotFound):
                await deleted
        else:
            await deleted
        self.live = self.building = None
        self.texts = {}

    async def write(self, number: int | None) -> None:
        """The same document again and again, in the live generation or in another one."""
        self.written += 1
        document = row(
            version=self.written, collection=NAME if number is None else f"{NAME}@{number}"
        )
        text = f"word {self.tenant} {self.written}"
        ingested = stored.ingest(self.store, self.tenant, document, [text])
        there = self.live if number is None else number
        if there not in self.texts:
            with pytest.raises(CollectionNotFound):
                await ingested
        else:
            await ingested
            self.texts[there] = {text}

    async def remove(self) -> None:
        removed = self.store.delete_document(self.tenant, NAME, "d")
        if self.live is None or not self.texts[self.live]:
            with pytest.raises(NotFound):
                await removed
            if self.live is not None:
                self.texts = {number: set() for number in self.texts}
        else:
            await removed
            self.texts = {number: set() for number in self.texts}

    async def check(self) -> None:
        listed = await self.store.list_collections(self.tenant)
        assert [each.generation for each in listed] == ([] if self.live is None else [self.live])
        if self.live is None:
            return
        kept = await self.store.generations(self.tenant, NAME)
        assert [each.collection.generation for each in kept] == sorted(self.texts)
        for address, number in [(NAME, self.live)] + [(f"{NAME}@{n}", n) for n in self.texts]:
            found = await self.store.recall(self.tenant, address, stored.query("word", limit=1000))
            assert {each.chunk.text for each in found} == self.texts[number]


async def rebuild(store: Store, drawn: list[tuple]) -> None:
    shelves = {name: Shelf(store, next(TENANTS)) for name in ("anna", "ben")}
    for name, (verb, *arguments) in drawn:
        await getattr(shelves[name], verb)(*arguments)
        for shelf in shelves.values():
            await shelf.check()
    await store.sweep()
    for shelf in shelves.values():
        await shelf.check()
        if shelf.live is not None:
            await shelf.delete()
            await shelf.check()


CHANGES = {"edge": 60, "server": 12}


def test_whatever_becomes_of_their_collections_no_tenant_notices_another(runs: Runs) -> None:
    @settings(max_examples=CHANGES[runs.name], deadline=None)
    @given(st.lists(changes, min_size=4, max_size=14))
    def check(drawn: list[tuple]) -> None:
        runs(rebuild(runs.store, drawn))

    check()
