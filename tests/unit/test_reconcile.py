"""The reconciler against a ledger that a test writes, on a clock that a test turns."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pipelines.reconcile import GRACE_S, Reconciler
from pipelines.store.edge import EdgeStore
from pipelines.work import DIED, rest_s
from tests.support.stored import COLLECTION, CREATED, next_version, row
from twofold.errors import Unavailable
from twofold.schema import Document

pytestmark = pytest.mark.anyio
TENANT = "mine"
STALE_S = 10.0


class World:
    """A ledger, a queue that only counts, and a clock."""

    def __init__(self, store: EdgeStore, **options: int) -> None:
        self.store = store
        self.now = 1_000.0
        self.waiting = 0
        self.announced: list[str] = []
        self.reconciler = Reconciler(
            store, self, self.backlog, stale_s=STALE_S, clock=lambda: self.now, **options
        )

    async def submit(self, tenant: str, documents: Sequence[Document]) -> None:
        self.announced += [each.id for each in documents]

    async def backlog(self) -> int:
        return self.waiting

    async def put(self, *rows: Document) -> None:
        await self.store.put_documents(TENANT, rows)

    async def row(self, name: str = "d") -> Document:
        return await self.store.get_document(TENANT, COLLECTION.name, name)

    async def announces(self, *, after: float = 0.0) -> list[str]:
        """What the next round announces."""
        self.now += after
        self.announced.clear()
        await self.reconciler.round()
        return sorted(self.announced)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EdgeStore]:
    opened = EdgeStore.open(tmp_path / "store")
    await opened.ensure_collection(TENANT, COLLECTION)
    yield opened
    await opened.close()


@pytest.fixture
def world(store: EdgeStore) -> World:
    return World(store)


async def test_a_row_that_the_queue_has_lost_is_announced(world: World) -> None:
    await world.put(row("a"), row("b"), row("c", status="ready"), row("e", status="failed"))
    assert await world.announces() == ["a", "b"]


async def test_nothing_is_announced_twice_at_once(world: World) -> None:
    await world.put(row())
    assert await world.announces() == ["d"]
    assert await world.announces(after=GRACE_S / 2) == []


async def test_an_announcement_that_was_lost_as_well_is_repeated(world: World) -> None:
    await world.put(row())
    assert await world.announces() == ["d"]
    assert await world.announces(after=GRACE_S) == ["d"]


async def test_while_others_wait_a_row_is_left_to_wait_longer_each_time(world: World) -> None:
    await world.put(row())
    world.waiting = 10
    times = 0
    for _ in range(3_600):
        times += len(await world.announces(after=1.0))
    assert 3 <= times <= 6


async def test_a_queue_that_has_enough_gets_no_more(store: EdgeStore) -> None:
    world = World(store, enough=5)
    await world.put(*[row(f"d{number}") for number in range(20)])
    world.waiting = 5
    assert await world.announces(after=10_000) == []
    world.waiting = 0
    assert len(await world.announces()) == 5


async def test_a_round_is_bounded_and_the_next_goes_on(store: EdgeStore) -> None:
    world = World(store, rows=8)
    await world.put(*[row(f"d{number:02}") for number in range(20)])
    rounds = [await world.announces() for _ in range(3)]
    assert [len(names) for names in rounds] == [8, 8, 4]
    assert len({name for names in rounds for name in names}) == 20


async def test_a_worker_that_shows_signs_of_life_keeps_its_document(world: World) -> None:
    beating = row(status="embedding", attempts=1, heartbeat_at=CREATED)
    await world.put(beating)
    for beat in range(5):
        later = CREATED.replace(minute=beat)
        await world.put(beating.model_copy(update={"heartbeat_at": later}))
        assert await world.announces(after=STALE_S * 0.9) == []
    assert (await world.row()).status == "embedding"


async def test_a_document_whose_worker_is_silent_goes_back_with_its_attempt_counted(
    world: World,
) -> None:
    await world.put(row(status="parsing", attempts=1, heartbeat_at=CREATED))
    await world.announces()
    await world.announces(after=STALE_S)
    found = await world.row()
    assert (found.status, found.attempts, found.progress) == ("queued", 1, 0.0)
    assert found.error
    assert found.error.code == DIED
    assert await world.announces(after=rest_s(1) / 2) == []
    assert await world.announces(after=rest_s(1)) == ["d"]


@pytest.mark.parametrize("year", [1970, 2200])
async def test_clocks_of_other_hosts_do_not_matter(world: World, year: int) -> None:
    await world.put(row(status="parsing", attempts=1, heartbeat_at=CREATED.replace(year=year)))
    await world.announces()
    await world.announces(after=STALE_S / 2)
    assert (await world.row()).status == "parsing"
    await world.announces(after=STALE_S)
    assert (await world.row()).status == "queued"


async def test_a_document_that_keeps_killing_its_workers_is_failed_with_the_reason(
    world: World,
) -> None:
    await world.put(row(status="parsing", attempts=3, heartbeat_at=CREATED))
    await world.announces()
    assert await world.announces(after=STALE_S) == []
    found = await world.row()
    assert found.status == "failed"
    assert found.error
    assert found.error.code == DIED
    assert "3 times" in found.error.message


async def test_a_failed_attempt_rests_before_the_next(world: World) -> None:
    await world.put(row(attempts=2))
    assert await world.announces() == []
    assert await world.announces(after=rest_s(2) * 0.9) == []
    assert await world.announces(after=rest_s(2) * 0.2) == ["d"]


async def test_another_upload_is_another_matter(world: World) -> None:
    await world.put(row())
    assert await world.announces() == ["d"]
    await world.put(next_version(row()))
    assert await world.announces() == ["d"]


async def test_what_is_finished_is_forgotten(world: World) -> None:
    await world.put(*[row(f"d{number}") for number in range(50)])
    await world.announces()
    for number in range(50):
        await world.store.delete_document(TENANT, COLLECTION.name, f"d{number}")
    await world.announces()
    assert world.reconciler._seen == {}


async def test_a_silent_queue_is_no_reason_to_announce(world: World) -> None:
    await world.put(row())

    async def silent() -> int:
        raise Unavailable(what="Redis", reason="silence", seconds=1)

    world.reconciler.backlog = silent
    with pytest.raises(Unavailable):
        await world.announces()
    assert world.announced == []
