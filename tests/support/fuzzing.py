"""A fuzz run: damaged files through the sandbox, and what became of each.

The seeds are the hand-made samples and, where they lie beside the repository, the shared
documents. A case is known by the seed of the run, its format and its number, so that each can be
made again alone.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple, get_args

from pipelines.parse.sandbox import SandboxedParser
from pipelines.ports import Parsed
from tests.support.mutations import MAX_BYTES, mutated
from tests.support.samples import SAMPLES
from twofold.errors import ParseError, ParseFailure

SHARED = Path(__file__).parents[3] / "shared" / "documents"
KNOWN = frozenset(get_args(ParseFailure))
BATCH = 32
MARGIN_S = 10.0
"""What a busy machine may add to the wall limit before a case counts as hanging."""


class Case(NamedTuple):
    """One damaged file."""

    suffix: str
    number: int
    data: bytes


class Outcome(NamedTuple):
    """What became of a case: `parsed`, or the code of its failure."""

    case: Case
    code: str
    seconds: float
    message: str = ""


@dataclass
class Tally:
    """The outcomes of one format."""

    codes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    crashes: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome; keep those that are faults of a parser."""
        self.codes[outcome.code] += 1
        self.slowest_s = max(self.slowest_s, outcome.seconds)
        if outcome.code in ("parser_crashed", "parser_timeout"):
            self.crashes.append(outcome)


def seeds(suffixes: Sequence[str] = ()) -> dict[str, list[bytes]]:
    """Honest files by suffix; all that there are, or those of the given suffixes."""
    found: dict[str, list[bytes]] = {suffix: [data] for suffix, data in SAMPLES.items()}
    for path in sorted(SHARED.glob("*.*")) if SHARED.is_dir() else []:
        if path.stat().st_size <= MAX_BYTES and path.name != "manifest.jsonl":
            found.setdefault(path.suffix.lower(), []).append(path.read_bytes())
    return {suffix: data for suffix, data in found.items() if suffix in suffixes or not suffixes}


def cases(seed: int, suffix: str, files: Sequence[bytes], count: int) -> Iterator[Case]:
    """So many damaged files of one format."""
    for number in range(count):
        random = Random(f"{seed}/{suffix}/{number}")
        yield Case(suffix, number, mutated(random.choice(files), files, random))


def run(
    parser: SandboxedParser,
    folder: Path,
    *,
    seed: int,
    count: int,
    files: Mapping[str, Sequence[bytes]],
    wall_s: float,
    workers: int = 2,
) -> Iterator[tuple[str, Tally]]:
    """Every format with its tally, one after the other.

    Raises:
        AssertionError: A case hung, or ended in a way that no document may end in.
    """

    def one(case: Case) -> Outcome:
        path = folder / f"{case.suffix[1:]}-{case.number}"
        path.write_bytes(case.data)
        began = time.monotonic()
        try:
            outcome = _outcome(parser, path, case, began)
        finally:
            path.unlink()
        assert outcome.code in KNOWN | {"parsed"}, f"{outcome.code}: {name_of(case, seed)}"
        assert outcome.seconds < wall_s + MARGIN_S, f"hung: {name_of(case, seed)}"
        return outcome

    with ThreadPoolExecutor(workers) as pool:
        for suffix, originals in files.items():
            tally = Tally()
            waiting = cases(seed, suffix, originals, count)
            while batch := list(islice(waiting, BATCH)):  # a pool would make all of them at once
                for outcome in pool.map(one, batch):
                    tally.add(outcome)
            yield suffix, tally


def name_of(case: Case, seed: int) -> str:
    """How a case is called, so that it can be made again."""
    return f"seed {seed}, {case.suffix} number {case.number}"


def why(parser: SandboxedParser, path: Path, suffix: str) -> str:
    """What the log says of a file that crashes its parser."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("pipelines.parse.sandbox")
    log.addHandler(handler)
    try:
        parser.parse(path, name=f"x{suffix}", media_type=None)
    except ParseError as error:
        lines.append(error.failure)
    finally:
        log.removeHandler(handler)
    return "; ".join(lines)


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _outcome(parser: SandboxedParser, path: Path, case: Case, began: float) -> Outcome:
    try:
        parsed = parser.parse(path, name=f"x{case.suffix}", media_type=None)
    except ParseError as error:
        return Outcome(case, error.failure, time.monotonic() - began, error.message)
    _check(parsed)
    return Outcome(case, "parsed", time.monotonic() - began)


def _check(parsed: Parsed) -> None:
    """Text that can be stored and sent, and blocks that are where they say."""
    parsed.text.encode()  # a lone surrogate could be neither
    end = 0
    for block in parsed.blocks:
        assert end <= block.start < block.end <= len(parsed.text)
        end = block.end
