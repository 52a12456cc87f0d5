"""What a server does when more is asked of it than it can do.

Starts the server without its memories of scores and query vectors, so that every search costs the
same, fills it with CHUNKS passages, and finds its peak: searches answered a second by as many
callers as keep it busy. Then questions arrive at 1, 2, 5 and 10 times
the peak, at random moments and whatever becomes of the earlier ones, for SECONDS each. Shown are
the goodput (searches answered with 200 by their deadline, a second), how fast the rest was refused,
and the memory of the server before and after.

    python benchmarks/overload.py [--chunks 2000] [--seconds 20] [--deadline-ms 1000]
"""

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import psutil
import typer
from measure import machine, save
from rich.console import Console
from rich.table import Table
from search import corpus, fill, questions, server

LOADS = (1, 2, 5, 10)
CALLERS = (8, 16)  # the better of them is the peak
FORGETFUL = {"SCORE_CACHE_ENTRIES": "0", "QUERY_CACHE_BYTES": "0"}
PATIENCE_S = 30.0
RETRY_S = 0.5
REFUSED = (429, 503)
console = Console()


@dataclass
class Outcomes:
    """What became of the questions of one run.

    Attributes:
        statuses: Of the answers; 0 where the connection broke.
        reranked: What the second stage did, of the answers that were 200.
        seconds: From question to answer, by status.
        late: Answers with 200 that came more than 100 ms after their deadline.
    """

    asked: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    reranked: Counter[str] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    late: int = 0

    def note(self, status: int, body: bytes, seconds: float, deadline_s: float) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(seconds)
        if status == 200:
            self.reranked[json.loads(body)["rerank"]["status"]] += 1
            self.late += seconds > deadline_s + 0.1

    @property
    def good(self) -> int:
        """Answers that were in time."""
        return self.statuses[200] - self.late


def main(
    chunks: Annotated[int, typer.Option(help="Passages in the index.")] = 2_000,
    seconds: Annotated[float, typer.Option(help="Length of each run.")] = 20.0,
    deadline_ms: Annotated[int, typer.Option(help="Of each search.")] = 1_000,
) -> None:
    """Measure and show."""
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), **FORGETFUL) as client:
        [process] = psutil.Process().children()
        stored, _ = fill(client, chunks, corpus())
        load = Load(client.base_url, questions(2_000), deadline_ms)
        asyncio.run(load.closed(CALLERS[0], 3.0))  # token vectors and threads
        before = megabytes(process)
        peaks = [asyncio.run(load.closed(callers, seconds)) for callers in CALLERS]
        rate = max(peak.good for peak in peaks) / seconds
        runs, cores = {}, {}
        for times in LOADS:
            used = cpu_s(process)
            runs[times] = asyncio.run(load.open(times * rate, seconds))
            cores[times] = round((cpu_s(process) - used) / seconds, 2)
        after = megabytes(process)
    report = {
        "benchmark": "overload",
        "machine": machine(),
        "chunks": stored,
        "deadline_ms": deadline_ms,
        "seconds": seconds,
        "peak_per_s": round(rate, 1),
        "rss_mb": {"before": before, "after": after},
        "loads": {
            f"{times}x": {**row(outcomes, seconds, rate), "cores": cores[times]}
            for times, outcomes in runs.items()
        },
    }
    show(report)
    save("overload", report)


@dataclass
class Load:
    """Asks questions over connections that it keeps: it costs little beside the server."""

    url: str
    asked: list[str]
    deadline_ms: int
    _free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def closed(self, callers: int, seconds: float) -> Outcomes:
        """So many callers, each of whom asks again as soon as it has its answer."""
        outcomes, end = Outcomes(), time.monotonic() + seconds

        async def caller() -> None:
            while time.monotonic() < end:
                if await self._ask(outcomes) in REFUSED:  # who is told to come later does
                    await asyncio.sleep(RETRY_S)

        await asyncio.gather(*(caller() for _ in range(callers)))
        self._hang_up()
        return outcomes

    async def open(self, rate: float, seconds: float) -> Outcomes:
        """Questions at random moments, `rate` of them a second (a Poisson process)."""
        outcomes, due = Outcomes(), time.monotonic()
        end = due + seconds
        async with asyncio.TaskGroup() as group:
            while (due := due + random.expovariate(rate)) < end:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self._ask(outcomes))
        self._hang_up()
        return outcomes

    def _hang_up(self) -> None:
        while self._free:
            self._free.pop()[1].close()

    async def _ask(self, outcomes: Outcomes) -> int:
        outcomes.asked += 1
        question = {"query": random.choice(self.asked), "deadline_ms": self.deadline_ms}
        begin = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, body = await self._post(json.dumps(question).encode())
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            status, body = 0, b""
        outcomes.note(status, body, time.monotonic() - begin, self.deadline_ms / 1_000)
        return status

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        """Over a connection that is free, as a proxy in front of the server would."""
        where = urlsplit(self.url)
        reader, writer = (
            self._free.pop()
            if self._free
            else await asyncio.open_connection(where.hostname, where.port)
        )
        try:
            head = f"POST /search HTTP/1.1\r\nHost: {where.netloc}\r\n"
            kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(f"{head}{kind}".encode() + body)
            said = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(said.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            answer = int(said.split(b" ", 2)[1]), await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        self._free.append((reader, writer))
        return answer


def megabytes(process: psutil.Process) -> float:
    """Memory that a process and its children hold."""
    return round(sum(each.memory_info().rss for each in family(process)) / 1e6, 1)


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds that a process and its children have used."""
    times = [each.cpu_times() for each in family(process)]
    return sum(each.user + each.system for each in times)


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and those that it has started."""
    return [process, *process.children(recursive=True)]


def row(outcomes: Outcomes, seconds: float, peak: float) -> dict[str, object]:
    """One run, as it is kept."""
    refused = [
        each for status, times in outcomes.seconds.items() if status in REFUSED for each in times
    ]
    return {
        "asked_per_s": round(outcomes.asked / seconds, 1),
        "goodput_per_s": round(outcomes.good / seconds, 1),
        "goodput_of_peak": round(outcomes.good / seconds / peak, 3),
        "statuses": dict(outcomes.statuses),
        "rerank": dict(outcomes.reranked),
        "late": outcomes.late,
        "answer_ms": milliseconds(outcomes.seconds.get(200, [])),
        "refusal_ms": milliseconds(refused),
    }


def milliseconds(seconds: list[float]) -> dict[str, float] | None:
    """Median and 99th percentile."""
    if len(seconds) < 2:
        return None
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": round(cuts[49] * 1_000, 1), "p99": round(cuts[98] * 1_000, 1)}


def show(report: dict[str, object]) -> None:
    """The runs side by side."""
    table = Table(title=f"peak {report['peak_per_s']} searches/s", box=None)
    for heading in (
        "load",
        "asked/s",
        "good/s",
        "of peak",
        "statuses",
        "rerank",
        "refusals ms",
        "cores",
    ):
        table.add_column(heading)
    loads = report["loads"]
    assert isinstance(loads, dict)
    for name, run in loads.items():
        table.add_row(
            name,
            str(run["asked_per_s"]),
            str(run["goodput_per_s"]),
            f"{run['goodput_of_peak']:.0%}",
            str(run["statuses"]),
            str(run["rerank"]),
            str(run["refusal_ms"]),
            str(run["cores"]),
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
