"""B8, ingest: from accepted to searchable, beside the embedder alone on the same passages.

Two kinds of documents: abstracts that make two or three passages each, where the yardstick is our
own embedder on the very passages that the pipeline embeds, and short texts of one passage each,
where it is also `SentenceTransformer.encode` with the same weights. Each round takes documents that
nobody has seen, and each contestant in turn. The pipeline does all that an upload of texts is:
files and ledger rows that survive a power loss, passages, vectors, BM25.

    python benchmarks/ingest.py [--rounds 5] [--abstracts 80] [--texts 256]
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psutil
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import machine, save
from search import corpus

from benchmarks.peers.seam import Document, weights
from benchmarks.peers.twofold_inprocess import Contestant
from pipelines.chunk import Chunker
from pipelines.models.minilm import MiniLm, MiniLmEmbedder
from pipelines.parse.text import parse
from pipelines.ports import Parsed
from tests.support.stored import row

BATCH = 256
"""Texts that the pipeline hands to the model at once at most."""
SHORT = 600
"""Characters of a text that is one passage."""
console = Console()


class Took(NamedTuple):
    """Seconds on the wall, and of the processor by this process and its children."""

    wall: float
    cpu: float


def main(
    rounds: Annotated[int, typer.Option(help="Turns; medians are shown.")] = 5,
    abstracts: Annotated[int, typer.Option(help="Long documents of a turn.")] = 80,
    texts: Annotated[int, typer.Option(help="Short documents of a turn.")] = 256,
) -> None:
    """Measure, show and save."""
    model = MiniLm.load()
    embedder = MiniLmEmbedder(model)
    passages = Passages(Chunker(model.tokenizer_json, embedder.max_tokens))
    from sentence_transformers import SentenceTransformer

    transformer = SentenceTransformer(weights(), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Contestant(Path(folder))
        try:
            pipeline.ingest([Document("warm-up", "The first text wakes the parser's parent.")])
            ways: Mapping[str, Callable[[Sequence[Document]], object]] = {
                "pipeline": pipeline.ingest,
                "embedder": lambda documents: in_batches(
                    embedder.embed_passages, passages.of(documents)
                ),
                "SentenceTransformer": lambda documents: transformer.encode(passages.of(documents)),
            }
            kinds = {"abstracts": drawn(abstracts, rounds, long=True)}
            kinds["short texts"] = drawn(texts, rounds, long=False)
            found = {kind: compared(kind, parts, ways, passages) for kind, parts in kinds.items()}
        finally:
            pipeline.close()
    report = {"benchmark": "B8, ingest", "machine": machine(), "rounds": rounds, "kinds": found}
    show(found)
    console.print(f"written: {save('ingest', report)}")


class Passages:
    """The passages of documents, made once."""

    def __init__(self, chunker: Chunker) -> None:
        self._chunker = chunker
        self._known: dict[str, list[str]] = {}

    def of(self, documents: Sequence[Document]) -> list[str]:
        """What the pipeline embeds of them, in order."""
        return [passage for each in documents for passage in self._of(each)]

    def _of(self, document: Document) -> list[str]:
        if document.id not in self._known:
            extract = parse(document.text.encode())
            parsed = Parsed(extract.text, extract.blocks, "text/plain", title=extract.title)
            chunks = self._chunker.chunks("t", row(document.id), parsed)
            self._known[document.id] = [each.passage for each in chunks]
        return self._known[document.id]


def in_batches(embed: Callable[[list[str]], object], passages: list[str]) -> None:
    """Embed as the pipeline does when it is full."""
    for start in range(0, len(passages), BATCH):
        embed(passages[start : start + BATCH])


def drawn(count: int, rounds: int, *, long: bool) -> list[list[Document]]:
    """Different documents for each round, long ones or short ones."""
    texts = (
        Document(str(each.id), each.text) for each in corpus() if (len(each.text) > SHORT) == long
    )
    return [[next(texts) for _ in range(count)] for _ in range(rounds)]


def compared(
    kind: str,
    parts: Sequence[Sequence[Document]],
    ways: Mapping[str, Callable[[Sequence[Document]], object]],
    passages: Passages,
) -> dict[str, Any]:
    """Rates of all, and the ratios that the targets speak of; medians of the rounds."""
    took: dict[str, list[Took]] = {name: [] for name in ways}
    for number, part in enumerate(parts):
        count = len(passages.of(part))
        for name, way in ways.items():
            took[name].append(timed(way, part))
            wall, cpu = took[name][-1]
            console.print(
                f"  {kind}, round {number + 1}: {name} {count / wall:.0f} passages/s, "
                f"{1e3 * cpu / count:.1f} ms of processor each",
                highlight=False,
            )
    counts = [len(passages.of(part)) for part in parts]
    return {
        "documents": sum(map(len, parts)),
        "passages": sum(counts),
        "passages_per_s": {
            name: spread([n / each.wall for n, each in zip(counts, took[name], strict=True)])
            for name in ways
        },
        "cpu_ms_per_passage": {
            name: spread([1e3 * each.cpu / n for n, each in zip(counts, took[name], strict=True)])
            for name in ways
        },
        "pipeline_to": {
            name: spread(
                [other.wall / ours.wall
                 for ours, other in zip(took["pipeline"], took[name], strict=True)]
            )
            for name in ways
            if name != "pipeline"
        },
    }  # fmt: skip


def timed(way: Callable[[Sequence[Document]], object], part: Sequence[Document]) -> Took:
    """Run it once."""
    wall, cpu = time.perf_counter(), processor_s()
    way(part)
    return Took(time.perf_counter() - wall, processor_s() - cpu)


def processor_s() -> float:
    """Processor seconds of this process and its children, also of those that have ended."""
    ended = os.times()
    alive = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    own = ended.user + ended.system + ended.children_user + ended.children_system
    return own + sum(each.user + each.system for each in alive)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def show(found: Mapping[str, Mapping[str, Any]]) -> None:
    """The table."""
    table = Table("documents", "contestant", "passages/s", "ms of processor", "pipeline to it")
    for kind, figures in found.items():
        for name, rate in figures["passages_per_s"].items():
            ratio = figures["pipeline_to"].get(name)
            table.add_row(
                kind,
                name,
                f"{rate['median']:.0f}",
                f"{figures['cpu_ms_per_passage'][name]['median']:.1f}",
                f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
                if ratio
                else "",
            )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
