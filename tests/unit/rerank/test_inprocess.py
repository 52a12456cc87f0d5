"""What is particular to the queue inside one process: its thread, its loops, its clock."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from pipelines.ports import Pairs, PairScores, RerankOutcome, RerankRequest
from pipelines.rerank import inprocess
from pipelines.rerank.inprocess import InProcessReranker
from tests.support.reranking import POISON, OverlapModel


class Flaky(OverlapModel):
    """Fails on its first batch only."""

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        if not self.batches:
            self.batches.append(list(batch))
            raise RuntimeError("out of memory")
        return super().score_batch(batch)


def ask(*passages: str, deadline: float | None = None) -> RerankRequest:
    deadline = time.monotonic() + 20.0 if deadline is None else deadline
    return RerankRequest("red", passages, deadline)


async def once(reranker: InProcessReranker, *passages: str) -> RerankOutcome:
    try:
        return await reranker.rerank(ask(*passages))
    finally:
        await reranker.close()


@pytest.mark.anyio
async def test_a_fault_that_passes_is_mended_by_the_second_try() -> None:
    assert (await once(InProcessReranker(Flaky()), "red")).status == "applied"


@pytest.mark.anyio
async def test_a_failing_request_is_tried_twice_and_no_more() -> None:
    model = OverlapModel()
    assert (await once(InProcessReranker(model), POISON)).status == "error"
    assert len(model.batches) == 2


def test_event_loops_in_several_threads_share_one_reranker() -> None:
    reranker = InProcessReranker(OverlapModel())
    outcomes: list[RerankOutcome] = []

    async def several() -> None:
        outcomes.extend(await asyncio.gather(*(reranker.rerank(ask("red")) for _ in range(20))))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    asyncio.run(reranker.close())
    assert [outcome.status for outcome in outcomes] == ["applied"] * 80


def test_a_caller_whose_loop_has_closed_harms_nobody() -> None:
    model = OverlapModel()
    reranker = InProcessReranker(model)
    model.gate.clear()

    async def leave() -> None:
        task = asyncio.create_task(reranker.rerank(ask("gone")))
        await asyncio.to_thread(model.entered.wait, 10)
        task.cancel()

    asyncio.run(leave())
    model.gate.set()
    assert asyncio.run(once(reranker, "red")).status == "applied"


@pytest.mark.anyio
async def test_the_thread_ends_when_idle_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inprocess, "LINGER_S", 0.01)
    reranker = InProcessReranker(OverlapModel())
    assert (await reranker.rerank(ask("red"))).status == "applied"
    for thread in threading.enumerate():
        if thread.name == "reranker":
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
    assert (await once(reranker, "red")).status == "applied"


@pytest.mark.anyio
async def test_deadlines_are_on_the_given_clock() -> None:
    now = 1_000.0
    reranker = InProcessReranker(OverlapModel(), clock=lambda: now)
    assert (await reranker.rerank(ask("red", deadline=999.0))).status == "timeout"
    assert (await reranker.rerank(ask("red", deadline=1_010.0))).status == "applied"
    await reranker.close()


@pytest.mark.anyio
async def test_no_thread_is_unavailable_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    reranker = InProcessReranker(OverlapModel())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        outcome = await reranker.rerank(ask("red"))
    assert outcome.status == "unavailable"
    await reranker.close()
