"""B7: what a search costs, and which stage it goes to.

Starts the server as a user would, fills it with CHUNKS passages (the collections in ../shared, or
sentences made up here where there are none), asks QUERIES different questions one after the other,
and shows the time of each stage as the server itself reports it. Every question is new, so that no
score comes from a cache; passages do meet again, as they do in real use.

    python benchmarks/search.py [--chunks 10000] [--queries 200]
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
from typing import Annotated

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
STAGES = ("embed", "recall", "queue", "rerank", "fuse")
console = Console()


def main(
    chunks: Annotated[int, typer.Option(help="Passages in the index.")] = 10_000,
    queries: Annotated[int, typer.Option(help="Different questions to ask.")] = 200,
) -> None:
    """Measure and show."""
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as client:
        stored, ingest_s = fill(client, chunks)
        answers = ask(client, questions(queries))
    report = {
        "benchmark": "B7",
        "machine": machine(),
        "chunks": stored,
        "queries": len(answers),
        "ingest_chunks_per_s": round(stored / ingest_s, 1),
        "statuses": Counter(answer.rerank.status for answer in answers),
        "depth": answers[0].rerank.depth,
        "model": answers[0].rerank.model,
        "total_ms": spread([answer.timings_ms.total for answer in answers]),
        "stages_ms": {
            stage: spread([getattr(answer.timings_ms, stage) for answer in answers])
            for stage in STAGES
        },
    }
    show(report)
    save("search", report)
    draw(report, RESULTS / "search.png")


@contextmanager
def server(folder: Path) -> Iterator[Client]:
    """Twofold as `make run` starts it, on a free port, with an empty data folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"TWOFOLD_PORT": str(port), "TWOFOLD_DATA_DIR": str(folder)}
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


def fill(client: Client, wanted: int) -> tuple[int, float]:
    """Upload texts until the index holds the wanted passages; returns how many, in how long."""
    begin = time.monotonic()
    texts = corpus()
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
        for name in ("scifact", "cosqa", "cranfield")
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


def ask(client: Client, texts: Sequence[str]) -> list[SearchResponse]:
    """The answers, after a few questions that warm up what is warm in production."""
    for text in texts[:5]:
        client.search(text + " (warm-up)")
    return [client.search(text) for text in track(texts, "asking", console=console)]


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
    """The table."""
    size = f"{report['chunks']} passages, {report['queries']} questions"
    table = Table(title=f"/search over {size}, depth {report['depth']}")
    for column in ("stage", "p50 ms", "p95 ms", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    total = report["total_ms"]
    for stage, times in report["stages_ms"].items():
        share = times["p50"] / total["p50"]
        table.add_row(stage, f"{times['p50']:.2f}", f"{times['p95']:.2f}", f"{share:.0%}")
    table.add_row("total", f"{total['p50']:.2f}", f"{total['p95']:.2f}", "", style="bold")
    console.print(table)
    console.print(
        f"ingested {report['ingest_chunks_per_s']} passages/s; rerank {report['statuses']}"
    )


def draw(report: dict, path: Path) -> None:
    """One bar per percentile, one colour per stage."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 2.2), layout="constrained")
    for percentile in ("p95", "p50"):
        left = 0.0
        for number, (stage, times) in enumerate(report["stages_ms"].items()):
            label = stage if percentile == "p50" else None
            axes.barh(percentile, times[percentile], left=left, color=f"C{number}", label=label)
            left += times[percentile]
    axes.set_xlabel("milliseconds")
    axes.set_title(f"/search over {report['chunks']} passages")
    axes.legend(ncols=len(STAGES), loc="upper center", bbox_to_anchor=(0.5, -0.35))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    typer.run(main)
