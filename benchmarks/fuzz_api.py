"""Fuzzing of the API: tens of thousands of requests made up from its OpenAPI document.

Half of them are as the document wants them, half are wrong on purpose. A run fails when an answer
has a status, a code, a header or a body that the document does not tell of, so also with any 500.
The shortest request that shows each fault is printed; the seed repeats the run.

    python benchmarks/fuzz_api.py [--count 50000] [--seed 1] [--only "POST /search"]
"""

import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import machine, save

from tests.support.made_up import Api, Tally, serving

ROUND = 200
"""Requests of one operation in one go: what Hypothesis remembers of them is let go after that."""

console = Console()


def main(
    count: Annotated[int, typer.Option(help="Requests in all.")] = 50_000,
    seed: Annotated[int | None, typer.Option(help="Repeats a run; default: a new one.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="An operation; repeatable.")] = None,
) -> None:
    """Run, show and save; exits with 1 when an answer was not as documented."""
    logging.getLogger().addHandler(logging.NullHandler())  # what matters is in the answers
    warnings.simplefilter("ignore")
    seed = SystemRandom().randrange(1_000_000) if seed is None else seed
    console.print(f"seed {seed}, {count} requests")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as api:
        tallies = asked(api, count, seed, only)
    seconds = time.monotonic() - began
    console.print(table(tallies))
    faults = [
        {"operation": name, "fault": fault, "request": request}
        for name, tally in tallies.items()
        for fault, request in tally.faults.items()
    ]
    for fault in faults:
        console.print_json(data=fault)
    total = sum(tally.statuses.total() for tally in tallies.values())
    console.print(f"{total} requests in {seconds:.0f} s, {len(faults)} kinds of fault")
    if given_up := sum(tally.given_up for tally in tallies.values()):
        console.print(f"Hypothesis ended {given_up} rounds early, with a recursion of its own")
    if only is None:
        report = {
            "machine": machine(),
            "seed": seed,
            "requests": total,
            "seconds": round(seconds, 1),
            "statuses": {
                name: {str(status): n for status, n in sorted(tally.statuses.items())}
                for name, tally in tallies.items()
            },
            "faults": faults,
        }
        console.print(f"saved {save('fuzz_api', report)}")
    raise typer.Exit(1 if faults else 0)


def asked(api: Api, count: int, seed: int, only: list[str] | None) -> dict[str, Tally]:
    """What became of so many requests, shared out equally among the operations.

    An operation that can be asked in a few ways only gets no more than those, and the others get
    what it leaves: rounds go on until the count is reached.
    """
    operations = [each for each in api.operations() if not only or each.label in only]
    tallies = {each.label: Tally() for each in operations}
    done, turn = 0, 0
    while done < count:
        for operation in operations:
            each = min(ROUND, count - done)
            if each <= 0:
                break
            tally = api.tries(operation, count=each, at=seed * 1_000 + turn)
            for fault in tally.faults.keys() - tallies[operation.label].faults.keys():
                console.print(f"{operation.label}: {fault[:500]}", markup=False, highlight=False)
            tallies[operation.label].take(tally)
            done += tally.statuses.total()
        turn += 1
        faults = sum(len(tally.faults) for tally in tallies.values())
        console.print(f"{done} of {count}, {faults} kinds of fault", highlight=False)
    return tallies


def table(tallies: dict[str, Tally]) -> Table:
    """Answers by operation and status."""
    statuses = sorted({status for tally in tallies.values() for status in tally.statuses})
    drawn = Table("operation", *map(str, statuses), "faults", box=None)
    for name, tally in tallies.items():
        cells = [str(tally.statuses[status] or "") for status in statuses]
        drawn.add_row(name, *cells, str(len(tally.faults) or ""))
    return drawn


if __name__ == "__main__":
    typer.run(main)
