"""B9: how well each stage ranks, over the service's own flow.

Every collection of ../shared/collections (BEIR layout) is cut into passages as an upload would be,
embedded, put into the embedded store and searched through `pipelines.search`. A document stands
where its best passage does. The models are those that TWOFOLD_EMBEDDER and TWOFOLD_RERANKER name.

Each question is asked once as users do, and once widely; all stages, and the fusions that
`leave_one_out.py` chooses among, are then computed from the scores of the wide answer. What was
measured stays in the results, so that a run of some collections adds to those of others.

    python benchmarks/quality.py [NAMES...] [--every N]     scifact xquad/de xquad/en:zh ...

`xquad/en:zh` puts the English questions to the Chinese documents; `--every 5` asks each fifth.
"""

import asyncio
import itertools
import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import ir_measures
import matplotlib as mpl
import typer
from ir_measures import Qrel, ScoredDoc, nDCG
from leave_one_out import GRID, Found, Row, by_stage, documents, fused_by, tables
from measure import RESULTS, machine, save
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pipelines import fuse
from pipelines.answer import Answers
from pipelines.build import Models, chosen_models
from pipelines.build.parts import founder, rerank_queue, sparse_embedder
from pipelines.chunk import Chunker
from pipelines.embedders import Embedders
from pipelines.models.query import LocalQueryEmbedder
from pipelines.paging.memory import MemoryRankings
from pipelines.passages import PassageMakers
from pipelines.ports import Block, Chunk, Parsed
from pipelines.query_vectors import QueryVectors
from pipelines.search import Search
from pipelines.settings import Settings
from pipelines.store.edge import EdgeStore
from twofold.schema import MAX_LIMIT, Document, SearchRequest, SearchResponse

mpl.use("Agg")
from matplotlib import pyplot as plt

COLLECTIONS = Path(__file__).parents[2] / "shared" / "collections"
NAMES = (
    *("scifact", "cranfield", "cosqa", "xquad/en", "xquad/de", "xquad/zh", "xquad/ar"),
    *("xquad/en:de", "xquad/de:en", "xquad/en:zh", "xquad/zh:en", "xquad/en:ar", "xquad/ar:en"),
    *("xquad/de:zh", "xquad/zh:de", "xquad/de:ar", "xquad/ar:de", "xquad/zh:ar", "xquad/ar:zh"),
)
BATCH = 256
MEASURE = nDCG @ 10
TENANT = "benchmark"
STORED = "judged"
DEADLINE_MS = 60_000
"""What is measured here is order: nothing may come too late."""
DEEPEST = 40
"""Candidates that the second stage scores in a wide answer, so that other orders find theirs."""
STAGES = ("BM25", "dense", "RRF", "recall", "rerank", "fused")

console = Console()


@dataclass(frozen=True)
class Judged:
    """A collection with the questions that somebody judged.

    Attributes:
        queries: Those that are asked.
        total: How many there are.
    """

    name: str
    parsed: dict[str, Parsed]
    queries: dict[str, str]
    total: int
    qrels: list[Qrel]

    @classmethod
    def load(cls, name: str, every: int = 1) -> "Judged":
        """Read the BEIR layout; questions without a relevant document are left out.

        `xquad/en:zh` has the questions of `xquad/en` and the documents of `xquad/zh`.
        """
        asked, _, other = name.partition(":")
        queries = COLLECTIONS / asked
        documents = queries.parent / other if other else queries
        rows = (queries / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]
        qrels = [Qrel(query, doc, int(gain)) for query, doc, gain in map(str.split, rows)]
        relevant = {qrel.query_id for qrel in qrels if qrel.relevance > 0}
        texts = {row["_id"]: row["text"] for row in _rows(queries / "queries.jsonl")}
        answerable = [query for query in texts if query in relevant]
        kept = answerable[::every]
        return cls(
            name=name,
            parsed={row["_id"]: _parsed(row) for row in _rows(documents / "corpus.jsonl")},
            queries={query: texts[query] for query in kept},
            total=len(answerable),
            qrels=[qrel for qrel in qrels if qrel.query_id in set(kept)],
        )


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Folders of collections.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Ask each so-manieth question.")] = 1,
) -> None:
    """Rank, judge, show."""
    models = chosen_models(Settings())
    found = [name for name in names or NAMES if (COLLECTIONS / name.partition(":")[0]).is_dir()]
    if missing := set(names or NAMES) - set(found):
        console.print(f"Not in {COLLECTIONS}, left out: {', '.join(sorted(missing))}")
    if not found:
        raise typer.Exit(code=1)
    report = {
        "benchmark": "B9",
        "measure": str(MEASURE),
        "embedder": models.embedder.name,
        "reranker": models.reranker.name if models.reranker else None,
        "trust": repr(fuse.TRUST),
        "grid": [str(each) for each in GRID],
        "profile": str(models.reranker.profile) if models.reranker else None,
    }
    for name in found:
        row = asyncio.run(judge(Judged.load(name, every), models))
        rows = _in_order({**kept(report), name: row})
        save("quality", {**report, "collections": rows})
        draw(rows, RESULTS / "quality.png")
        write_tables(rows, RESULTS / "quality.md")
        show(rows)
    console.print(f"written: {RESULTS / 'quality.json'}, quality.md, quality.png")


def kept(report: dict[str, object]) -> dict[str, Row]:
    """What earlier runs with the same models and formulas have measured."""
    path = RESULTS / "quality.json"
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    same = all(before.get(key) == value for key, value in report.items())
    return before["collections"] if same else {}


async def judge(judged: Judged, models: Models) -> Row:
    """nDCG@10 of every stage, of every formula of the grid, and what a search took."""
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as progress:
        store = EdgeStore.open(Path(folder))
        reranker = rerank_queue(models.reranker, max_pairs=4_096)
        try:
            chunks = await fill(store, judged, models, progress)
            answers = Answers(store, sparse_embedder, MemoryRankings(max_bytes=0, ttl_s=1.0))
            queries = QueryVectors(Embedders(LocalQueryEmbedder(models.embedder)))
            search = Search(store, queries, sparse_embedder, reranker, answers)
            found, runs, milliseconds = await ask(search, judged, progress)
        finally:
            await reranker.close()
            await store.close()
    depth = reranker.profile.depth
    for stage, orders in by_stage(found, depth).items():
        runs[stage] = orders
    return {
        "documents": len(judged.parsed),
        "passages": chunks,
        "queries": len(judged.queries),
        "judged": judged.total,
        **{stage: measured(judged, runs[stage]) for stage in STAGES},
        "search_p50_ms": round(statistics.median(milliseconds), 1),
        "machine": machine(),
        "grid": [measured(judged, fused_by(found, each, depth)) for each in GRID],
    }


def measured(judged: Judged, run: Sequence[ScoredDoc]) -> float:
    """The mean over the questions."""
    return round(float(ir_measures.calc_aggregate([MEASURE], judged.qrels, run)[MEASURE]), 4)


async def fill(store: EdgeStore, judged: Judged, models: Models, progress: Progress) -> int:
    """Chunk, embed and publish the collection, as one document of the ledger with many passages."""
    now = datetime.now(UTC)
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
    collection = founder(Settings(), [LocalQueryEmbedder(models.embedder)]).implied(STORED)
    maker = PassageMakers(models.embedders, sparse_embedder).of(collection)
    chunks = list(_chunks(maker.chunker, judged, document))
    await store.ensure_collection(TENANT, collection)
    await store.put_documents(TENANT, [document])
    batches = [chunks[start : start + BATCH] for start in range(0, len(chunks), BATCH)]
    for batch in progress.track(batches, description=f"{judged.name}: embedding"):
        vectors = await maker.vectors([chunk.passage for chunk in batch])
        await store.stage_chunks(TENANT, document, batch, vectors)
    await store.publish(
        TENANT, document.model_copy(update={"status": "ready", "chunks": len(chunks)})
    )
    return len(chunks)


async def ask(
    search: Search, judged: Judged, progress: Progress
) -> tuple[list[Found], dict[str, list[ScoredDoc]], list[float]]:
    """Put every question: what both stages found, the order of the default, how long it took."""
    wide = {"rerank": {"depth": DEEPEST}}
    found, fused, milliseconds = [], [], []
    for query_id, text in progress.track(
        judged.queries.items(), description=f"{judged.name}: searching"
    ):
        answer = await _answer(search, text, {})
        fused += documents(query_id, [result.name for result in answer.results])
        milliseconds.append(answer.timings_ms.total)
        found.append(Found.of(query_id, (await _answer(search, text, wide)).results))
    return found, {"fused": fused}, milliseconds


async def _answer(search: Search, text: str, way: dict[str, object]) -> SearchResponse:
    body = {"query": text, "collection": STORED, "limit": MAX_LIMIT, "deadline_ms": DEADLINE_MS}
    return await search(TENANT, SearchRequest.model_validate({**body, **way}))


def show(rows: Mapping[str, Row]) -> None:
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


def draw(rows: Mapping[str, Row], path: Path) -> None:
    """Bars: the stages of each collection side by side."""
    figure, axes = plt.subplots(figsize=(9, 4))
    width = 0.8 / len(STAGES)
    for place, stage in enumerate(STAGES):
        lefts = [index + place * width for index in range(len(rows))]
        axes.bar(lefts, [row[stage] for row in rows.values()], width, label=stage)
    places = [index + 0.4 - width / 2 for index in range(len(rows))]
    axes.set_xticks(places, list(rows), rotation=45, ha="right")
    axes.set_ylabel(str(MEASURE))
    axes.legend(ncols=len(STAGES), loc="upper center", bbox_to_anchor=(0.5, 1.14), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def write_tables(rows: Mapping[str, Row], path: Path) -> None:
    """The stages, and the formulas that the others would have chosen for each, in Markdown."""
    path.write_text("\n".join(tables(rows, STAGES)), encoding="utf-8")


def _in_order(rows: Mapping[str, Row]) -> dict[str, Row]:
    return {name: rows[name] for name in NAMES if name in rows}


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


if __name__ == "__main__":
    typer.run(main)
