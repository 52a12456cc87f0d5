"""The process of one contestant: tasks as lines of JSON come in, answers go out.

    python -m benchmarks.peers.child NAME [FOLDER]

The folder holds what is kept from one run to the next: vectors that were computed before, and the
data of a contestant that has it on disk. Only what the contestant needs is imported here, so that
its memory is its own.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.remembered import remembering
from benchmarks.peers.seam import Contestant, Document


class Tasks:
    """What a contestant is asked to do, by name."""

    def __init__(self, contestant: Contestant, kept: Path | None) -> None:
        self._contestant = contestant
        self._kept = kept

    def about(self) -> dict[str, Any]:
        """Who it is."""
        return {"pid": self._contestant.pid, "facts": self._contestant.facts}

    def fill(self, documents: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Take documents in, with remembered vectors where there are some."""
        with ExitStack() as stack:
            if self._kept:
                for owner in encoders():
                    stack.enter_context(remembering(owner, self._kept / "vectors.sqlite"))
            return self.ingest(documents)

    def ingest(self, documents: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Take documents in, and say how long that took."""
        began = time.perf_counter()
        self._contestant.ingest([Document(*each) for each in documents])
        return {"seconds": time.perf_counter() - began}

    def ask(self, queries: Sequence[str], limit: int, rerank: bool) -> dict[str, Any]:
        """One question after the other."""
        found, milliseconds = [], []
        for query in queries:
            began = time.perf_counter()
            found.append(self._contestant.search(query, limit, rerank=rerank))
            milliseconds.append(1e3 * (time.perf_counter() - began))
        return {"found": found, "milliseconds": milliseconds}

    def press(
        self, queries: Sequence[str], limit: int, rerank: bool, clients: int, seconds: float
    ) -> dict[str, Any]:
        """Several clients, each asking as soon as it has its answer; how many answers there were.

        Every question is asked once, as long as there are enough of them.
        """
        began = time.perf_counter()
        end = began + seconds

        def client(mine: Sequence[str]) -> int:
            answered = 0
            while time.perf_counter() < end:
                self._contestant.search(mine[answered % len(mine)], limit, rerank=rerank)
                answered += 1
            return answered

        with ThreadPoolExecutor(clients) as pool:
            answered = sum(pool.map(client, [queries[n::clients] for n in range(clients)]))
        return {"per_second": answered / (time.perf_counter() - began)}


def encoders() -> Iterator[type]:
    """Those of the encoders whose results can be remembered that this process has loaded."""
    for module, name in (
        ("sentence_transformers", "SentenceTransformer"),
        ("txtai.models.pooling.mean", "MeanPooling"),
    ):
        if module in sys.modules:
            yield getattr(sys.modules[module], name)


def main(name: str, folder: str | None = None) -> None:
    """Work off what stands on standard input, to its end."""
    # Libraries print; what they say must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as temporary:
        own = Path(folder or temporary) / name
        own.mkdir(parents=True, exist_ok=True)
        contestant: Contestant = import_module(f"benchmarks.peers.{name}").Contestant(own)
        tasks = Tasks(contestant, Path(folder) if folder else None)
        try:
            for line in sys.stdin:
                task = json.loads(line)
                answer = getattr(tasks, task.pop("do"))(**task)
                print(json.dumps(answer), file=answers, flush=True)
        finally:
            contestant.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
