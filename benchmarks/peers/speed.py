"""How fast each contestant is, in turn with the others, and what memory it takes.

Two groups of processes, one after the other: empty ones for ingest, and ones that are filled with
everything for searches. Each search round puts the same new questions to every contestant.
"""

import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers.judged import documents, queries
from benchmarks.peers.processes import Running, all_running
from benchmarks.peers.quality import LIMIT, STAGES
from benchmarks.peers.seam import Document

CLIENTS = 8


class Plan(NamedTuple):
    """How much is done.

    Attributes:
        ingested: Documents that every contestant takes in while its time is taken.
        rounds: Turns in which they are, and in which questions are asked.
        questions: Of each round, by stage.
        seconds: Of each time that eight clients ask.
    """

    collections: Sequence[str] = ("cranfield",)
    documents: int | None = None
    ingested: int = 200
    rounds: int = 5
    questions: tuple[int, int] = (20, 6)
    seconds: float = 4.0


def ingest(names: Sequence[str], plan: Plan) -> dict[str, dict[str, Any]]:
    """Documents a second, by contestant, and memory after that."""
    taken = drawn(plan)[: plan.ingested + plan.rounds]
    warm_up, timed = taken[: plan.rounds], taken[plan.rounds :]
    parts = [timed[n :: plan.rounds] for n in range(plan.rounds)]
    with all_running(names) as contestants:
        for each in contestants:
            each.do("ingest", documents=warm_up)
        rates: dict[str, list[float]] = {name: [] for name in names}
        for part in parts:
            for each in contestants:
                seconds = each.do("ingest", documents=part)["seconds"]
                rates[each.name].append(len(part) / seconds)
        return {
            each.name: {"documents_per_s": spread(rates[each.name]), "peak_mb": each.peak_mb()}
            for each in contestants
        }


def search(names: Sequence[str], plan: Plan, kept: Path) -> dict[str, dict[str, Any]]:
    """Latency of one client, and answers a second of one and of eight, by contestant."""
    taken = drawn(plan)
    asked = Questions([text for name in plan.collections for text in queries(name).values()])
    figures: dict[str, dict[str, Any]] = {name: {"documents": len(taken)} for name in names}
    with all_running(names, kept) as contestants:
        for each in contestants:
            each.do("fill", documents=taken)
            each.do("ask", queries=asked.more(3), limit=LIMIT, rerank=False)
        for (stage, rerank), count in zip(STAGES.items(), plan.questions, strict=True):
            for name, found in latencies(contestants, asked, count, plan.rounds, rerank).items():
                figures[name][stage] = {
                    "ms": spread(found),
                    "per_second_of_1": 1e3 / statistics.fmean(found),
                }
            pressed = asked.more(40 * CLIENTS)
            for each in contestants:
                answered = each.do(
                    "press", queries=pressed, limit=LIMIT, rerank=rerank,
                    clients=CLIENTS, seconds=plan.seconds,
                )  # fmt: skip
                figures[each.name][stage][f"per_second_of_{CLIENTS}"] = answered["per_second"]
        for each in contestants:
            figures[each.name] |= {"peak_mb": each.peak_mb(), "facts": each.facts}
    return figures


def latencies(
    contestants: Sequence[Running], asked: "Questions", count: int, rounds: int, rerank: bool
) -> dict[str, list[float]]:
    """Milliseconds of every question of every round, by contestant."""
    found: dict[str, list[float]] = {each.name: [] for each in contestants}
    for _ in range(rounds):
        texts = asked.more(count)
        for each in contestants:
            answer = each.do("ask", queries=texts, limit=LIMIT, rerank=rerank)
            found[each.name] += answer["milliseconds"]
    return found


class Questions:
    """Different ones as long as there are any, in an order that a fixed seed gives."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = random.Random(7).sample(list(texts), len(texts))
        self._next = 0

    def more(self, count: int) -> list[str]:
        """The next so many, from the beginning again when they are used up."""
        places = range(self._next, self._next + count)
        self._next += count
        return [self._texts[place % len(self._texts)] for place in places]


def drawn(plan: Plan) -> list[Document]:
    """The documents, mixed with a fixed seed, so that a part of them is like the whole."""
    found = [
        Document(f"{name}-{id_}", text)
        for name in plan.collections
        for id_, text in documents(name)
    ]
    return random.Random(7).sample(found, min(plan.documents or len(found), len(found)))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile, least and most."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {
        "p50": round(statistics.median(values), 2),
        "p95": round(cuts[18], 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
    }
