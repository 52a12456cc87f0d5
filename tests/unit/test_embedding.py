"""Passages of many callers share the calls of the model."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from pipelines.embedding import SharedEmbedder
from pipelines.ports import Vector
from tests.support.models import WordEmbedder
from twofold.errors import ModelUnavailable, Unavailable

pytestmark = pytest.mark.anyio


class Watched(WordEmbedder):
    """Remembers its calls, stands still while its gate is shut, and breaks on some words."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        self.calls.append(list(texts))
        self.entered.set()
        assert self.gate.wait(20), "a test left the gate shut"
        if any("poison" in text for text in texts):
            raise ValueError("a bug")
        if any("away" in text for text in texts):
            raise ModelUnavailable(role="embedder", url="http://model", reason="nobody is there")
        return super().embed_passages(texts)


@pytest.fixture
def model() -> Watched:
    return Watched()


@pytest.fixture
async def shared(model: Watched) -> AsyncIterator[SharedEmbedder]:
    embedder = SharedEmbedder(model, max_texts=8, max_characters=1_000)
    yield embedder
    model.gate.set()
    embedder.close()


async def behind_a_shut_gate(
    model: Watched, shared: SharedEmbedder, calls: Sequence[list[str]]
) -> list[Vector | BaseException]:
    """The answers of callers that all came while the model was busy with `first`."""
    model.gate.clear()
    first = asyncio.create_task(shared.embed_passages(["first"]))
    await asyncio.to_thread(model.entered.wait, 20)
    others = [asyncio.create_task(shared.embed_passages(texts)) for texts in calls]
    await asyncio.sleep(0)
    model.gate.set()
    await first
    return await asyncio.gather(*others, return_exceptions=True)


async def test_whoever_waits_shares_the_next_call(model: Watched, shared: SharedEmbedder) -> None:
    answers = await behind_a_shut_gate(model, shared, [["a b"], ["c", "d"], ["e"]])
    assert model.calls == [["first"], ["a b", "c", "d", "e"]]
    alone = WordEmbedder()
    for answer, texts in zip(answers, [["a b"], ["c", "d"], ["e"]], strict=True):
        assert isinstance(answer, np.ndarray)
        assert np.array_equal(answer, alone.embed_passages(texts))


async def test_nobody_waits_for_a_batch_to_fill(model: Watched, shared: SharedEmbedder) -> None:
    async with asyncio.timeout(20):
        assert (await shared.embed_passages(["only one"])).shape == (1, model.dimensions)


async def test_nothing_is_no_call(model: Watched, shared: SharedEmbedder) -> None:
    assert (await shared.embed_passages([])).shape == (0, model.dimensions)
    assert model.calls == []


async def test_a_call_has_a_bound_in_texts_and_in_characters(
    model: Watched, shared: SharedEmbedder
) -> None:
    short = [[f"t{n}"] for n in range(20)]
    long = [["x" * 600] for _ in range(3)]
    await behind_a_shut_gate(model, shared, short + long)
    sizes = [len(call) for call in model.calls[1:]]
    assert sizes == [8, 8, 5, 1, 1]


async def test_a_large_caller_is_served_whole(model: Watched, shared: SharedEmbedder) -> None:
    assert len(await shared.embed_passages([f"t{n}" for n in range(50)])) == 50


async def test_a_failure_hits_only_whom_it_concerns(model: Watched, shared: SharedEmbedder) -> None:
    good, bad, fine = await behind_a_shut_gate(model, shared, [["a"], ["poison"], ["b"]])
    assert isinstance(bad, ValueError)
    assert isinstance(good, np.ndarray)
    assert isinstance(fine, np.ndarray)


async def test_a_server_that_is_away_is_not_asked_once_more_for_each_caller(
    model: Watched, shared: SharedEmbedder
) -> None:
    answers = await behind_a_shut_gate(model, shared, [["a"], ["away"]])
    assert [type(answer) for answer in answers] == [ModelUnavailable] * 2
    assert len(model.calls) == 2


async def test_what_nobody_waits_for_is_not_computed(
    model: Watched, shared: SharedEmbedder
) -> None:
    model.gate.clear()
    first = asyncio.create_task(shared.embed_passages(["first"]))
    await asyncio.to_thread(model.entered.wait, 20)
    gone = asyncio.create_task(shared.embed_passages(["gone"]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    model.gate.set()
    await first
    await shared.embed_passages(["last"])
    assert model.calls == [["first"], ["last"]]


async def test_closing_refuses_what_waits_and_what_comes(
    model: Watched, shared: SharedEmbedder
) -> None:
    model.gate.clear()
    first = asyncio.create_task(shared.embed_passages(["first"]))
    await asyncio.to_thread(model.entered.wait, 20)
    waiting = asyncio.create_task(shared.embed_passages(["waiting"]))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(shared.close))
    with pytest.raises(Unavailable):
        await waiting
    model.gate.set()
    await closing
    assert len(await first) == 1
    with pytest.raises(Unavailable):
        await shared.embed_passages(["late"])
