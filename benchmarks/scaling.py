"""What the embedded store costs as it grows: ingest, searches, memory and disk, chunk by chunk.

    python benchmarks/scaling.py [--sizes 1000,10000,50000,100000,200000] [--indexed 50000]

One collection grows to each size in turn, document by document as the ingest flow writes it.
Vectors are drawn around a few hundred centres, as embeddings of real texts lie; texts are made of
words that follow Zipf's law, through the real BM25. At each size a fresh process opens the folder,
as after a restart, and searches it by exact scan; at one size also with the index. What lies beyond
the largest size is drawn out in a straight line and says so. A second, small collection grows with
the real models, through the whole service.

Writes benchmarks/results/scaling.json and scaling.png.
"""

import asyncio
import gc
import json
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import typer
from measure import RESULTS, machine, save
from rich.console import Console
from rich.table import Table
from search import ask, corpus, fill, questions, server
from store import CENTRES, drawn_vectors

from pipelines.models.bm25 import Bm25SparseEmbedder
from pipelines.ports import Collection, RecallQuery, Vector, Vectors
from pipelines.store.edge import EdgeStore
from tests.support.stored import chunks_of, ready, row

SIZES = "1000,10000,50000,100000,200000"
FAR = 1_000_000
"""Chunks at which the straight line ends."""
SLOW_MS = 50.0
"""A first stage beyond this is better had from a server."""
TENANT, NAME, DIMENSIONS = "bench", "bench", 384
PER_DOCUMENT, WORDS, QUERY_WORDS, VOCABULARY = 20, 120, 6, 50_000
LIMIT, QUERIES = 100, 60
NEVER = 1_000_000_000
console = Console()


def main(
    sizes: Annotated[str, typer.Option(help="Chunks at which everything is measured.")] = SIZES,
    indexed: Annotated[int, typer.Option(help="The size to build the index at; 0: none.")] = 50_000,
    real: Annotated[
        int, typer.Option(help="Chunks to embed with the real models; 0: none.")
    ] = 1_500,
) -> None:
    """Measure, show, save and draw."""
    wanted = [int(size) for size in sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        grown = asyncio.run(grow(Path(folder), wanted, indexed))
    report: dict[str, Any] = {
        "benchmark": "scaling",
        "machine": machine(),
        "dimensions": DIMENSIONS,
        "words_of_a_chunk": WORDS,
        **grown,
        "real_models": with_real_models(real) if real else [],
    }
    report["straight_line"] = straight_line(report["sizes"])
    show(report)
    console.print(f"written: {save('scaling', report)}")
    draw(report, RESULTS / "scaling.png")


# --- What is written ----------------------------------------------------------------------------


@dataclass
class MadeUp:
    """Texts and vectors without end, the same in every run."""

    seed: int

    def __post_init__(self) -> None:
        self._draw = np.random.default_rng(self.seed)
        share = 1.0 / np.arange(1, VOCABULARY + 1)
        self._ladder = np.cumsum(share / share.sum())
        self._words = np.array(list(islice(_words(), VOCABULARY)))
        centres = np.random.default_rng(0).standard_normal((CENTRES, DIMENSIONS))
        self._centres = centres.astype(np.float32)

    def texts(self, count: int, words: int) -> list[str]:
        """So many texts of so many words."""
        places = np.searchsorted(self._ladder, self._draw.random((count, words)))
        return [" ".join(each) for each in self._words[places.clip(max=VOCABULARY - 1)]]

    def vectors(self, count: int) -> Vector:
        """[count, DIMENSIONS] float32 of unit length."""
        return drawn_vectors(count, DIMENSIONS, self._centres, int(self._draw.integers(2**31)))


def _words() -> Iterator[str]:
    """Words that can be spoken, shorter ones first."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    shorter = [""]
    while True:
        shorter = [word + syllable for word in shorter for syllable in syllables]
        yield from shorter


async def grow(folder: Path, sizes: Sequence[int], indexed: int) -> dict[str, Any]:
    """Measure at each size, the index at one of them."""
    made_up, bm25 = MadeUp(1), Bm25SparseEmbedder()
    rows: list[dict[str, Any]] = []
    with_index: dict[str, Any] = {}
    stored = 0
    for size in sizes:
        store = EdgeStore.open(folder / "store", index_above=NEVER)
        await store.ensure_collection(TENANT, Collection(NAME, "none", DIMENSIONS))
        seconds, added = 0.0, size - stored
        while stored < size:
            count = min(PER_DOCUMENT, size - stored)
            texts, dense = made_up.texts(count, WORDS), made_up.vectors(count)
            document = row(f"d{stored}", collection=NAME)
            began = time.perf_counter()
            vectors = list(map(Vectors, dense, bm25.embed_passages(texts)))
            await store.put_documents(TENANT, [document])
            await store.stage_chunks(TENANT, document, chunks_of(document, texts), vectors)
            await store.publish(TENANT, ready(document, count))
            seconds += time.perf_counter() - began
            stored += count
        await store.close()
        found = in_a_fresh_process(folder / "store", NEVER)
        rows.append(
            {
                "chunks": size,
                "ingest_chunks_per_s": added / seconds,
                "disk_bytes_per_chunk": bytes_in(folder / "store") / size,
                **found,
            }
        )
        console.print(f"{size} chunks: {found['recall_ms']['hybrid']}", highlight=False)
        if size == indexed:
            shutil.copytree(folder / "store", folder / "indexed")
            with_index = {"chunks": size, **in_a_fresh_process(folder / "indexed", 0)}
            shutil.rmtree(folder / "indexed")
    return {"sizes": rows, "with_index": with_index}


def bytes_in(folder: Path) -> int:
    """What the files of a folder take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


# --- What is asked ------------------------------------------------------------------------------


def in_a_fresh_process(folder: Path, index_above: int) -> dict[str, Any]:
    """What `opened` says, as after a restart."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(opened, folder, index_above).result()


def opened(folder: Path, index_above: int) -> dict[str, Any]:
    """Open the store and search it: time to open, memory a chunk, latency by mode."""
    return asyncio.run(_opened(folder, index_above))


async def _opened(folder: Path, index_above: int) -> dict[str, Any]:
    made_up, bm25 = MadeUp(2), Bm25SparseEmbedder()
    words = [bm25.embed_query(text) for text in made_up.texts(QUERIES, QUERY_WORDS)]
    pairs = list(zip(made_up.vectors(QUERIES), words, strict=True))
    gc.collect()
    before, began = memory(), time.perf_counter()
    store = EdgeStore.open(folder, index_above=index_above)
    open_s = time.perf_counter() - began
    modes = {
        "dense": [RecallQuery(dense, None, LIMIT) for dense, _ in pairs],
        "sparse": [RecallQuery(None, sparse, LIMIT) for _, sparse in pairs],
        "hybrid": [RecallQuery(dense, sparse, LIMIT) for dense, sparse in pairs],
    }
    recall_ms = {mode: await latency(store, queries) for mode, queries in modes.items()}
    [counted] = [await store.count_documents(TENANT, NAME)]
    chunks = counted["ready"] * PER_DOCUMENT
    after = memory()
    await store.close()
    grown = {kind: (after[kind] - before[kind]) / chunks for kind in after}
    return {"open_s": open_s, "memory_bytes_per_chunk": grown, "recall_ms": recall_ms}


async def latency(store: EdgeStore, queries: Sequence[RecallQuery]) -> dict[str, float]:
    """Milliseconds of `recall`, after a few that bring the files in."""
    for query in queries[:5]:
        await store.recall(TENANT, NAME, query)
    walls = []
    for query in queries:
        began = time.perf_counter()
        await store.recall(TENANT, NAME, query)
        walls.append(1e3 * (time.perf_counter() - began))
    return {
        "p50": round(statistics.median(walls), 2),
        "p95": round(float(np.percentile(walls, 95)), 2),
        "min": round(min(walls), 2),
    }


def memory() -> dict[str, int]:
    """Bytes of this process: its own, and those of files that it has mapped.

    The system keeps the latter as long as nobody else needs the room.
    """
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    kinds = {"own": "RssAnon", "mapped": "RssFile"}
    return {kind: 1024 * int(told[name].split()[0]) for kind, name in kinds.items()}


# --- The real models, and the straight line -----------------------------------------------------


def with_real_models(chunks: int) -> list[dict[str, float]]:
    """The whole service as it grows: passages a second, and the first stage at the server."""
    rows = []
    texts = corpus()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as client:
        stored = 0
        for size in (chunks // 3, chunks):
            added, seconds = fill(client, size - stored, texts)
            stored += added
            answers = ask(client, questions(40), rerank=False)
            rows.append(
                {
                    "chunks": stored,
                    "ingest_chunks_per_s": added / seconds,
                    "first_stage_ms_p50": statistics.median(
                        each.answer.timings_ms.total for each in answers
                    ),
                }
            )
    return rows


def straight_line(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Where the largest sizes point to: nothing here was measured.

    An exact scan is linear in what it scans; the line goes through the two largest sizes.
    """
    if len(rows) < 2:
        return {}
    (near, low), (far, high) = [
        (each["chunks"], each["recall_ms"]["hybrid"]["p50"]) for each in rows[-2:]
    ]
    slope = (high - low) / (far - near)
    largest = rows[-1]
    return {
        "hybrid_ms_at_1000000": round(high + slope * (FAR - far), 1),
        "memory_gb_at_1000000": round(
            sum(largest["memory_bytes_per_chunk"].values()) * FAR / 1e9, 2
        ),
        "disk_gb_at_1000000": round(largest["disk_bytes_per_chunk"] * FAR / 1e9, 2),
        "chunks_at_50_ms": round(far + (SLOW_MS - high) / slope, -3) if slope > 0 else math.inf,
    }


# --- What is shown ------------------------------------------------------------------------------


def show(report: dict[str, Any]) -> None:
    """The table, and where the line points."""
    table = Table(title=f"the embedded store, {DIMENSIONS} dimensions, {WORDS} words a chunk")
    columns = ("chunks", "ingest/s", "open s", "dense p50", "sparse p50", "hybrid p50", "p95")
    for column in (*columns, "own B", "mapped B", "disk B"):
        table.add_column(column, justify="right")
    rows = [(each, "") for each in report["sizes"]]
    if report["with_index"]:
        rows.append((report["with_index"], " indexed"))
    for each, remark in rows:
        recall, used = each["recall_ms"], each["memory_bytes_per_chunk"]
        table.add_row(
            f"{each['chunks']}{remark}",
            f"{each['ingest_chunks_per_s']:.0f}" if "ingest_chunks_per_s" in each else "",
            f"{each['open_s']:.2f}",
            *(f"{recall[mode]['p50']:.1f}" for mode in ("dense", "sparse", "hybrid")),
            f"{recall['hybrid']['p95']:.1f}",
            f"{used['own']:.0f}",
            f"{used['mapped']:.0f}",
            f"{each['disk_bytes_per_chunk']:.0f}" if "disk_bytes_per_chunk" in each else "",
        )
    console.print(table)
    console.print("straight line, not measured:", json.dumps(report["straight_line"]))
    console.print("with the real models:", json.dumps(report["real_models"]))


def draw(report: dict[str, Any], path: Path) -> None:
    """Latency, ingest rate and bytes against size; the straight line is dashed."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    rows, line = report["sizes"], report["straight_line"]
    sizes = [each["chunks"] for each in rows]
    for number, mode in enumerate(("dense", "sparse", "hybrid")):
        recall = [each["recall_ms"][mode] for each in rows]
        colour = f"C{number}"
        left.plot(sizes, [each["p50"] for each in recall], "o-", color=colour, label=f"{mode} p50")
        left.plot(sizes, [each["p95"] for each in recall], ":", color=colour, label=f"{mode} p95")
    if line:
        ends = [rows[-1]["recall_ms"]["hybrid"]["p50"], line["hybrid_ms_at_1000000"]]
        left.plot([sizes[-1], FAR], ends, "--", color="C2", label="hybrid, extrapolated")
    if found := report["with_index"]:
        left.plot(
            found["chunks"], found["recall_ms"]["hybrid"]["p50"], "*", color="C3", markersize=12,
            label="hybrid p50 with the index",
        )  # fmt: skip
    left.axhline(SLOW_MS, color="grey", linewidth=0.8)
    left.set(xscale="log", yscale="log", xlabel="chunks", ylabel="ms", title="recall, exact scan")
    left.legend(fontsize=7)
    middle.plot(
        sizes, [each["ingest_chunks_per_s"] for each in rows], "o-", label="the store alone"
    )
    if real := report["real_models"]:
        middle.plot(
            [each["chunks"] for each in real], [each["ingest_chunks_per_s"] for each in real], "o-",
            label="the service with the real models",
        )  # fmt: skip
    middle.set(xscale="log", yscale="log", xlabel="chunks", title="ingest, chunks a second")
    middle.legend(fontsize=7)
    for kind, label in (("own", "memory, its own"), ("mapped", "memory, mapped files")):
        right.plot(
            sizes, [each["memory_bytes_per_chunk"][kind] for each in rows], "o-", label=label
        )
    right.plot(sizes, [each["disk_bytes_per_chunk"] for each in rows], "o-", label="disk")
    right.set(xscale="log", yscale="log", xlabel="chunks", title="bytes a chunk")
    right.legend(fontsize=7)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    typer.run(main)
