"""Every filter finds in an engine's index exactly what it means, embedded and over HTTP."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.ports import Chunk, SparseVector, Vectors
from pipelines.store.conditions import every, match, translate
from pipelines.store.connection import Connection, Server
from pipelines.store.records import Payload, Point, Shape, chunk_of, chunk_point
from pipelines.store.remote import Layout, Ordering, RemoteCollection, create
from pipelines.store.shard import Shard
from tests.support import filter_strategies as draw
from tests.support.filter_meaning import holds
from tests.support.qdrant_server import drop, unique_prefix
from tests.support.stored import row
from twofold.schema import Condition, Filter, Metadata

TENANT = "t"
ROW = row("d", collection="c")
EVERYTHING = every(match("space", TENANT))
VECTORS = Vectors(np.ones(2, dtype=np.float32), SparseVector([1], [1.0]))


Find = Callable[[list[Metadata], Filter], list[Metadata]]


@contextmanager
def engine(folder: Path, _: Server) -> Iterator[Find]:
    """The embedded engine."""
    shard = Shard.create(folder / "c", Shape("model", 2))

    def find(stored: list[Metadata], tree: Filter) -> list[Metadata]:
        shard.delete(EVERYTHING)
        shard.upsert(points_of(stored))
        return in_order(shard.payloads(every(EVERYTHING, translate(tree))))

    yield find
    shard.close()


@contextmanager
def server(_: Path, qdrant: Server) -> Iterator[Find]:
    """A server, over HTTP."""
    prefix = unique_prefix()
    connection = Connection(qdrant)

    async def opened() -> RemoteCollection:
        await create(connection, f"{prefix}c", Shape("model", 2), Layout())
        return await RemoteCollection.open(connection, f"{prefix}c")

    async def found(stored: list[Metadata], tree: Filter) -> list[Metadata]:
        await collection.delete(EVERYTHING, Ordering.MEDIUM)
        await collection.upsert(points_of(stored), over=EVERYTHING)
        hits = await collection.all(every(EVERYTHING, translate(tree)))
        return in_order(hit.payload or {} for hit in hits)

    with asyncio.Runner() as runner:
        collection = runner.run(opened())
        yield lambda stored, tree: runner.run(found(stored, tree))
        runner.run(connection.close())
        runner.run(drop(qdrant, prefix))


@pytest.fixture(scope="module", params=[engine, server], ids=["edge", "server"])
def find(request: pytest.FixtureRequest, memory_folder: Path, qdrant: Server) -> Iterator[Find]:
    """Metadata of the chunks that an engine finds, in the order they were stored in."""
    with request.param(Path(mkdtemp(dir=memory_folder)), qdrant) as find:
        yield find


def points_of(stored: list[Metadata]) -> list[Point]:
    return [
        chunk_point(TENANT, ROW, chunk(ordinal, metadata), VECTORS)
        for ordinal, metadata in enumerate(stored)
    ]


def in_order(payloads: Iterable[Payload]) -> list[Metadata]:
    hits = sorted(map(chunk_of, payloads), key=lambda hit: hit.ordinal)
    return [hit.metadata for hit in hits]


def chunk(ordinal: int, metadata: Metadata) -> Chunk:
    return Chunk(
        id=str(ordinal),
        document_id="d",
        version=1,
        ordinal=ordinal,
        text="text",
        start=0,
        end=4,
        sha256="0" * 64,
        name="name",
        metadata=metadata,
    )


relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("operator", draw.operators)
def test_an_operator_finds_what_it_means(find: Find, operator: str) -> None:
    @relaxed
    @given(stored=st.lists(draw.metadata, max_size=6), tree=draw.condition_with(operator))
    def check(stored: list[Metadata], tree: Condition) -> None:
        assert find(stored, tree) == [each for each in stored if holds(tree, each)]

    check()


@relaxed
@given(stored=st.lists(draw.metadata, max_size=6), tree=draw.filters)
@example(stored=[{"a.b-c": "text"}], tree=Condition(key="a.b-c", contains="ex"))
def test_a_tree_finds_what_it_means(find: Find, stored: list[Metadata], tree: Filter) -> None:
    assert find(stored, tree) == [each for each in stored if holds(tree, each)]
