"""B6: a round trip through the rerank queue beside raw Streams, BLPOP, pub/sub and Celery.

    .venv/bin/python benchmarks/rerank_queue.py [ROUNDS]

Some minutes; results in benchmarks/results.

A request of 1 to 500 passages of 1 KB goes to a worker process and its scores come back, with 1 to
128 requests in flight. The model costs nothing, so what is left is the queue. One Redis server on
loopback with an append-only file, as it is deployed, serves all contestants, one after the other
in each of several rounds, so that noise meets all alike; figures are medians over the rounds.

Then two workers against one, on a device that is busy for a time that its tokens determine.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from measure import RESULTS, machine, save
from queue_contestants import CLIENTS, Call, twofold

from tests.support.redis import RedisServer, redis_server

SIZES_KB = (1, 10, 100, 500)
IN_FLIGHT = (1, 8, 32, 128)
ROUNDS = 5
CALLS = {1: 200, 8: 200, 32: 256, 128: 256}
MOST_KB = 20_000
TARGET_MS = {"p50": 1.0, "p99": 3.0}

DEVICE_PER_TOKEN_S = 5e-6
DEVICE_CALLS, DEVICE_IN_FLIGHT, DEVICE_PASSAGES = 200, 16, 50


@dataclass
class Row:
    """The figures of one contestant with one size and number of requests in flight."""

    contestant: str
    passages: int
    in_flight: int
    p50_ms: float
    p99_ms: float
    per_s: float


@dataclass
class Round:
    """One round of one contestant."""

    seconds: list[float]
    took: float


@contextmanager
def worker(name: str, url: str, *options: float) -> Iterator[None]:
    """A worker process of a contestant."""
    script = Path(__file__).with_name("queue_contestants.py")
    process = subprocess.Popen([sys.executable, script, name, url, *map(str, options)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def measure(call: Call, passages: list[str], calls: int, in_flight: int) -> Round:
    """So many calls, so many of them at once."""
    left = iter(range(calls))
    seconds: list[float] = []

    async def caller() -> None:
        for _ in left:
            begun = time.perf_counter()
            await call(passages)
            seconds.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return Round(seconds, time.perf_counter() - begun)


async def round_of(name: str, server: RedisServer) -> dict[tuple[int, int], Round]:
    """Every size and number in flight, once."""
    server.flush()
    with server.client() as client:
        # Redis hangs up on a subscriber that is 32 MB behind, which 128 large requests are.
        client.config_set("client-output-buffer-limit", "pubsub 0 0 0")
    found = {}
    with worker(name, server.url):
        async with CLIENTS[name](server.url) as call:
            await until_it_answers(call)
            for kilobytes in SIZES_KB:
                passages = ["passage " * 128] * kilobytes
                for in_flight in IN_FLIGHT:
                    calls = max(in_flight, min(CALLS[in_flight], MOST_KB // kilobytes))
                    found[kilobytes, in_flight] = await measure(call, passages, calls, in_flight)
    return found


async def until_it_answers(call: Call) -> None:
    """The first calls warm both ends up; what is published before a worker listens is lost."""
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        try:
            async with asyncio.timeout(5.0):
                for _ in range(20):
                    await call(["passage"])
        except TimeoutError:
            continue
        except RuntimeError:
            await asyncio.sleep(0.1)
        else:
            return
    raise SystemExit("a contestant does not answer")


def row_of(name: str, passages: int, in_flight: int, rounds: list[Round]) -> Row:
    """Medians over the rounds."""
    ordered = [sorted(each.seconds) for each in rounds]
    return Row(
        name,
        passages,
        in_flight,
        p50_ms=1e3 * median(each[len(each) // 2] for each in ordered),
        p99_ms=1e3 * median(each[int(0.99 * len(each))] for each in ordered),
        per_s=median(len(each.seconds) / each.took for each in rounds),
    )


async def throughput(server: RedisServer, workers: int) -> float:
    """Pairs a second of so many simulated devices."""
    server.flush()
    passages = ["passage " * 82] * DEVICE_PASSAGES
    with many_workers(server.url, workers):
        async with twofold(server.url) as call:
            # All of them have to be there, and to have measured themselves.
            await asyncio.sleep(6.0)
            await measure(call, passages, 40, DEVICE_IN_FLIGHT)
            took = (await measure(call, passages, DEVICE_CALLS, DEVICE_IN_FLIGHT)).took
    return DEVICE_CALLS * DEVICE_PASSAGES / took


@contextmanager
def many_workers(url: str, number: int) -> Iterator[None]:
    """So many workers with a simulated device."""
    if not number:
        yield
        return
    with worker("twofold", url, DEVICE_PER_TOKEN_S), many_workers(url, number - 1):
        yield


def show(rows: list[Row]) -> None:
    """The table."""
    columns = "".join(f"{name:>10}" for name in ("p50 ms", "p99 ms", "/s"))
    print(f"\n{'passages':>8} {'in flight':>9}  {'contestant':12}{columns}")
    for row in sorted(rows, key=lambda row: (row.passages, row.in_flight)):
        print(
            f"{row.passages:>8} {row.in_flight:>9}  {row.contestant:12}"
            f"{row.p50_ms:>10.2f}{row.p99_ms:>10.2f}{row.per_s:>10.0f}"
        )


def draw(rows: list[Row], path: Path) -> None:
    """Medians over the size, one request at a time, and rates over the number in flight."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5))
    for name in CLIENTS:
        alone = [row for row in rows if (row.contestant, row.in_flight) == (name, 1)]
        left.plot([row.passages for row in alone], [row.p50_ms for row in alone], "o-", label=name)
        busy = [row for row in rows if (row.contestant, row.passages) == (name, 100)]
        right.plot([row.in_flight for row in busy], [row.per_s for row in busy], "o-", label=name)
    left.set(title="one at a time, median", xlabel="passages of 1 KB", ylabel="ms")
    right.set(title="100 passages", xlabel="requests in flight", ylabel="requests/s", ylim=0)
    for axis, ticks in ((left, SIZES_KB), (right, IN_FLIGHT)):
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    left.set_yscale("log")
    left.legend()
    fig.suptitle("A round trip through the rerank queue")
    fig.tight_layout()
    fig.savefig(path, dpi=110)


def verdict(rows: list[Row]) -> dict[str, float]:
    """A hundred passages, one request at a time: against the target, and against raw Streams."""
    found = {row.contestant: row for row in rows if (row.passages, row.in_flight) == (100, 1)}
    own, raw = found["twofold"], found["raw streams"]
    return {
        "p50_ms": own.p50_ms,
        "p99_ms": own.p99_ms,
        "p50_target_ms": TARGET_MS["p50"],
        "p99_target_ms": TARGET_MS["p99"],
        "p50_over_raw_streams": own.p50_ms / raw.p50_ms,
        "p99_over_raw_streams": own.p99_ms / raw.p99_ms,
    }


async def main(number_of_rounds: int) -> None:
    """Measure, print, write JSON and picture."""
    before = machine()
    rounds: dict[tuple[str, int, int], list[Round]] = {}
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        for number in range(number_of_rounds):
            for name in CLIENTS:
                for (passages, in_flight), each in (await round_of(name, server)).items():
                    rounds.setdefault((name, passages, in_flight), []).append(each)
                print(f"  round {number + 1} of {number_of_rounds}: {name}", flush=True)
        pairs_per_s: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):
            for workers, found in pairs_per_s.items():
                found.append(await throughput(server, workers))
    rows = [row_of(*key, each) for key, each in rounds.items()]
    one, two = median(pairs_per_s[1]), median(pairs_per_s[2])
    show(rows)
    print(f"\n100 passages, one at a time: {verdict(rows)}")
    print(f"simulated device: {one:.0f} pairs/s, two of them {two:.0f}: {two / one:.2f} times")
    packages = {name: version(name) for name in ("redis", "hiredis", "celery", "msgspec")}
    report = {
        "benchmark": "B6 rerank queue",
        "machine": before | packages,
        "rounds": number_of_rounds,
        "hundred passages": verdict(rows),
        "workers": {"one, pairs/s": one, "two, pairs/s": two, "ratio": two / one},
        "rows": [asdict(row) for row in rows],
    }
    save("rerank_queue", report)
    draw(rows, RESULTS / "rerank_queue.png")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS))
