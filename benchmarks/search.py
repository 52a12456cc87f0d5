"""B7: what a search costs, and which stage it goes to.

Starts the server as a user would, fills it with CHUNKS passages (the collections in ../shared, or
sentences made up here where there are none), asks QUERIES different questions one after the other
with the first stage alone, as many others with both, and shows the time of each stage as the server
itself reports it. Then the server is started again and asked as many others: what the second stage
remembered of passages is forgotten. What the client waits beyond the models and the engine is the
service's overhead. Every question is new, so that no score comes from a cache; passages do meet
again, as they do in real use.

    python benchmarks/search.py [--chunks 11000] [--queries 150]
"""

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, NamedTuple

import matplotlib as mpl
import typer
from measure import RESULTS, machine, save
from rich.console import Console
from rich.progress import track
from rich.table import Table

from twofold import Client
from twofold.errors import ConnectionFailed
from twofold.schema import DocumentText, SearchResponse

ROOT = Path(__file__).parents[1]
COLLECTIONS = ROOT.parent / "shared" / "collections"
WAYS = {
    "first_stage": "the first stage alone",
    "both_stages": "both stages",
    "both_stages_after_restart": "both stages, right after a restart",
}
STAGES = ("embed", "recall", "queue", "rerank", "fuse")
console = Console()


def main(
    chunks: Annotated[int, typer.Option(help="Passages in the index.")] = 11_000,
    queries: Annotated[int, typer.Option(help="Different questions to each way.")] = 150,
) -> None:
    """Measure and show."""
    asked = questions(3 * queries)
    with tempfile.TemporaryDirectory() as folder:
        with server(Path(folder)) as client:
            stored, ingest_s = fill(client, chunks, corpus())
            first = ask(client, asked[::3], rerank=False)
            both = ask(client, asked[1::3], rerank=True)
        with server(Path(folder)) as client:
            restarted = ask(client, asked[2::3], rerank=True)
    report = {
        "benchmark": "B7",
        "machine": machine(),
        "chunks": stored,
        "queries": len(both),
        "ingest_chunks_per_s": round(stored / ingest_s, 1),
        "statuses": Counter(each.answer.rerank.status for each in both),
        "depth": both[0].answer.rerank.depth,
        "model": both[0].answer.rerank.model,
        "first_stage": figures(first),
        "both_stages": figures(both),
        "both_stages_after_restart": figures(restarted),
    }
    show(report)
    save("search", report)
    draw(report, RESULTS / "search.png")


@contextmanager
def server(folder: Path, **more: str) -> Iterator[Client]:
    """Twofold as `make run` starts it, on a free port, with an empty data folder.

    Args:
        folder: Of the data.
        more: Settings by their names without prefix.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {"PORT": str(port), "DATA_DIR": str(folder), **more}
    settings = {f"TWOFOLD_{name}": value for name, value in told.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.api"], env={**os.environ, **settings}, cwd=ROOT
    )
    try:
        with Client(f"http://127.0.0.1:{port}", timeout=120.0) as client:
            wait_until_ready(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(client: Client, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers; give up after a minute, or when it has died."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if client.ready().ready:
                return
        except ConnectionFailed:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def fill(client: Client, wanted: int, texts: Iterator[DocumentText]) -> tuple[int, float]:
    """Upload texts until so many passages have been added; returns how many, in how long."""
    begin = time.monotonic()
    stored = 0
    with console.status("filling the index") as status:
        while stored < wanted:
            batch = list(islice(texts, min(500, wanted - stored)))
            if not batch:
                break
            added = client.add_texts(batch, wait=300).documents
            if not all(each.status == "ready" for each in added):
                client.wait([each.id for each in added], timeout=600)
                added = [client.document(each.id) for each in added]
            stored += sum(each.chunks for each in added)
            status.update(f"filling the index: {stored} of {wanted} passages")
    return stored, time.monotonic() - begin


def corpus() -> Iterator[DocumentText]:
    """Abstracts, reports and functions from the shared collections, else made-up sentences."""
    folders = [
        folder
        for name in ("cosqa", "scifact", "cranfield")
        if (folder := COLLECTIONS / name).is_dir()
    ]
    if not folders:
        words = [
            f"{a}{b}"
            for a in ["ba", "ko", "mi", "ru", "te", "sa", "lo", "ne"]
            for b in ["ra", "ti", "mu", "lek", "son", "dar"]
        ]
        chance = random.Random(7)
        for n in range(1_000_000):
            text = " ".join(chance.choices(words, k=150))
            yield DocumentText(id=f"made-up-{n}", text=text)
    for folder in folders:
        for line in (folder / "corpus.jsonl").open(encoding="utf-8"):
            entry = json.loads(line)
            text = f"{entry['title']}\n\n{entry['text']}".strip()
            if text:
                yield DocumentText(id=f"{folder.name}-{entry['_id']}", text=text)


def questions(wanted: int) -> list[str]:
    """Real questions of the same collections, mixed with a fixed seed."""
    files = [COLLECTIONS / name / "queries.jsonl" for name in ("scifact", "cosqa", "cranfield")]
    lines = chain.from_iterable(file.open(encoding="utf-8") for file in files if file.exists())
    texts = sorted({json.loads(line)["text"] for line in lines})
    texts = texts or [f"bara komu tedar {n}" for n in range(wanted)]
    return random.Random(7).sample(texts, min(wanted, len(texts)))


class Asked(NamedTuple):
    """An answer, and how long the client waited for it."""

    answer: SearchResponse
    wall_ms: float

    @property
    def overhead_ms(self) -> float:
        """What neither a model nor the engine took: HTTP, JSON, the queue, the fusion."""
        took = self.answer.timings_ms
        return self.wall_ms - took.embed - took.recall - took.rerank


def ask(client: Client, texts: Sequence[str], *, rerank: bool) -> list[Asked]:
    """The answers, after a few questions that warm up what is warm in production."""

    def one(text: str) -> Asked:
        began = time.perf_counter()
        answer = client.search(text, rerank={"enabled": rerank})
        return Asked(answer, 1e3 * (time.perf_counter() - began))

    for text in texts[:5]:
        one(text + " (warm-up)")
    return [one(text) for text in track(texts, "asking", console=console)]


def figures(asked: Sequence[Asked]) -> dict[str, dict]:
    """Milliseconds: at the client, of the service alone, and of each stage."""
    timings = [each.answer.timings_ms for each in asked]
    return {
        "client_ms": spread([each.wall_ms for each in asked]),
        "overhead_ms": spread([each.overhead_ms for each in asked]),
        "total_ms": spread([each.total for each in timings]),
        "stages_ms": {
            stage: spread([getattr(each, stage) for each in timings]) for stage in STAGES
        },
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile, least and most, in the unit of the values."""
    cuts = statistics.quantiles(values, n=20)
    return {
        "p50": round(statistics.median(values), 2),
        "p95": round(cuts[18], 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
    }


def show(report: dict) -> None:
    """A table for each way."""
    for way, depth in WAYS.items():
        found = report[way]
        size = f"{report['chunks']} passages, {report['queries']} questions"
        table = Table(title=f"/search over {size}, {depth}")
        for column in ("stage", "p50 ms", "p95 ms", "share"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        whole = found["client_ms"]["p50"]
        lines = {**found["stages_ms"], "total at the server": found["total_ms"]}
        lines |= {"at the client": found["client_ms"], "overhead": found["overhead_ms"]}
        for name, times in lines.items():
            share = f"{times['p50'] / whole:.0%}"
            table.add_row(name, f"{times['p50']:.2f}", f"{times['p95']:.2f}", share)
        console.print(table)
    console.print(
        f"ingested {report['ingest_chunks_per_s']} passages/s; depth {report['depth']}; "
        f"rerank {dict(report['statuses'])}"
    )


def draw(report: dict, path: Path) -> None:
    """One bar per percentile and way, one colour per stage."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    bars = [(way, share) for way in reversed(WAYS) for share in ("p95", "p50")]
    for way, percentile in bars:
        left = 0.0
        for number, (stage, times) in enumerate(report[way]["stages_ms"].items()):
            label = stage if (way, percentile) == bars[-1] else None
            name = f"{way.replace('_', ' ')}, {percentile}"
            axes.barh(name, times[percentile], left=left, color=f"C{number}", label=label)
            left += times[percentile]
    axes.set_xlabel("milliseconds")
    axes.set_title(f"/search over {report['chunks']} passages")
    axes.legend(ncols=len(STAGES), loc="upper center", bbox_to_anchor=(0.5, -0.3))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    typer.run(main)
