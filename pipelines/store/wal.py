"""Durability by the engine's write-ahead log alone.

`EdgeShard.flush` syncs every file of a shard, some 150 of them, holding the GIL: 30 ms on an idle
disk, 400 ms on a busy one. But the engine writes each operation to its log first and replays at
load what the last flush has not covered. So it is enough to sync the log, three files, which costs
a fortieth; `flush` has to come only now and then, so that the log stays short. The crash tests
put a new log beside old files, and beside any mixture of old and new ones, and find everything.

The log lies in the folder `wal` in segments of 32 MB: `open-N` is being written or waits empty,
`closed-N` is full, `tmp-*` is being made. A flush removes all that is closed but the last.
"""

import os
from pathlib import Path

from pipelines.store.durable import sync_folder


def sync_log(shard: Path) -> bool:
    """Make every operation until now survive a power loss; True when a flush is due."""
    folder = shard / "wal"
    segments = [path for path in folder.iterdir() if not path.name.startswith("tmp-")]
    for path in segments:
        handle = os.open(path, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sync_folder(folder)
    return sum(path.name.startswith("closed-") for path in segments) > 1
