"""The targets for ingest, the service and the way end to end, each with its figure.

    python benchmarks/targets.py

Measures nothing: reads what the other commands have written to benchmarks/results, and writes
benchmarks/results/targets.md. What was not measured says so.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

RESULTS = Path(__file__).parent / "results"
Report = Mapping[str, Any]
console = Console()


@dataclass(frozen=True)
class Target:
    """What is wanted, where its figure stands, and how both read.

    Attributes:
        figure: Finds it in the report; a KeyError says that it is not there.
        limit: At most this, or at least this if `least`.
    """

    what: str
    source: str
    command: str
    figure: Callable[[Report], float]
    limit: float
    unit: str
    least: bool = False

    def row(self, report: Report | None) -> list[str]:
        """A line of the table."""
        wanted = f"{'at least' if self.least else 'at most'} {self.limit:g} {self.unit}".strip()
        try:
            found = None if report is None else self.figure(report)
        except KeyError:
            found = None
        if report is None or found is None:
            return [self.what, wanted, "not measured", "", self.command, ""]
        met = found >= self.limit if self.least else found <= self.limit
        load = report.get("machine", {}).get("load average", ["?"])[0]
        figure = f"{found:.3g} {self.unit}".strip()
        return [self.what, wanted, figure, "met" if met else "**missed**", self.command, str(load)]


def at(*path: str) -> Callable[[Report], float]:
    """The figure at the end of a path of keys."""

    def find(report: Report) -> float:
        value: Any = report
        for key in path:
            value = value[key]
        return float(value)

    return find


def above_best_peer(collection: str) -> Callable[[Report], float]:
    """How far Twofold with both stages is above the best stage of any peer."""

    def find(report: Report) -> float:
        found = report["collections"][collection]
        peers = [max(each.values()) for name, each in found.items() if name != "twofold"]
        if not peers:
            raise KeyError(collection)
        return float(found["twofold"]["both"]) - max(peers)

    return find


SEARCH = ("search", "make bench-search")
OVERLOAD = ("overload", "make bench-overload")
INGEST = ("ingest", "make bench-ingest")
QUEUE = ("rerank_queue", "make bench-queue")
RANKED = ("peers_quality", "make bench-peers-quality")
TARGETS = (
    Target(
        "ingest pipeline, to its embedder alone on the same passages", *INGEST,
        at("kinds", "abstracts", "pipeline_to", "embedder", "median"), 0.95, "x", least=True,
    ),
    Target(
        "ingest of short texts, to SentenceTransformer.encode", *INGEST,
        at("kinds", "short texts", "pipeline_to", "SentenceTransformer", "median"), 1.3, "x",
        least=True,
    ),
    Target(
        "service overhead of /search beyond models and engine, p50", *SEARCH,
        at("both_stages", "overhead_ms", "p50"), 5.0, "ms",
    ),
    Target(
        "/search, first stage, hybrid, 11,000 passages, p50", *SEARCH,
        at("first_stage", "total_ms", "p50"), 14.0, "ms",
    ),
    Target(
        "/search, both stages, depth 20, p50", *SEARCH,
        at("both_stages", "total_ms", "p50"), 200.0, "ms",
    ),
    Target(
        "the same right after a restart, when no passage is remembered", *SEARCH,
        at("both_stages_after_restart", "total_ms", "p50"), 200.0, "ms",
    ),
    Target(
        "goodput at ten times the peak, to the peak", *OVERLOAD,
        at("loads", "10x", "goodput_of_peak"), 0.9, "x", least=True,
    ),
    Target(
        "refusals at ten times the peak, p99", *OVERLOAD,
        at("loads", "10x", "refusal_ms", "p99"), 50.0, "ms",
    ),
    Target(
        "rerank queue round trip, 100 passages, p50", *QUEUE, at("hundred passages", "p50_ms"), 1.0,
        "ms",
    ),
    Target(
        "rerank queue round trip, 100 passages, p99", *QUEUE, at("hundred passages", "p99_ms"), 3.0,
        "ms",
    ),
    *(
        Target(
            f"nDCG@10 above the best peer, {collection}", *RANKED, above_best_peer(collection), 0.0,
            "", least=True,
        )
        for collection in ("scifact", "cranfield", "cosqa", "xquad/en")
    ),
)  # fmt: skip


def main() -> None:
    """Write the table."""
    reports = {target.source: recorded(target.source) for target in TARGETS}
    page = written([target.row(reports[target.source]) for target in TARGETS])
    (RESULTS / "targets.md").write_text(page, encoding="utf-8")
    console.print(page, markup=False, highlight=False)


def recorded(name: str) -> Report | None:
    """What a benchmark has saved, if it ever ran."""
    path = RESULTS / f"{name}.json"
    report: Report | None = json.loads(path.read_bytes()) if path.exists() else None
    return report


def written(rows: Sequence[Sequence[str]]) -> str:
    """The page."""
    head = ["what", "target", "figure", "", "from", "load average then"]
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join(f"| {' | '.join(each)} |" for each in lines)
    return f"# Targets\n\nMade by `make bench-targets`; do not edit.\n\n{table}\n"


if __name__ == "__main__":
    typer.run(main)
