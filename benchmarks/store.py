"""B5: both stores: write rate, recall latency, and what the index costs in recall.

    python benchmarks/store.py [--chunks 10000] [--dimensions 384] [--queries 200]

The server is the one that TWOFOLD_TEST_QDRANT_URL names, else the stand-in. The latter says what
the client, HTTP and the check of versions cost on top of the same engine in one process, and
nothing of a true server's speed.

The yardstick of every figure is brute force with numpy over the same vectors in the same run.
Vectors are drawn around a few hundred centres, as embeddings of real texts lie; words follow
Zipf's law. Writes benchmarks/results/store.json.
"""

import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypedDict

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from pipelines.ports import Chunk, Collection, RecallQuery, SparseVector, Store, Vector, Vectors
from pipelines.store.edge import EdgeStore
from pipelines.store.records import Shape, chunk_point
from pipelines.store.shard import Shard
from tests.support.qdrant_server import TRUE_SERVER, fresh_store, running_server
from tests.support.stored import chunks_of, digest, ready, row, vectors_of
from twofold.schema import And, Condition, Document, Filter

RESULTS = Path(__file__).parent / "results"
TENANT, LIMIT, CENTRES, VOCABULARY = "bench", 100, 300, 20_000
PER_DOCUMENT, WORDS = 50, 120
SERVER = "Qdrant server" if TRUE_SERVER else "stand-in for a Qdrant server"
NARROW = Condition(key="year", eq=2003)
WIDE = And(and_=[Condition(key="year", gte=2005), Condition(key="lang", contains="e")])

console = Console()


class Served(TypedDict):
    """How one state of the store answers."""

    open_s: float
    found_of_nearest: float
    recall_ms: dict[str, dict[str, float]]


class Report(TypedDict):
    """The figures of one run; times are wall time."""

    machine: dict[str, str | int | None]
    qdrant_edge: str
    chunks: int
    dimensions: int
    limit: int
    write: dict[str, dict[str, float]]
    durable_ms: dict[str, float]
    numpy_dense_ms: float
    served: dict[str, Served]


def drawn_vectors(count: int, dimensions: int, centres: Vector, seed: int) -> Vector:
    """[count, dimensions] float32 of unit length, around the centres."""
    draw = np.random.default_rng(seed)
    chosen = centres[draw.integers(0, len(centres), count)]
    vectors = chosen + 0.7 * draw.standard_normal((count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def drawn_words(count: int, words: int, seed: int) -> list[SparseVector]:
    """Sparse vectors of so many drawn words each."""
    draw = np.random.default_rng(seed)
    share = 1.0 / np.arange(1, VOCABULARY + 1)
    ids = draw.choice(VOCABULARY, (count, words), p=share / share.sum())
    return [SparseVector(np.unique(each).tolist(), [1.0] * len(np.unique(each))) for each in ids]


def documents_of(count: int) -> list[tuple[Document, list[Chunk]]]:
    """Documents whose chunks have texts of a usual length, `count` chunks in all."""
    text = "benchmark " * WORDS
    drawn = []
    for number in range(count // PER_DOCUMENT):
        metadata = {"year": 2000 + number % 25, "lang": ("en", "de", "fr")[number % 3]}
        document = row(f"d{number}", collection="bench", metadata=metadata)
        chunks = [
            Chunk(
                id=f"{number}-{ordinal}",
                document_id=document.id,
                version=1,
                ordinal=ordinal,
                text=text,
                start=0,
                end=len(text),
                sha256=digest(f"{number}-{ordinal}"),
                name=document.name,
                metadata=metadata,
            )
            for ordinal in range(PER_DOCUMENT)
        ]
        drawn.append((document, chunks))
    return drawn


async def write(store: Store, dense: Vector, sparse: Sequence[SparseVector]) -> dict[str, float]:
    """Bring everything in, document by document, as the ingest flow does."""
    publishing, started = [], time.perf_counter()
    vectors = list(map(Vectors, dense, sparse))
    for number, (document, chunks) in enumerate(documents_of(len(dense))):
        await store.put_documents(TENANT, [document])
        first = number * PER_DOCUMENT
        await store.stage_chunks(TENANT, document, chunks, vectors[first : first + len(chunks)])
        before = time.perf_counter()
        await store.publish(TENANT, ready(document, len(chunks)))
        publishing.append(time.perf_counter() - before)
    seconds = time.perf_counter() - started
    return {
        "chunks_per_s": len(dense) / seconds,
        "publish_ms_p50": 1e3 * statistics.median(publishing),
    }


async def latency(store: Store, queries: Sequence[RecallQuery]) -> dict[str, float]:
    """Milliseconds of `recall`, wall and processor."""
    walls, cpu = [], time.process_time()
    for query in queries:
        started = time.perf_counter()
        await store.recall(TENANT, "bench", query)
        walls.append(1e3 * (time.perf_counter() - started))
    return {
        "p50": statistics.median(walls),
        "min": min(walls),
        "p99": float(np.percentile(walls, 99)),
        "cpu_mean": 1e3 * (time.process_time() - cpu) / len(queries),
    }


def brute_force(dense: Vector, queries: Vector) -> tuple[list[set[int]], float]:
    """The nearest chunks of each query by numpy, and the p50 of that in milliseconds."""
    nearest, walls = [], []
    for query in queries:
        started = time.perf_counter()
        nearest.append(set(np.argpartition(dense @ query, -LIMIT)[-LIMIT:].tolist()))
        walls.append(1e3 * (time.perf_counter() - started))
    return nearest, statistics.median(walls)


async def found_of_nearest(store: Store, queries: Vector, nearest: Sequence[set[int]]) -> float:
    """Mean share of the true nearest chunks that the dense list holds."""
    shares = []
    for query, true in zip(queries, nearest, strict=True):
        candidates = await store.recall(TENANT, "bench", RecallQuery(query, None, LIMIT))
        numbers = (each.chunk.id.split("-") for each in candidates)
        found = {int(document) * PER_DOCUMENT + int(ordinal) for document, ordinal in numbers}
        shares.append(len(found & true) / LIMIT)
    return statistics.fmean(shares)


def shapes(dense: Vector, sparse: Sequence[SparseVector]) -> dict[str, list[RecallQuery]]:
    """The same queries in every shape that a search asks for."""

    def asked(make: Callable[[Vector, SparseVector], RecallQuery]) -> list[RecallQuery]:
        return [make(*pair) for pair in zip(dense, sparse, strict=True)]

    def filtered(tree: Filter) -> list[RecallQuery]:
        return asked(lambda vector, words: RecallQuery(vector, words, LIMIT, tree))

    return {
        "dense": asked(lambda vector, _: RecallQuery(vector, None, LIMIT)),
        "sparse": asked(lambda _, words: RecallQuery(None, words, LIMIT)),
        "hybrid": asked(lambda vector, words: RecallQuery(vector, words, LIMIT)),
        "hybrid, eq filter": filtered(NARROW),
        "hybrid, range and substring filter": filtered(WIDE),
    }


async def measure(folder: Path, chunks: int, dimensions: int, queries: int) -> Report:
    """All figures of one run."""
    centres = np.random.default_rng(0).standard_normal((CENTRES, dimensions)).astype(np.float32)
    dense = drawn_vectors(chunks, dimensions, centres, seed=1)
    asked_dense = drawn_vectors(queries, dimensions, centres, seed=3)
    asked = shapes(asked_dense, drawn_words(queries, 6, seed=4))
    nearest, numpy_ms = brute_force(dense, asked_dense)

    words = drawn_words(chunks, WORDS, seed=2)
    served: dict[str, Served] = {}

    async def serve(name: str, store: Store, started: float) -> None:
        served[name] = {
            "open_s": time.perf_counter() - started,
            "found_of_nearest": await found_of_nearest(store, asked_dense, nearest),
            "recall_ms": {shape: await latency(store, each) for shape, each in asked.items()},
        }

    edge = EdgeStore.open(folder / "store")
    await edge.ensure_collection(TENANT, Collection("bench", "none", dimensions))
    written = {"edge": await write(edge, dense, words)}
    for name, index_above in (("exact scan", chunks), ("with index", 0)):
        await edge.close()
        started = time.perf_counter()
        edge = EdgeStore.open(folder / "store", index_above=index_above)
        await serve(name, edge, started)
    await edge.close()
    with running_server(folder / "server") as server:
        async with fresh_store(server) as store:
            started = time.perf_counter()
            await store.ensure_collection(TENANT, Collection("bench", "none", dimensions))
            written[SERVER] = await write(store, dense, words)
            await serve(SERVER, store, started)
    return {
        "machine": {"processor": platform.processor(), "cores": os.cpu_count()},
        "qdrant_edge": version("qdrant-edge-py"),
        "chunks": chunks,
        "dimensions": dimensions,
        "limit": LIMIT,
        "write": written,
        "durable_ms": sync_and_flush(folder / "durable"),
        "numpy_dense_ms": numpy_ms,
        "served": served,
    }


def sync_and_flush(folder: Path) -> dict[str, float]:
    """Milliseconds, p50, of making twenty chunks durable by the log and by the engine's flush."""
    shard = Shard.create(folder, Shape("none", 8))
    walls: dict[str, list[float]] = {"log": [], "flush": []}
    for _ in range(15):
        for name, durably in (("log", shard.sync), ("flush", shard._shard.flush)):  # noqa: SLF001
            document = row("d", collection="durable")
            chunks = chunks_of(document, [f"text {number}" for number in range(20)])
            shard.upsert(
                [chunk_point(TENANT, document, each, vectors_of(each.text)) for each in chunks]
            )
            started = time.perf_counter()
            durably()
            walls[name].append(1e3 * (time.perf_counter() - started))
    shard.close()
    return {name: statistics.median(each) for name, each in walls.items()}


def show(report: Report) -> None:
    """Print the figures as tables."""
    console.print_json(data={key: each for key, each in report.items() if key != "served"})
    table = Table("milliseconds, p50 (min, p99)", *report["served"])
    for shape in next(iter(report["served"].values()))["recall_ms"]:
        spreads = [served["recall_ms"][shape] for served in report["served"].values()]
        cells = [f"{each['p50']:.2f} ({each['min']:.2f}, {each['p99']:.2f})" for each in spreads]
        table.add_row(shape, *cells)
    for figure in ("found_of_nearest", "open_s"):
        table.add_row(figure, *(f"{each[figure]:.3f}" for each in report["served"].values()))
    console.print(table)


def main(
    chunks: Annotated[int, typer.Option(help="Chunks in the collection.")] = 10_000,
    dimensions: Annotated[int, typer.Option(help="Length of a dense vector.")] = 384,
    queries: Annotated[int, typer.Option(help="Different queries of each shape.")] = 200,
) -> None:
    """Measure and show."""
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(measure(Path(folder), chunks, dimensions, queries))
    show(report)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "store.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
