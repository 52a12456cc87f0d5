"""Build the vector index of a shard in a process of its own: `python -m pipelines.store.hnsw PATH`.

The engine's `optimize` holds the GIL from start to end, for minutes, so it is never called in a
process that serves. It runs before a shard is opened, and nothing depends on its success: without
an index the engine compares the vectors one by one, which is slower and exact.
"""

import ctypes
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import qdrant_edge as engine

from pipelines.store.shard import Shard

log = logging.getLogger(__name__)

_ROOT = Path(__file__).parents[2]  # from where `-m` finds this package

VECTORS_PER_S = 1_000  # measured on two cores, 384 dimensions
PATIENCE = 10  # a deadline is so many times what is expected


def load_indexed(folder: Path, *, above: int, deadline_s: float | None = None) -> Shard:
    """Open a collection; if more vectors than `above` have no index, build it before.

    Args:
        folder: Of the collection.
        above: Unindexed vectors that are not worth the wait.
        deadline_s: After that the work is given up; None: ten times what is expected.
    """
    shard = Shard.load(folder)
    vectors = shard.unindexed()
    if vectors <= above:
        return shard
    shard.close()
    expected_s = vectors / VECTORS_PER_S
    log.info(
        "Indexing %d vectors of collection '%s' before serving; about %.0f s.",
        vectors,
        folder.name,
        expected_s,
    )
    started = time.monotonic()
    failure = _build(folder, deadline_s or 60 + PATIENCE * expected_s)
    took_s = time.monotonic() - started
    shard = Shard.load(folder)
    if failure:
        log.warning(
            "Collection '%s' is served without an index, searches are slower: %s after %.0f s.",
            folder.name,
            failure,
            took_s,
        )
    else:
        shard.note_indexed()
        log.info("Indexed collection '%s' in %.0f s.", folder.name, took_s)
    return shard


def _build(folder: Path, deadline_s: float) -> str | None:
    """Run the child; returns what went wrong."""
    command = [sys.executable, "-m", "pipelines.store.hnsw", str(folder.resolve() / "shard")]
    try:
        child = subprocess.run(
            command, cwd=_ROOT, capture_output=True, timeout=deadline_s, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        return str(error)
    if child.returncode:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"the child ended with {child.returncode}"
    return None


def main(path: str) -> None:
    """Index what is worth it in the shard at `path`, and end with the parent if that dies."""
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)
    shard = engine.EdgeShard.load(path)
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main(sys.argv[1])
