"""B3: the rerank scheduler beside two usual ones, on a simulated device and a simulated clock.

    .venv/bin/python benchmarks/scheduler.py        about a minute; results in benchmarks/results

The same arrivals meet three policies. `twofold` is pipelines/rerank/batch.py as it is.
`fixed 32` takes the next 32 pairs in order of arrival and knows no deadlines (the batch size that
most libraries come with). `fifo tokens` fills a token budget in order of arrival and drops what
has expired, as text-embeddings-inference does with callers that have left. All of them may hold
the same number of waiting pairs, see the same rough estimates of tokens, and refuse what is over.

Goodput counts pairs that were scored by the deadline of their request, as a share of what the
device can do while requests arrive. A miss is a request that was admitted and not scored whole by
its deadline; `unserved` are those that got no score at all. Latency is that of all admitted
requests, `small` those of up to 50 passages; a miss counts with its whole deadline, so a policy
that misses the short deadlines looks quick: read latency beside misses. Each run begins with a
device whose speed is not known yet.
"""

import json
import math
import platform
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from pipelines.rerank.batch import Batch, Scheduler
from pipelines.rerank.turns import Slice, Work

RESULTS = Path(__file__).parent / "results"
SEEDS = range(5)
LOADS = (0.5, 0.8, 1.0, 2.0, 10.0)
MAX_PAIRS = 4_096
BUDGET = 16_384
MEAN_TOKENS = 165


# --- The device and what arrives at it ------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """Seconds of a batch: a line, with noise and a stall in a hundred."""

    name: str
    overhead_s: float
    tokens_per_s: float
    deadlines_s: tuple[float, ...]
    run_s: float

    @property
    def pairs_per_s(self) -> float:
        """What full batches of usual pairs achieve."""
        return BUDGET / MEAN_TOKENS / (self.overhead_s + BUDGET / self.tokens_per_s)

    def seconds(self, tokens: int, chance: random.Random) -> float:
        stall = 4.0 if chance.random() < 0.01 else 1.0
        noise = chance.lognormvariate(0.0, 0.1)
        return stall * noise * (self.overhead_s + tokens / self.tokens_per_s)


DEVICES = (
    Device("GPU (660,000 tokens/s)", 0.003, 660_000, (0.5, 2.0, 10.0), 20.0),
    Device("CPU (10,000 tokens/s)", 0.02, 10_000, (5.0, 10.0, 30.0), 900.0),
)


class Request(NamedTuple):
    """What arrives: the scheduler sees `work`, the device the true tokens."""

    work: Work
    tokens: list[int]


def requests(device: Device, load: float, *, bursts: bool, seed: int) -> Iterator[Request]:
    """Requests at `load` times what the device can do, one by one or forty at once."""
    chance = random.Random(seed)
    mean_pairs = 0.80 * 50 + 0.15 * 10 + 0.05 * 500
    together = 40 if bursts else 1
    rate = load * device.pairs_per_s / mean_pairs / together
    now, number = 0.0, 0
    while (now := now + chance.expovariate(rate)) < device.run_s:
        for _ in range(together):
            depth = chance.choices((50, 10, 500), (80, 15, 5))[0]
            slack = chance.choices(device.deadlines_s, (50, 40, 10))[0]
            tokens = [passage_tokens(chance) for _ in range(depth)]
            estimates = [max(1, round(t * chance.lognormvariate(0.0, 0.2))) for t in tokens]
            yield Request(Work(f"{number}", estimates, now + slack, now), tokens)
            number += 1


def passage_tokens(chance: random.Random) -> int:
    """Tokens of a passage: skewed, between 16 and 512."""
    sigma = 0.4
    mu = math.log(MEAN_TOKENS) - sigma**2 / 2
    return min(512, max(16, round(chance.lognormvariate(mu, sigma))))


# --- The policies ---------------------------------------------------------------------------


class Policy(Protocol):
    """What the simulation asks."""

    def offer(self, work: Work, now: float) -> bool: ...
    def next_batch(self, now: float) -> Batch | None: ...
    def finished(self, seconds: float) -> None: ...


class Twofold:
    """The scheduler of the product."""

    def __init__(self) -> None:
        self._scheduler = Scheduler(budget=BUDGET, max_pairs=MAX_PAIRS)

    def offer(self, work: Work, now: float) -> bool:
        return self._scheduler.offer(work, now) is None

    def next_batch(self, now: float) -> Batch | None:
        return self._scheduler.next_batch(now).batch

    def finished(self, seconds: float) -> None:
        self._scheduler.finished(seconds)


class Fifo:
    """Pairs in order of arrival, up to a number of pairs or tokens; may drop what has expired."""

    def __init__(
        self, pairs: float = math.inf, tokens: float = math.inf, drop: bool = False
    ) -> None:
        self._most_pairs, self._most_tokens, self._drop = pairs, tokens, drop
        self._queue: deque[tuple[Work, int]] = deque()

    def offer(self, work: Work, now: float) -> bool:  # noqa: ARG002
        if len(self._queue) + len(work.costs) > MAX_PAIRS:
            return False
        self._queue.extend((work, number) for number in range(len(work.costs)))
        return True

    def next_batch(self, now: float) -> Batch | None:
        slices: list[Slice] = []
        tokens = 0
        while self._queue and len(slices) < self._most_pairs:
            work, number = self._queue[0]
            late = self._drop and work.deadline <= now
            if not late and slices and tokens + work.costs[number] > self._most_tokens:
                break
            self._queue.popleft()
            if not late:
                slices.append(Slice(work.id, number, number + 1))
                tokens += work.costs[number]
        return Batch(tuple(slices), tokens) if slices else None

    def finished(self, seconds: float) -> None:
        """Nothing is learnt."""


POLICIES: dict[str, Callable[[], Policy]] = {
    "twofold": Twofold,
    "fifo tokens": lambda: Fifo(tokens=BUDGET, drop=True),
    "fixed 32": lambda: Fifo(pairs=32),
}


# --- The simulation -------------------------------------------------------------------------


@dataclass
class Fate:
    """What became of a request."""

    request: Request
    admitted: bool = False
    in_time: int = 0
    in_run: int = 0
    done: float = math.inf

    @property
    def whole(self) -> bool:
        return self.in_time == len(self.request.tokens)

    @property
    def latency(self) -> float:
        end = self.done if self.whole else self.request.work.deadline
        return end - self.request.work.arrival


def simulate(policy: Policy, device: Device, arrivals: list[Request], seed: int) -> list[Fate]:
    """Run the policy until everything that arrived has been served or given up."""
    chance = random.Random(f"device {seed}")
    fates = {request.work.id: Fate(request) for request in arrivals}
    coming = deque(arrivals)

    def receive(until: float) -> None:
        while coming and coming[0].work.arrival <= until:
            work = coming.popleft().work
            fates[work.id].admitted = policy.offer(work, work.arrival)

    now = 0.0
    while True:
        receive(now)
        batch = policy.next_batch(now)
        if batch is None and not coming:
            return list(fates.values())
        if batch is None:
            now = coming[0].work.arrival
            continue
        pieces = [(fates[piece.id], piece) for piece in batch.slices]
        tokens = sum(sum(fate.request.tokens[p.start : p.stop]) for fate, p in pieces)
        seconds = device.seconds(tokens, chance)
        receive(now + seconds)
        now += seconds
        policy.finished(seconds)
        for fate, piece in pieces:
            if now <= fate.request.work.deadline:
                pairs = piece.stop - piece.start
                fate.in_time += pairs
                fate.in_run += pairs if now <= device.run_s else 0
                fate.done = now


@dataclass
class Figures:
    """One run, or the median of several."""

    goodput: float
    whole: float
    refused: float
    missed: float
    unserved: float
    p50_s: float
    p99_s: float
    small_p99_s: float


def figures(fates: list[Fate], device: Device) -> Figures:
    """What one run comes to."""
    admitted = [fate for fate in fates if fate.admitted]
    latencies = sorted(fate.latency for fate in admitted)
    small = sorted(fate.latency for fate in admitted if len(fate.request.tokens) <= 50)
    return Figures(
        goodput=sum(fate.in_run for fate in fates) / device.run_s / device.pairs_per_s,
        whole=sum(fate.whole for fate in fates) / len(fates),
        refused=1.0 - len(admitted) / len(fates),
        missed=sum(not fate.whole for fate in admitted) / len(admitted),
        unserved=sum(not fate.in_time for fate in admitted) / len(admitted),
        p50_s=quantile(latencies, 0.5),
        p99_s=quantile(latencies, 0.99),
        small_p99_s=quantile(small, 0.99),
    )


def quantile(ordered: list[float], share: float) -> float:
    """The value that `share` of the ordered values do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(runs: list[Figures]) -> dict[str, dict[str, float]]:
    """Median, minimum and maximum of each figure over the seeds."""
    rows = [asdict(run) for run in runs]
    return {
        name: {
            "median": median(row[name] for row in rows),
            "min": min(row[name] for row in rows),
            "max": max(row[name] for row in rows),
        }
        for name in rows[0]
    }


# --- The report -----------------------------------------------------------------------------


@dataclass
class Row:
    """The figures of one policy under one load."""

    device: str
    arrivals: str
    load: float
    policy: str
    figures: dict[str, dict[str, float]]


def measure() -> Iterator[Row]:
    """Every device, kind of arrivals and load; the policies side by side on the same arrivals."""
    for device in DEVICES:
        for shape in ("poisson", "bursts"):
            for load in LOADS:
                runs: dict[str, list[Figures]] = {name: [] for name in POLICIES}
                for seed in SEEDS:
                    arrivals = list(requests(device, load, bursts=shape == "bursts", seed=seed))
                    for name, policy in POLICIES.items():
                        fates = simulate(policy(), device, arrivals, seed)
                        runs[name].append(figures(fates, device))
                for name in POLICIES:
                    yield Row(device.name, shape, load, name, summary(runs[name]))


COLUMNS = ("goodput", "whole", "refused", "missed", "unserved", "p50_s", "p99_s", "small_p99_s")


def show(row: Row) -> None:
    """One line of the table."""
    values = [row.figures[name]["median"] for name in COLUMNS]
    cells = "".join(f"{value:>12.3f}" for value in values)
    print(f"{row.device[:3]} {row.arrivals:8} {row.load:>5} {row.policy:12}{cells}")


def draw(rows: list[Row], path: Path) -> None:
    """Goodput, misses and the 99th percentile of small requests over the load, on the GPU."""
    panels = {
        "goodput": "goodput (share of capacity)",
        "missed": "admitted, but not whole in time",
        "small_p99_s": "p99 of requests up to 50 passages, s",
    }
    fig, axes = plt.subplots(2, len(panels), figsize=(13, 7), sharex=True)
    for line, shape in zip(axes, ("poisson", "bursts"), strict=True):
        for axis, (figure, title) in zip(line, panels.items(), strict=True):
            for name in POLICIES:
                values = [
                    row.figures[figure]["median"]
                    for row in rows
                    if (row.device, row.arrivals, row.policy) == (DEVICES[0].name, shape, name)
                ]
                axis.plot(LOADS, values, marker="o", label=name)
            axis.set(title=f"{shape}: {title}", xscale="log", xlabel="load / capacity", ylim=0)
            axis.set_xticks(LOADS, [f"{load:g}" for load in LOADS])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
    axes[0][0].legend()
    fig.suptitle(f"Rerank schedulers on a simulated device: {DEVICES[0].name}")
    fig.tight_layout()
    fig.savefig(path, dpi=110)


def main() -> None:
    """Simulate, print the table, write JSON and picture."""
    print(f"{'':31}" + "".join(f"{name:>12}" for name in COLUMNS))
    rows = []
    for row in measure():
        show(row)
        rows.append(row)
    RESULTS.mkdir(exist_ok=True)
    report = {
        "benchmark": "B3 scheduler",
        "python": platform.python_version(),
        "seeds": len(SEEDS),
        "devices": [asdict(device) for device in DEVICES],
        "rows": [asdict(row) for row in rows],
    }
    (RESULTS / "scheduler.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(rows, RESULTS / "scheduler.png")


if __name__ == "__main__":
    main()
