"""Durable writes share a flush, and each caller gets what is its own."""

import asyncio
import threading
from pathlib import Path

import pytest

from pipelines.store.commits import TOGETHER, Commits
from pipelines.store.records import Shape
from pipelines.store.shard import Shard

pytestmark = pytest.mark.anyio


class CountedShard(Shard):
    """Counts its flushes."""

    flushes = 0
    fault: Exception | None = None

    def sync(self) -> None:
        self.flushes += 1
        if self.fault:
            raise self.fault
        super().sync()


@pytest.fixture
def shard(tmp_path: Path) -> CountedShard:
    return CountedShard.create(tmp_path / "notes@1", Shape("model-a", 8))


async def test_changes_that_wait_are_made_in_order_behind_one_flush(shard: CountedShard) -> None:
    lock = threading.RLock()
    commits = Commits(lock)
    made: list[int] = []

    def change(number: int, flushed: set[Shard]) -> int:
        made.append(number)
        flushed.add(shard)
        return number

    with lock:  # the disk is at work
        waiting = [
            asyncio.create_task(commits(lambda flushed, n=number: change(n, flushed)))
            for number in range(TOGETHER)
        ]
        await asyncio.sleep(0.05)
        assert made == []
    assert await asyncio.gather(*waiting) == made == list(range(TOGETHER))
    # The first one may have been taken before the others came.
    assert shard.flushes <= 2
    commits.close()
    shard.close()


async def test_a_change_that_fails_takes_no_other_with_it(shard: CountedShard) -> None:
    commits = Commits(threading.RLock())

    def fail(_: set[Shard]) -> int:
        raise ValueError("mine")

    def succeed(flushed: set[Shard]) -> int:
        flushed.add(shard)
        return 7

    answers = await asyncio.gather(commits(fail), commits(succeed), return_exceptions=True)
    assert [type(answers[0]), answers[1]] == [ValueError, 7]
    commits.close()
    shard.close()


async def test_what_could_not_be_flushed_is_not_acknowledged(shard: CountedShard) -> None:
    commits = Commits(threading.RLock())
    shard.fault = OSError("no space left")
    with pytest.raises(OSError, match="no space"):
        await commits(lambda flushed: flushed.add(shard))
    commits.close()
    shard.close()
