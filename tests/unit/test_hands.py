"""What may be in hand at once."""

import asyncio

import pytest

from pipelines.hands import Hands
from pipelines.work import DIED
from tests.support.stored import row
from twofold.schema import Document, DocumentFailure

pytestmark = pytest.mark.anyio


def suspect(name: str) -> Document:
    failure = DocumentFailure(code=DIED, message="The worker stopped.")
    return row(name, attempts=1, error=failure)


async def waits(hands: Hands, document: Document) -> asyncio.Task[None]:
    """A document that is not let in yet."""
    waiting = asyncio.create_task(hands.take(document))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    return waiting


async def test_so_many_documents_are_in_hand_and_no_more() -> None:
    hands = Hands(2)
    await hands.take(row("a"))
    await hands.take(row("b"))
    third = await waits(hands, row("c"))
    await hands.let_go(row("a"))
    await third
    assert hands.held == 2


async def test_large_documents_count_by_their_size() -> None:
    hands = Hands(10, max_bytes=100)
    await hands.take(row("a", size=60))
    await hands.take(row("b", size=40))
    third = await waits(hands, row("c", size=1))
    await hands.let_go(row("b", size=40))
    await third


async def test_a_document_over_every_bound_is_let_in_alone() -> None:
    hands = Hands(10, max_bytes=100)
    await hands.take(row("a", size=5_000))
    small = await waits(hands, row("b", size=1))
    await hands.let_go(row("a", size=5_000))
    await small


async def test_nobody_overtakes() -> None:
    hands = Hands(10, max_bytes=100)
    await hands.take(row("a", size=60))
    large = await waits(hands, row("b", size=70))
    small = await waits(hands, row("c", size=1))
    await hands.let_go(row("a", size=60))
    await asyncio.gather(large, small)


async def test_a_suspect_is_alone() -> None:
    hands = Hands(10)
    await hands.take(row("a"))
    lonely = await waits(hands, suspect("b"))
    after = await waits(hands, row("c"))
    await hands.let_go(row("a"))
    await lonely
    assert not after.done()
    await hands.let_go(suspect("b"))
    await after


async def test_whoever_gives_up_waiting_leaves_no_gap() -> None:
    hands = Hands(1)
    async with hands.hold(row("a")):
        gone = await waits(hands, row("b"))
        gone.cancel()
        await asyncio.wait([gone])
    async with asyncio.timeout(20), hands.hold(row("c")):
        assert hands.held == 1
    assert hands.held == 0
