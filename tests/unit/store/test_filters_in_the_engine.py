"""Every filter finds in the engine's index exactly what it means."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.ports import Chunk, Collection, SparseVector, Vectors
from pipelines.store.conditions import every, match, translate
from pipelines.store.records import chunk_of, chunk_point
from pipelines.store.shard import Shard
from tests.support import filter_strategies as draw
from tests.support.filter_meaning import holds
from tests.support.stored import row
from twofold.schema import Condition, Filter, Metadata

TENANT = "t"
ROW = row("d", collection="c")
VECTORS = Vectors(np.ones(2, dtype=np.float32), SparseVector([1], [1.0]))


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shard]:
    folder: Path = tmp_path_factory.mktemp("filters") / "c"
    shard = Shard.create(folder, Collection("c", "model", 2))
    yield shard
    shard.close()


def found(shard: Shard, stored: list[Metadata], tree: Filter) -> list[Metadata]:
    """Metadata of the chunks that the engine finds, in the order they were stored in."""
    everything = every(match("tenant", TENANT))
    shard.delete(everything)
    shard.upsert(
        [
            chunk_point(TENANT, ROW, chunk(ordinal, metadata), VECTORS)
            for ordinal, metadata in enumerate(stored)
        ]
    )
    hits = map(chunk_of, shard.payloads(every(everything, translate(tree))))
    return [hit.metadata for hit in sorted(hits, key=lambda hit: hit.ordinal)]


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
def test_an_operator_finds_what_it_means(shard: Shard, operator: str) -> None:
    @relaxed
    @given(stored=st.lists(draw.metadata, max_size=6), tree=draw.condition_with(operator))
    def check(stored: list[Metadata], tree: Condition) -> None:
        assert found(shard, stored, tree) == [each for each in stored if holds(tree, each)]

    check()


@relaxed
@given(stored=st.lists(draw.metadata, max_size=6), tree=draw.filters)
@example(stored=[{"a.b-c": "text"}], tree=Condition(key="a.b-c", contains="ex"))
def test_a_tree_finds_what_it_means(shard: Shard, stored: list[Metadata], tree: Filter) -> None:
    assert found(shard, stored, tree) == [each for each in stored if holds(tree, each)]
