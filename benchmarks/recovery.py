"""B10: what a SIGKILL costs: documents through ingestion workers that are killed all the time.

    python benchmarks/recovery.py [--tasks 12000] [--kills 85] [--workers 2] [--seed 1]

Real processes: Redis, the Qdrant stand-in (or the server that TWOFOLD_TEST_QDRANT_URL names) and
ingestion workers with a small model; documents are accepted as the API accepts them, and while
they are worked off a random worker is killed at random times and started again. Beside it bare
Celery with acks_late, on the same Redis, with as many tasks and kills, whose task notes that it
has run and nothing else. Writes benchmarks/results/recovery.json.

Lost: accepted and not on the ledger as ready or failed. Stuck: neither when time is up. Failed:
given up with a reason, after three workers were killed with it in hand. Twice: more passages in
the store than the document has.
"""

import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Protocol

import typer
from celery import Celery
from rich.console import Console

from pipelines.documents import Documents, Upload
from pipelines.queue.celery import CeleryQueue
from pipelines.store.blobs import LocalBlobs
from pipelines.store.connection import Server
from pipelines.store.server import QdrantStore
from tests.support.ingest_worker import WorkerProcess
from tests.support.ingesting import founder
from tests.support.models import WordEmbedder
from tests.support.qdrant_server import running_server
from tests.support.redis import redis_server
from twofold.errors import NotFound

RESULTS = Path(__file__).parent / "results"
TENANT, COLLECTION = "bench", "default"
BATCH = 200
PEER_DONE = "done"
PEER_VISIBILITY_S = 15
PATIENCE_S = 300.0  # without any progress, until what is left counts as stuck

console = Console()


class Killable(Protocol):
    """A worker process."""

    def start(self) -> None:
        """Start it, again or for the first time."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...


@dataclass
class Outcome:
    """What became of the tasks of one contestant."""

    tasks: int
    kills: int
    done: int
    failed: int
    lost: int
    twice: int
    stuck: int
    seconds: float
    recover_s: float


class Killer:
    """Kills a worker that is drawn each time so much of the work is done as was drawn before."""

    def __init__(self, workers: Sequence[Killable], kills: int, seed: int) -> None:
        draw = random.Random(seed)
        self._plan = [
            (share, draw.choice(workers)) for share in sorted(draw.random() for _ in range(kills))
        ]
        self.kills = 0
        self.last = time.monotonic()

    def maybe_kill(self, share_done: float) -> None:
        if self.kills < len(self._plan) and share_done >= self._plan[self.kills][0]:
            _, worker = self._plan[self.kills]
            worker.kill()
            worker.start()
            self.kills, self.last = self.kills + 1, time.monotonic()


async def until_done(count: Callable[[], object], tasks: int, killer: Killer) -> int:
    """Watch until all is done, or nothing happens any more; how many are done."""
    done, since = -1, time.monotonic()
    while True:
        now = count()
        now = await now if asyncio.iscoroutine(now) else now
        assert isinstance(now, int)
        if now != done:
            done, since = now, time.monotonic()
        if done >= tasks or time.monotonic() - since > PATIENCE_S:
            return done
        killer.maybe_kill(done / tasks)
        await asyncio.sleep(0.05)


async def ours(folder: Path, server: Server, redis_url: str, options: "Options") -> Outcome:
    """Documents through Twofold's workers."""
    store, queue = QdrantStore(server), CeleryQueue(redis_url)
    files = LocalBlobs(folder / "data" / "files")
    documents = Documents(store, files, queue, founder(WordEmbedder()))
    told = {"QDRANT_URL": server.url, "REDIS_URL": redis_url, "HEARTBEAT_S": "0.5"}
    workers = [WorkerProcess(folder, told) for _ in range(options.workers)]
    started = time.monotonic()
    for worker in workers:
        worker.start()
    killer = Killer(workers, options.kills, options.seed)

    async def finished() -> int:
        try:
            counts = await store.count_documents(TENANT, COLLECTION)
        except NotFound:
            return 0  # the first is yet to be accepted
        return counts.get("ready", 0) + counts.get("failed", 0)

    async def accept() -> None:
        for start in range(0, options.tasks, BATCH):
            names = range(start, min(start + BATCH, options.tasks))
            await documents.accept(TENANT, COLLECTION, [upload(number) for number in names])

    try:
        accepting = asyncio.create_task(accept())
        done = await until_done(finished, options.tasks, killer)
        recover_s = time.monotonic() - killer.last
        await accepting
        states: Counter[str] = Counter()
        twice = 0
        for number in range(options.tasks):
            states[await state_of(store, f"n{number}")] += 1
            if len(await store.get_chunks(TENANT, COLLECTION, f"n{number}")) > 1:
                twice += 1
        return Outcome(
            tasks=options.tasks,
            kills=killer.kills,
            done=states["ready"],
            failed=states["failed"],
            lost=states["lost"],
            twice=twice,
            stuck=options.tasks - done,
            seconds=time.monotonic() - started,
            recover_s=recover_s,
        )
    finally:
        for worker in workers:
            worker.kill()
        await queue.close()
        await store.close()


async def state_of(store: QdrantStore, name: str) -> str:
    """Status of a document, or `lost`."""
    try:
        return (await store.get_document(TENANT, COLLECTION, name)).status
    except NotFound:
        return "lost"


def upload(number: int) -> Upload:
    """A small text of its own."""
    data = f"note {number} about bread".encode()
    digest, name = sha256(data).hexdigest(), f"n{number}"
    return Upload(name, data, len(data), digest, "text/plain", id=name)


def peer_app(redis_url: str) -> Celery:
    """Celery as its documentation sets it up for tasks that must not be lost."""
    app = Celery("peer", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        broker_transport_options={"visibility_timeout": PEER_VISIBILITY_S},
    )
    return app


class PeerWorker:
    """A worker process of bare Celery."""

    def __init__(self, redis_url: str) -> None:
        self._command = [sys.executable, __file__, "--peer-worker", redis_url]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def work_as_peer(redis_url: str) -> None:
    """Be a worker of bare Celery: the task takes a moment and notes that it has run."""
    import redis  # only here

    app, client = peer_app(redis_url), redis.Redis.from_url(redis_url)

    @app.task(name="work", shared=False)
    def work(number: int) -> None:
        time.sleep(0.005)
        client.hincrby(PEER_DONE, str(number), 1)

    app.Worker(pool="threads", concurrency=4, quiet=True, loglevel="ERROR").start()


async def peer(redis_url: str, options: "Options") -> Outcome:
    """The same number of tasks through bare Celery."""
    import redis

    app, client = peer_app(redis_url), redis.Redis.from_url(redis_url)
    workers = [PeerWorker(redis_url) for _ in range(options.workers)]
    started = time.monotonic()
    for number in range(options.tasks):
        app.send_task("work", [number])
    for worker in workers:
        worker.start()
    killer = Killer(workers, options.kills, options.seed)
    try:
        done = await until_done(lambda: int(client.hlen(PEER_DONE)), options.tasks, killer)
        recover_s = time.monotonic() - killer.last
        runs = client.hvals(PEER_DONE)
        waiting = int(client.llen("celery")) + int(client.hlen("unacked"))
        return Outcome(
            tasks=options.tasks,
            kills=killer.kills,
            done=done,
            failed=0,
            lost=options.tasks - done - min(waiting, options.tasks - done),
            twice=sum(int(each) > 1 for each in runs),
            stuck=min(waiting, options.tasks - done),
            seconds=time.monotonic() - started,
            recover_s=recover_s,
        )
    finally:
        for worker in workers:
            worker.kill()
        client.close()


@dataclass(frozen=True)
class Options:
    """How much of everything."""

    tasks: int
    kills: int
    workers: int
    seed: int


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory where there is one: the disk is not what is measured."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="twofold-bench-", dir=place) as folder:
        yield Path(folder)


def main(
    tasks: Annotated[int, typer.Option()] = 12_000,
    kills: Annotated[int, typer.Option()] = 85,
    workers: Annotated[int, typer.Option()] = 2,
    seed: Annotated[int, typer.Option()] = 1,
    with_peer: Annotated[bool, typer.Option("--peer/--no-peer")] = True,
    peer_worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Kill workers and count."""
    if peer_worker is not None:
        work_as_peer(peer_worker)
        return
    options = Options(tasks, kills, workers, seed)
    console.print(f"{tasks} tasks, {kills} kills, {workers} workers, seed {seed}")
    outcomes: dict[str, Outcome] = {}
    with in_memory() as folder:
        with redis_server(folder / "redis") as redis, running_server(folder / "qdrant") as server:
            outcomes["twofold"] = asyncio.run(ours(folder, server, redis.url, options))
            console.print("twofold", outcomes["twofold"])
        if with_peer:
            with redis_server(folder / "peer") as redis:
                outcomes["celery"] = asyncio.run(peer(redis.url, options))
                console.print("celery", outcomes["celery"])
    result = {
        "options": asdict(options),
        "outcomes": {name: asdict(outcome) for name, outcome in outcomes.items()},
        "machine": {"processors": os.cpu_count(), "platform": platform.platform()},
        "versions": {name: version(name) for name in ("celery", "kombu", "redis", "qdrant-client")},
    }
    (RESULTS / "recovery.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
