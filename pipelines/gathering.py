"""The same question about many things, a few of them at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16


async def each_of(items: Iterable[T], answer: Callable[[T], Awaitable[R]]) -> dict[T, R]:
    """Answers by item; of equal items one is asked about."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with slots:
            return await answer(item)

    distinct = list(dict.fromkeys(items))
    return dict(zip(distinct, await asyncio.gather(*map(one, distinct)), strict=True))
