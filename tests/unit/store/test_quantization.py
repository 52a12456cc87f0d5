"""Quantised copies find as well as those of the engine do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as engine

from pipelines.ports import Vector
from pipelines.quantization import OVERSAMPLING, QUANTILE, found_by_copies
from twofold.schema import Quantization

COUNT, DIMENSIONS, LIMIT, QUERIES = 1_500, 64, 20, 60

CONFIGS: "dict[Quantization, Callable[[], engine.QuantizationConfigType]]" = {
    "int8": lambda: engine.ScalarQuantizationConfig(engine.ScalarType.Int8, quantile=QUANTILE),
    "binary": engine.BinaryQuantizationConfig,
}


@pytest.fixture(scope="module")
def vectors() -> Vector:
    """In loose groups, as texts are."""
    rng = np.random.default_rng(7)
    groups = rng.standard_normal((40, DIMENSIONS))
    drawn = groups[rng.integers(0, 40, COUNT)] + rng.standard_normal((COUNT, DIMENSIONS))
    return unit(drawn)


@pytest.fixture(scope="module")
def queries(vectors: Vector) -> Vector:
    rng = np.random.default_rng(8)
    return unit(vectors[:QUERIES] + 0.1 * rng.standard_normal((QUERIES, DIMENSIONS)))


def unit(numbers: np.ndarray) -> Vector:
    return (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float32)


def built(folder: Path, vectors: Vector, quantization: Quantization) -> engine.EdgeShard:
    """A shard whose vectors have an index and quantised copies."""
    params = engine.EdgeVectorParams(
        DIMENSIONS, engine.Distance.Cosine, quantization_config=CONFIGS[quantization]()
    )
    optimizers = engine.EdgeOptimizersConfig(indexing_threshold=1)
    config = engine.EdgeConfig(vectors={"dense": params}, optimizers=optimizers)
    shard = engine.EdgeShard.create(str(folder), config)
    points = [engine.Point(at, {"dense": each.tolist()}, {}) for at, each in enumerate(vectors)]
    shard.update(engine.UpdateOperation.upsert_points(points))
    assert shard.optimize()
    return shard


def asked(shard: engine.EdgeShard, query: Vector, quantization: Quantization) -> list[int]:
    copies = engine.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING[quantization])
    request = engine.QueryRequest(
        limit=LIMIT,
        query=engine.Query.Nearest(query.tolist(), using="dense"),
        params=engine.SearchParams(hnsw_ef=COUNT, quantization=copies),
    )
    return [int(str(each.id)) for each in shard.query(request)]


def computed(vectors: Vector, query: Vector, quantization: Quantization) -> list[int]:
    places = np.array(found_by_copies(vectors, query, LIMIT, quantization))
    return places[np.argsort(-(vectors[places] @ query))][:LIMIT].tolist()


@pytest.mark.parametrize("quantization", CONFIGS)
def test_what_is_computed_is_as_near_to_the_whole_vectors_as_what_the_engine_finds(
    tmp_path: Path, vectors: Vector, queries: Vector, quantization: Quantization
) -> None:
    shard = built(tmp_path, vectors, quantization)
    share: dict[str, list[float]] = {"engine": [], "computed": []}
    for query in queries:
        true = set(np.argsort(-(vectors @ query))[:LIMIT].tolist())
        for name, found in (
            ("engine", asked(shard, query, quantization)),
            ("computed", computed(vectors, query, quantization)),
        ):
            share[name].append(len(true & set(found)) / LIMIT)
    shard.close()
    assert np.mean(share["computed"]) == pytest.approx(np.mean(share["engine"]), abs=0.03)
    if quantization == "int8":
        assert np.mean(share["computed"]) > 0.99
    else:
        assert np.mean(share["computed"]) < 0.95  # so that something is compared
