"""Fuzzing of the parsers: thousands of damaged files of every format through the sandbox.

Damages real files (those in ../shared/documents, where they are there) and hand-made ones, gives
each to a confined child, and counts what becomes of them. A run fails when a case hangs, ends in
a way that no document may end in, or takes the service with it: its memory and its descriptors
are compared before and after. Crashes and timeouts of a parser cost only its child; they are
listed with what the log says, and `--keep` saves the files.

    python benchmarks/fuzz.py [--count 2000] [--seed 1] [--only .pdf] [--keep FOLDER]
"""

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import machine, save

from pipelines.parse.sandbox import SandboxedParser
from tests.support import fuzzing

CPU_S, WALL_S = 5, 10.0
MAX_GROWTH = 50_000_000  # bytes of the service over the whole run
CODES = ("parsed", "corrupt", "empty", "unsupported_format", "encrypted", "needs_ocr", "too_large")
TOLD = 3  # crashes of a format that are explained
console = Console()


def main(
    count: Annotated[int, typer.Option(help="Files of each format.")] = 2_000,
    seed: Annotated[int | None, typer.Option(help="Repeats a run; default: a new one.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A suffix; repeatable.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder for what crashes a parser.")] = None,
    workers: Annotated[int, typer.Option(help="Files in hand at once.")] = os.cpu_count() or 2,
) -> None:
    """Run, show and save; exits with 1 when the service was harmed."""
    logging.getLogger("pipelines").propagate = False  # what crashes is told below
    logging.getLogger("pipelines").addHandler(logging.NullHandler())
    seed = SystemRandom().randrange(1_000_000) if seed is None else seed
    console.print(f"seed {seed}, {count} files of each format")
    files = fuzzing.seeds(only or ())
    parser = SandboxedParser(cpu_s=CPU_S, wall_s=WALL_S)
    table = Table("format", "seeds", *CODES, "crashed", "timeout", "memory", "slowest", box=None)
    rows: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        _warm(parser, Path(folder))
        before, began = (fuzzing.resident_bytes(), _descriptors()), time.monotonic()
        for suffix, tally in fuzzing.run(
            parser,
            Path(folder),
            seed=seed,
            count=count,
            files=files,
            wall_s=WALL_S,
            workers=workers,
        ):
            codes = tally.codes
            cells = [codes[code] for code in CODES]
            cells += [codes[f"parser_{end}"] for end in ("crashed", "timeout", "memory")]
            table.add_row(
                suffix, *map(str, (len(files[suffix]), *cells)), f"{tally.slowest_s:.1f} s"
            )
            rows[suffix] = {**codes, "seeds": len(files[suffix]), "slowest_s": tally.slowest_s}
            console.print(f"{suffix}: {dict(codes)}", highlight=False)
            _tell(parser, Path(folder), tally.crashes, seed, keep)
        seconds = time.monotonic() - began
        after = (fuzzing.resident_bytes(), _descriptors())
    parser.close()
    console.print(table)
    total = count * len(files)
    console.print(f"{total} files in {seconds:.0f} s, {total / seconds:.0f} a second")
    harmed = after[0] - before[0] > MAX_GROWTH or after[1] > before[1]
    console.print(
        f"service before and after: {before[0] / 1e6:.0f} MB, {after[0] / 1e6:.0f} MB; "
        f"descriptors {before[1]}, {after[1]}"
    )
    if only is None:
        report = {
            "machine": machine(),
            "seed": seed,
            "count": count,
            "seconds": round(seconds, 1),
            "service_bytes": {"before": before[0], "after": after[0]},
            "formats": rows,
        }
        console.print(f"saved {save('fuzz', report)}")
    raise typer.Exit(1 if harmed else 0)


def _warm(parser: SandboxedParser, folder: Path) -> None:
    """Let everything be imported and opened that a service has after its first file."""
    path = folder / "warm"
    path.write_text("warm")
    parser.parse(path, name="warm.txt", media_type=None)


def _tell(
    parser: SandboxedParser,
    folder: Path,
    crashes: list[fuzzing.Outcome],
    seed: int,
    keep: Path | None,
) -> None:
    """Say why the first few crashed, and save all of them if wanted."""
    for n, each in enumerate(crashes):
        name = f"{seed}-{each.case.number}{each.case.suffix}"
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / name).write_bytes(each.case.data)
        if n < TOLD:
            path = folder / "again"
            path.write_bytes(each.case.data)
            why = fuzzing.why(parser, path, each.case.suffix)
            console.print(f"  number {each.case.number}: {why}", highlight=False, style="dim")


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


if __name__ == "__main__":
    typer.run(main)
