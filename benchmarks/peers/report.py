"""The page about all contestants, made from the two files of figures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

Figures = Mapping[str, Any]

NAMES = {
    "twofold": "Twofold",
    "twofold_inprocess": "Twofold, in process",
    "langchain": "LangChain",
    "llama_index": "LlamaIndex",
    "haystack": "Haystack",
    "txtai": "txtai",
}
STAGES = {"first": "first stage", "both": "both stages"}
FACTS = ("version", "index", "words", "passages", "fusion", "second stage")
HEAD = """# Twofold beside its peers

Made by `make bench-peers`; do not edit. Every contestant has the same weights (all-MiniLM-L6-v2),
the same documents and questions, the same machine, and a process of its own. Each is set up as its
documentation recommends for hybrid search, with 100 candidates a retriever where tutorials take 2
to 10, and a second stage over the best 20. No cross-encoder's weights were at hand, so behind every
peer's reranker interface is Twofold's own late-interaction model; a peer orders by its scores
alone, as its reranker does, and Twofold fuses them with those of the first stage.

The best figure of a row or column is bold, whoever has it.
"""
NOTES = """
## What to know about the figures

- Twofold is asked over HTTP and writes to disk what it acknowledges; the peers are libraries that
  are called in their own process and hold all in memory. "In process" is Twofold without its HTTP.
- Passage vectors of the second stage are remembered once a passage was a candidate, by everybody's
  adapter alike. The processes are fresh, so most passages are new to it, as after a restart.
- Twofold computes in bf16 where the processor does that faster; the peers take their default, fp32.
- txtai calls the model with up to 512 tokens, and it was trained for 256; its index turns
  approximate when the first ingest brings more than 5,000 texts. Its database is for one thread
  at a time, so eight clients take turns.
- LangChain's and LlamaIndex's BM25 indexes cannot grow: each ingest builds them anew.
- Memory is the highest resident size of the process and its children.
"""


def write(quality: Figures, speed: Figures, path: Path) -> Path:
    """Write the page; what was not measured is left out."""
    parts = [HEAD]
    if quality:
        parts += ["\n## Quality: nDCG@10\n", quality_table(quality["collections"])]
        parts += ["\n## How each is set up\n", facts_table(quality["facts"])]
    if speed:
        parts += [f"\n## Speed\n\n{conditions(speed)}\n", speed_table(speed)]
        parts += [f"\n{winners(speed)}\n"]
    path.write_text("\n".join([*parts, NOTES]), encoding="utf-8")
    return path


def quality_table(collections: Figures) -> str:
    """Collections and stages down, contestants across."""
    names = [name for name in NAMES if any(name in row for row in collections.values())]
    rows = [
        [collection, label, *best_bold([row.get(name, {}).get(stage) for name in names], 3)]
        for collection, row in collections.items()
        for stage, label in STAGES.items()
    ]
    return table(["collection", "", *(NAMES[name] for name in names)], rows)


def facts_table(facts: Figures) -> str:
    """What each does, in its own words."""
    names = [name for name in NAMES if name in facts]
    rows = [[fact, *(facts[name].get(fact, "") for name in names)] for fact in FACTS]
    return table(["", *(NAMES[name] for name in names)], rows)


def speed_table(speed: Figures) -> str:
    """Figures down, contestants across; the best of each row is bold."""
    ingest, search = speed["ingest"], speed["search"]
    names = [name for name in NAMES if name in search]
    rows = [
        line("ingest, documents/s", [ingest[name]["documents_per_s"]["p50"] for name in names]),
        *(
            row
            for stage, label in STAGES.items()
            for row in search_lines(label, [search[name][stage] for name in names])
        ),
        line("memory while ingesting, MB", [ingest[n]["peak_mb"] for n in names], lowest=True),
        line("memory while searching, MB", [search[n]["peak_mb"] for n in names], lowest=True),
    ]
    return table(["", *(NAMES[name] for name in names)], rows)


def search_lines(label: str, found: Sequence[Figures]) -> list[list[str]]:
    """Latency and throughput of one way to search."""
    return [
        line(f"{label}, p50 ms", [each["ms"]["p50"] for each in found], lowest=True),
        line(f"{label}, p95 ms", [each["ms"]["p95"] for each in found], lowest=True),
        line(f"{label}, searches/s, 1 client", [each["per_second_of_1"] for each in found]),
        line(f"{label}, searches/s, 8 clients", [each["per_second_of_8"] for each in found]),
    ]


def line(label: str, figures: Sequence[float], *, lowest: bool = False) -> list[str]:
    """A row of one figure each."""
    digits = 1 if max(figures) < 1_000 else 0
    return [label, *best_bold(figures, digits, lowest=lowest)]


def best_bold(figures: Sequence[float | None], digits: int, *, lowest: bool = False) -> list[str]:
    """The figures as text, the best one bold; nothing where there is none."""
    rounded = [math.nan if each is None else round(each, digits) for each in figures]
    there = [each for each in rounded if not math.isnan(each)]
    best = min(there) if lowest else max(there)
    return [
        ""
        if math.isnan(each)
        else f"**{each:.{digits}f}**"
        if each == best
        else f"{each:.{digits}f}"
        for each in rounded
    ]


def conditions(speed: Figures) -> str:
    """What the figures of speed hold for."""
    plan, machine = speed["plan"], speed["machine"]
    first = next(iter(speed["search"].values()))
    return (
        f"{first['documents']} documents of {' and '.join(plan['collections'])} in the index; "
        f"{plan['ingested']} taken in and {plan['rounds']} x {plan['questions'][0]} questions "
        f"(x {plan['questions'][1]} with both stages) asked in {plan['rounds']} turns. "
        f"{machine['processor']}, load average {machine['load average'][0]} at the end."
    )


def winners(speed: Figures) -> str:
    """Where a peer is better than Twofold over HTTP, in a sentence."""
    search = speed["search"]
    if "twofold" not in search:
        return ""
    beaten = []
    for stage, label in STAGES.items():
        ours = search["twofold"][stage]["ms"]["p50"]
        faster = [n for n, each in search.items() if is_peer(n) and each[stage]["ms"]["p50"] < ours]
        beaten += [f"{NAMES[name]} answers faster than Twofold ({label})" for name in faster]
    ours = speed["ingest"]["twofold"]["documents_per_s"]["p50"]
    for name, each in speed["ingest"].items():
        if is_peer(name) and each["documents_per_s"]["p50"] > ours:
            beaten.append(f"{NAMES[name]} takes documents in faster")
    for name, each in search.items():
        if is_peer(name) and each["peak_mb"] < search["twofold"]["peak_mb"]:
            beaten.append(f"{NAMES[name]} needs less memory")
    return "Where a peer wins: " + ("; ".join(beaten) or "nowhere in this table") + "."


def is_peer(name: str) -> bool:
    """Whether this is not Twofold."""
    return not name.startswith("twofold")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines) + "\n"


def draw(quality: Figures, speed: Figures, path: Path) -> None:
    """Quality against latency: one point for each contestant and stage; up and left is better."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    rows = quality["collections"].values()
    for number, (name, label) in enumerate(NAMES.items()):
        if name not in speed["search"] or not all(name in row for row in rows):
            continue
        for stage, marker in (("first", "o"), ("both", "^")):
            mean = sum(row[name][stage] for row in rows) / len(rows)
            axes.plot(
                speed["search"][name][stage]["ms"]["p50"], mean, marker, color=f"C{number}",
                markersize=9, label=f"{label}, {STAGES[stage]}",
            )  # fmt: skip
    axes.set(xscale="log", xlabel="ms, p50, one client", ylabel="nDCG@10, mean of collections")
    axes.set_title("Quality and latency")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=140)
    plt.close(figure)
