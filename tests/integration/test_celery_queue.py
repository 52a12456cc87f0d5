"""Announcing over Redis never holds up an upload, whatever Redis does."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from pipelines.queue.broker import QUEUE, celery_app
from pipelines.queue.celery import CeleryQueue
from pipelines.queue.roster import Roster
from tests.support.live import free_port
from tests.support.redis import RedisServer
from tests.support.stored import row
from twofold.errors import Unavailable

pytestmark = pytest.mark.anyio
ROWS = [row(f"d{number}") for number in range(50)]


@pytest.fixture
async def queue(redis: RedisServer) -> AsyncIterator[CeleryQueue]:
    opened = CeleryQueue(redis.url, deadline_s=1.0)
    yield opened
    await opened.close()


async def said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until the log has it."""
    async with asyncio.timeout(30):
        while words not in caplog.text:
            await asyncio.sleep(0.02)


async def waiting(redis: RedisServer, count: int) -> bool:
    """Whether so many announcements come to wait."""
    end = time.monotonic() + 20
    with redis.client() as client:
        while time.monotonic() < end and client.llen(QUEUE) != count:
            await asyncio.sleep(0.02)
        return bool(client.llen(QUEUE) == count)


async def test_each_document_is_one_message(redis: RedisServer, queue: CeleryQueue) -> None:
    await queue.submit("mine", ROWS)
    assert await waiting(redis, len(ROWS))


async def test_an_upload_does_not_notice_that_redis_is_down(
    redis: RedisServer, queue: CeleryQueue, caplog: pytest.LogCaptureFixture
) -> None:
    redis.kill()
    await queue.submit("mine", ROWS)
    await said(caplog, "could not be announced")
    redis.start()
    await queue.submit("mine", ROWS[:3])
    assert await waiting(redis, 3)


async def test_an_upload_does_not_notice_that_redis_is_silent(
    redis: RedisServer, queue: CeleryQueue, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.submit("mine", ROWS[:1])
    assert await waiting(redis, 1)
    redis.pause()
    try:
        await queue.submit("mine", ROWS)
        assert "could not be announced" not in caplog.text, "it waited for Redis"
        await said(caplog, "could not be announced")
    finally:
        redis.resume()
    with redis.client() as client:
        client.delete(QUEUE)
    await queue.submit("mine", ROWS[:3])
    assert await waiting(redis, 3)


async def test_announcements_go_on_after_redis_was_emptied(
    redis: RedisServer, queue: CeleryQueue
) -> None:
    await queue.submit("mine", ROWS[:5])
    assert await waiting(redis, 5)
    redis.flush()
    await queue.submit("mine", ROWS[:3])
    assert await waiting(redis, 3)


async def test_what_waits_for_a_silent_redis_is_bounded(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis.pause()
    queue = CeleryQueue(redis.url, deadline_s=0.5, backlog=10)
    try:
        await queue.submit("mine", ROWS)
        assert "too many wait" in caplog.text
    finally:
        redis.resume()
        await queue.close()


def test_a_message_is_not_handed_out_again_while_its_document_may_be_in_work() -> None:
    conf = celery_app("redis://127.0.0.1:1", ingest_timeout_s=1_800).conf
    three = (
        conf.visibility_timeout,
        conf.broker_transport_options["visibility_timeout"],
        conf.result_backend_transport_options["visibility_timeout"],
    )
    assert len(set(three)) == 1
    assert min(three) > 1_800
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost) == (True, True)
    assert conf.worker_prefetch_multiplier == 1
    assert list(conf.accept_content) == ["json"]
    assert conf.result_backend is None


async def test_one_worker_leads_until_it_is_gone(redis: RedisServer) -> None:
    roster = Roster(redis.url)
    assert await roster.lead("a")
    assert not await roster.lead("b")
    assert await roster.lead("a")
    redis.flush()
    assert await roster.lead("b")
    assert not await roster.lead("a")
    await roster.leave("b")
    assert await roster.lead("a")
    await roster.close()


async def test_workers_are_known_by_what_they_say(redis: RedisServer) -> None:
    roster = Roster(redis.url)
    await roster.say("a", {"in_hand": 1, "concurrency": 4, "done": 7})
    assert await roster.workers() == {"a": {"in_hand": 1, "concurrency": 4, "done": 7}}
    await roster.leave("a")
    assert await roster.workers() == {}
    await roster.close()


async def test_a_redis_that_is_away_is_said_to_be() -> None:
    roster = Roster(f"redis://127.0.0.1:{free_port()}", timeout_s=0.5)
    with pytest.raises(Unavailable, match="Redis"):
        await roster.waiting()
    await roster.close()
