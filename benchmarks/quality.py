"""B9: how well each stage ranks, over the service's own flow.

Every collection of ../shared/collections (BEIR layout) is cut into passages as an upload would be,
embedded, put into the embedded store and searched through `pipelines.search`. A document stands
where its best passage does. The models are those that TWOFOLD_EMBEDDER and TWOFOLD_RERANKER name.

    python benchmarks/quality.py [NAMES...]          scifact cranfield cosqa xquad/en
"""

import asyncio
import itertools
import json
import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import ir_measures
import matplotlib as mpl
import numpy as np
import typer
from ir_measures import Qrel, ScoredDoc, nDCG
from measure import RESULTS, machine, save
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pipelines import fuse
from pipelines.answer import Answers
from pipelines.build import Models, chosen_models
from pipelines.build.parts import chunk_tokens, rerank_queue
from pipelines.chunk import Chunker
from pipelines.models.bm25 import Bm25SparseEmbedder
from pipelines.models.query import LocalQueryEmbedder
from pipelines.paging.memory import MemoryRankings
from pipelines.ports import Block, Chunk, Collection, Parsed, Vectors
from pipelines.query_vectors import QueryVectors
from pipelines.search import Search
from pipelines.settings import Settings
from pipelines.store.edge import EdgeStore
from twofold.schema import MAX_LIMIT, Document, Result, SearchRequest, SearchResponse

mpl.use("Agg")
from matplotlib import pyplot as plt

COLLECTIONS = Path(__file__).parents[2] / "shared" / "collections"
NAMES = ("scifact", "cranfield", "cosqa", "xquad/en")
BATCH = 256
MEASURE = nDCG @ 10
TENANT = "benchmark"
STORED = "judged"
RERANK_OFF = {"rerank": {"enabled": False}}
WAYS: dict[str, dict[str, object]] = {
    "BM25": {"recall": {"mode": "sparse"}, **RERANK_OFF},
    "dense": {"recall": {"mode": "dense"}, **RERANK_OFF},
    "recall": RERANK_OFF,
    "rerank": {"fusion": {"method": "rerank"}},
    "fused": {},
}
"""What a request says for each: one list alone, both of them, the second stage alone on the head
of those, and the default."""
STAGES = ("BM25", "dense", "RRF", "recall", "rerank", "fused")

console = Console()


@dataclass(frozen=True)
class Judged:
    """A collection with the questions that somebody judged."""

    name: str
    parsed: dict[str, Parsed]
    queries: dict[str, str]
    qrels: list[Qrel]

    @classmethod
    def load(cls, name: str) -> "Judged":
        """Read the BEIR layout; questions without a relevant document are left out."""
        folder = COLLECTIONS / name
        rows = (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]
        qrels = [Qrel(query, doc, int(gain)) for query, doc, gain in map(str.split, rows)]
        relevant = {qrel.query_id for qrel in qrels if qrel.relevance > 0}
        return cls(
            name=name,
            parsed={row["_id"]: _parsed(row) for row in _rows(folder / "corpus.jsonl")},
            queries={
                row["_id"]: row["text"]
                for row in _rows(folder / "queries.jsonl")
                if row["_id"] in relevant
            },
            qrels=[qrel for qrel in qrels if qrel.query_id in relevant],
        )


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Folders of collections.")] = None,
) -> None:
    """Rank, judge, show."""
    models = chosen_models(Settings())
    found = [name for name in names or NAMES if (COLLECTIONS / name / "corpus.jsonl").exists()]
    if missing := set(names or NAMES) - set(found):
        console.print(f"Not in {COLLECTIONS}, left out: {', '.join(sorted(missing))}")
    if not found:
        raise typer.Exit(code=1)
    rows = {name: asyncio.run(judge(Judged.load(name), models)) for name in found}
    report = {
        "benchmark": "B9",
        "measure": str(MEASURE),
        "embedder": models.embedder.name,
        "reranker": models.reranker.name if models.reranker else None,
        "sparse_weight": fuse.SPARSE_WEIGHT,
        "profile": str(models.reranker.profile) if models.reranker else None,
        "machine": machine(),
        "collections": rows,
    }
    show(rows)
    console.print(f"written: {save('quality', report)}")
    draw(rows, RESULTS / "quality.png")


async def judge(judged: Judged, models: Models) -> dict[str, float]:
    """nDCG@10 of every stage, and what a search took."""
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as progress:
        store = EdgeStore.open(Path(folder))
        reranker = rerank_queue(models.reranker, max_pairs=4_096)
        try:
            chunks = await fill(store, judged, models, progress)
            sparse = Bm25SparseEmbedder()
            answers = Answers(store, sparse, MemoryRankings(max_bytes=0, ttl_s=1.0))
            queries = QueryVectors(LocalQueryEmbedder(models.embedder))
            search = Search(store, queries, sparse, reranker, answers)
            runs, milliseconds = await ask(search, judged, progress)
        finally:
            await reranker.close()
            await store.close()
    figures = {
        stage: round(float(ir_measures.calc_aggregate([MEASURE], judged.qrels, run)[MEASURE]), 4)
        for stage, run in runs.items()
    }
    return {
        "documents": len(judged.parsed),
        "passages": chunks,
        "queries": len(judged.queries),
        **figures,
        "search_p50_ms": round(statistics.median(milliseconds), 1),
    }


async def fill(store: EdgeStore, judged: Judged, models: Models, progress: Progress) -> int:
    """Chunk, embed and publish the collection, as one document of the ledger with many passages."""
    embedder, sparse, now = models.embedder, Bm25SparseEmbedder(), datetime.now(UTC)
    document = Document(
        id="all",
        collection=STORED,
        name=judged.name,
        media_type="text/plain",
        size=0,
        sha256="",
        version=1,
        created_at=now,
        updated_at=now,
    )
    chunker = Chunker(embedder.tokenizer_json, chunk_tokens(Settings(), embedder))
    chunks = list(_chunks(chunker, judged, document))
    await store.ensure_collection(TENANT, Collection(STORED, embedder.name, embedder.dimensions))
    await store.put_documents(TENANT, [document])
    batches = [chunks[start : start + BATCH] for start in range(0, len(chunks), BATCH)]
    for batch in progress.track(batches, description=f"{judged.name}: embedding"):
        passages = [chunk.passage for chunk in batch]
        dense = embedder.embed_passages(passages)
        vectors = list(map(Vectors, dense, sparse.embed_passages(passages)))
        await store.stage_chunks(TENANT, document, batch, vectors)
    await store.publish(
        TENANT, document.model_copy(update={"status": "ready", "chunks": len(chunks)})
    )
    return len(chunks)


async def ask(
    search: Search, judged: Judged, progress: Progress
) -> tuple[dict[str, list[ScoredDoc]], list[float]]:
    """Put every question in every way: the runs by stage, and how long whole searches took."""
    runs: dict[str, list[ScoredDoc]] = {stage: [] for stage in STAGES}
    milliseconds = []
    for query_id, text in progress.track(
        judged.queries.items(), description=f"{judged.name}: searching"
    ):
        answers = {stage: await _answer(search, text, way) for stage, way in WAYS.items()}
        ranked = {stage: answer.results for stage, answer in answers.items()}
        ranked["RRF"] = by_reciprocal_ranks(ranked["recall"])
        for stage, results in ranked.items():
            runs[stage] += documents(query_id, results)
        milliseconds.append(answers["fused"].timings_ms.total)
    return runs, milliseconds


async def _answer(search: Search, text: str, way: dict[str, object]) -> SearchResponse:
    body = {"query": text, "collection": STORED, "limit": MAX_LIMIT, **way}
    return await search(TENANT, SearchRequest.model_validate(body))


def by_reciprocal_ranks(results: Sequence[Result]) -> list[Result]:
    """The same candidates in the order that Cormack et al. would give them."""
    dense = [_or_nan(result.scores.dense) for result in results]
    sparse = [_or_nan(result.scores.sparse) for result in results]
    scores = fuse.reciprocal_ranks(dense) + fuse.reciprocal_ranks(sparse)
    return [results[index] for index in np.argsort(-scores, kind="stable")]


def documents(query_id: str, results: Sequence[Result]) -> list[ScoredDoc]:
    """The documents of a ranking, each at its best passage."""
    order = dict.fromkeys(result.name for result in results)
    return [ScoredDoc(query_id, name, -float(rank)) for rank, name in enumerate(order)]


def show(rows: dict[str, dict[str, float]]) -> None:
    """A table: collections down, stages across."""
    table = Table(title=f"{MEASURE}")
    for column in ("collection", "passages", *STAGES, "p50 ms"):
        table.add_column(column, justify="left" if column == "collection" else "right")
    for name, row in rows.items():
        best = max(row[stage] for stage in STAGES)
        figures = [
            f"[bold]{row[stage]:.3f}[/]" if row[stage] == best else f"{row[stage]:.3f}"
            for stage in STAGES
        ]
        table.add_row(name, str(row["passages"]), *figures, f"{row['search_p50_ms']:.0f}")
    console.print(table)


def draw(rows: dict[str, dict[str, float]], path: Path) -> None:
    """Bars: the stages of each collection side by side."""
    figure, axes = plt.subplots(figsize=(9, 4))
    width = 0.8 / len(STAGES)
    for place, stage in enumerate(STAGES):
        lefts = [index + place * width for index in range(len(rows))]
        axes.bar(lefts, [row[stage] for row in rows.values()], width, label=stage)
    axes.set_xticks([index + 0.4 - width / 2 for index in range(len(rows))], list(rows))
    axes.set_ylabel(str(MEASURE))
    axes.legend(ncols=len(STAGES), loc="upper center", bbox_to_anchor=(0.5, 1.14), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def _chunks(chunker: Chunker, judged: Judged, document: Document) -> Iterator[Chunk]:
    """The passages of every document of the collection, numbered as those of one."""
    ordinals = itertools.count()
    for name, parsed in judged.parsed.items():
        source = document.model_copy(update={"id": name, "name": name})
        for chunk in chunker.chunks(TENANT, source, parsed):
            yield replace(chunk, document_id=document.id, ordinal=next(ordinals))


def _parsed(row: dict[str, str]) -> Parsed:
    text = row["text"]
    blocks = (Block(0, len(text)),) if text.strip() else ()
    return Parsed(text, blocks, "text/plain", title=row["title"] or None)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _or_nan(score: float | None) -> float:
    return math.nan if score is None else score


if __name__ == "__main__":
    typer.run(main)
