"""Twofold beside LangChain, LlamaIndex, Haystack and txtai.

    python -m benchmarks.peers quality [COLLECTIONS...] [--only NAME]...
    python -m benchmarks.peers prepare [--only NAME]...
    python -m benchmarks.peers speed [--only NAME]...
    python -m benchmarks.peers report

The peers live in an environment of their own, .venv-peers, which `make bench-peers` builds. What
was computed once (vectors, Twofold's data folder) is kept in .bench; remove that after a change of
how texts are cut or embedded. Quality does not depend on the machine's load, and its results are
merged into what is there, so that it can be had piece by piece; speed needs a quiet machine.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.measure import RESULTS, machine, save
from benchmarks.peers import quality as ranking
from benchmarks.peers import report as pages
from benchmarks.peers import speed as pace
from benchmarks.peers.judged import COLLECTIONS, load
from benchmarks.peers.processes import PEERS, ROOT, TWOFOLD, running

QUALITY, SPEED = "peers_quality", "peers_speed"
KEPT = ROOT / ".bench"
JUDGED = ("xquad/en", "cranfield", "cosqa", "scifact")
console = Console()
app = typer.Typer(no_args_is_help=True, add_completion=False)

Only = Annotated[list[str] | None, typer.Option(help="A contestant; all of them without it.")]


@app.command()
def quality(
    collections: Annotated[list[str] | None, typer.Argument(help="Folders of collections.")] = None,
    only: Only = None,
) -> None:
    """NDCG@10 of each contestant, with the first stage alone and with both."""
    known = recorded(QUALITY)
    for name in collections or JUDGED:
        judged = load(name)
        for contestant in only or ("twofold", *PEERS):
            with running(contestant, None if contestant in TWOFOLD else KEPT) as one:
                figures = ranking.judge(one, judged)
                known.setdefault("collections", {}).setdefault(name, {})[contestant] = figures
                known.setdefault("facts", {})[contestant] = one.facts
            console.print(name, contestant, figures, highlight=False)
            save(QUALITY, {"benchmark": "peers, quality", "measure": str(ranking.MEASURE), **known})
    report()


@app.command()
def speed(
    only: Only = None,
    documents: Annotated[int | None, typer.Option(help="In the index; all without it.")] = None,
    rounds: Annotated[int, typer.Option(help="Turns of ingest and of questions.")] = 5,
    ingested: Annotated[int, typer.Option(help="Documents whose ingest is timed.")] = 200,
) -> None:
    """Ingest, latency, throughput and memory, all contestants in turn."""
    names = only or [*TWOFOLD, *PEERS]
    plan = pace.Plan(documents=documents, rounds=rounds, ingested=ingested)
    ingested_by = pace.ingest(names, plan)
    searched_by = pace.search(names, plan, KEPT)
    save(
        SPEED,
        {
            "benchmark": "peers, speed",
            "machine": machine(),
            "plan": plan._asdict(),
            "ingest": ingested_by,
            "search": searched_by,
        },
    )
    report()


@app.command()
def prepare(only: Only = None) -> None:
    """Fill what `speed` searches, so that its own run is short; takes as long as it takes."""
    taken = pace.drawn(pace.Plan())
    for name in only or (*TWOFOLD, *PEERS):
        with running(name, KEPT) as one:
            console.print(name, one.do("fill", documents=taken), highlight=False)


@app.command()
def report() -> None:
    """The page and the picture, from what was measured last."""
    found, paced = recorded(QUALITY), recorded(SPEED)
    console.print(pages.write(found, paced, RESULTS / "peers.md"))
    if found and paced:
        pages.draw(found, paced, RESULTS / "peers.png")


def recorded(name: str) -> dict[str, Any]:
    """What an earlier run has saved."""
    path: Path = RESULTS / f"{name}.json"
    known: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return known


if __name__ == "__main__":
    if not COLLECTIONS.is_dir():
        raise SystemExit(f"there is no {COLLECTIONS}: the peers are compared on its collections")
    app()
