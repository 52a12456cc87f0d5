"""The collections on a Qdrant server: their entries, and the homes that generations lie in.

    collections      payloads only: a point for each entry (`catalogue.Entry`), one for each home
    notes@1          a home: rows and passages of every tenant who has a generation in it

An entry changes by one conditional write, which names the state that it was read in. So there are
no aliases: an alias switches for all tenants at once, and an entry for one.

Every process looks at an entry again when it is older than `view_s`. Whoever takes something away
writes that down first, and waits for `patience_s` before he touches rows or passages: by then
every process has seen it, or finds out before it answers (`ServerCatalogue.is_current`). Only
durations are compared, no clocks.

A home is chosen before it is entered, and may be given up by its last lodger in between. So who
enters reserves a place first and then looks whether the home is open; who gives it up closes it
first and then looks for places. One of the two sees the other.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID, uuid4

from pydantic import TypeAdapter

from pipelines.keys import derived_uuid
from pipelines.ports import Collection
from pipelines.store import remote
from pipelines.store.catalogue import Entry, Kept, space_of
from pipelines.store.conditions import Clause, every, match
from pipelines.store.connection import Connection, NoSuchCollection
from pipelines.store.records import Payload, Point, Shape
from pipelines.store.remote import Layout, Ordering, RemoteCollection
from twofold.errors import ServiceError

log = logging.getLogger(__name__)

ROUNDS = 8  # times that a change is tried again when others change the same entry
VIEWS = 10_000  # entries that are remembered before the old ones are forgotten
REMEMBERED = 8  # changes of an entry that can be told to have been made

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)
_INDEXES = ("kind", "tenant", "name", "homes", "states")


@dataclass(frozen=True, slots=True)
class View:
    """An entry as it was read.

    Attributes:
        at: When the reading began, on the clock of `time.monotonic()`.
        stamps: Of the last changes, the latest first; none when nothing is written down.
    """

    tenant: str
    entry: Entry
    at: float
    stamps: tuple[str, ...] = ()


class Home(NamedTuple):
    """A physical collection, as it is written down."""

    name: str
    shape: Shape
    state: str  # making, open, closing, gone
    stamp: str

    @property
    def number(self) -> int:
        """Which of those of its name it is; no number comes twice."""
        return int(self.name.partition("@")[2])


class ServerCatalogue:
    """Every collection on the server; several processes change it at once.

    Args:
        connection: To the server.
        layout: How new homes are made.
        prefix: What names of collections on the server begin with, where it is shared.
        view_s: Age from which on an entry is read again.
    """

    def __init__(
        self, connection: Connection, layout: Layout, *, prefix: str, view_s: float
    ) -> None:
        self._connection = connection
        self._layout = layout
        self._prefix = prefix
        self._view_s = view_s
        self.patience_s = 2 * view_s
        self._notes = RemoteCollection(connection, f"{prefix}collections", layout.replicas)
        self._views: dict[tuple[str, str], View] = {}
        self._homes: dict[str, RemoteCollection] = {}

    # --- Entries ----------------------------------------------------------------------------

    async def view(self, tenant: str, name: str, *, fresh: bool = False) -> View:
        """An entry, not older than `view_s`; `fresh`: read after the call."""
        known = self._views.get((tenant, name))
        if known and not fresh and time.monotonic() - known.at < self._view_s:
            return known
        view = await self._read(tenant, name)
        if len(self._views) > VIEWS:
            oldest = time.monotonic() - self._view_s
            self._views = {key: each for key, each in self._views.items() if each.at > oldest}
        if view.entry.exists:
            self._views[tenant, name] = view
        else:
            self._views.pop((tenant, name), None)
        return view

    async def is_current(self, view: View) -> bool:
        """Whether what was done by a view holds: nothing has been taken away meanwhile."""
        if time.monotonic() - view.at < self.patience_s:
            return True
        now = await self.view(view.tenant, view.entry.name, fresh=True)
        return _states(now.entry) == _states(view.entry)

    async def _read(self, tenant: str, name: str) -> View:
        started = time.monotonic()
        try:
            found = await self._notes.get([_entry_id(tenant, name)])
        except NoSuchCollection:
            found = []
        for payload in found:
            return _view_of(payload, started)
        return View(tenant, Entry(name), started)

    async def change(self, tenant: str, name: str, change: Callable[[Entry], Entry]) -> Entry:
        """Change an entry at one moment; `change` is asked again when others come in between."""
        for _ in range(ROUNDS):
            view = await self._read(tenant, name)
            changed = change(view.entry)
            if changed == view.entry:
                return changed
            stamp = uuid4().hex
            await self._write(view, changed, stamp)
            now = await self.view(tenant, name, fresh=True)
            if stamp in now.stamps:
                return changed
        raise ServiceError(
            reason=f"others have changed collection '{name}' {ROUNDS} times meanwhile; try again"
        )

    async def _write(self, view: View, entry: Entry, stamp: str) -> None:
        point = _entry_id(view.tenant, entry.name)
        stamps = (stamp, *view.stamps)[:REMEMBERED]
        payload: Payload = {
            "kind": "entry",
            "tenant": view.tenant,
            "name": entry.name,
            "homes": [each.home for each in entry.generations],
            "states": [each.state for each in entry.generations],
            "stamp": stamp,
            "stamps": [*stamps],
            "record": _ENTRY.dump_json(entry).decode(),
        }
        if view.stamps:
            await self._put([], [(_unless_changed(point, view.stamps[0]), payload)])
        else:
            await self._put([Point(point, payload)], [])

    async def entries(self, *where: Clause) -> list[View]:
        """Entries that conditions hold for, by tenant and name."""
        started = time.monotonic()
        with suppress(NoSuchCollection):
            found = await self._notes.all(every(match("kind", "entry"), *where))
            views = [_view_of(each.payload or {}, started) for each in found]
            return sorted(views, key=lambda each: (each.tenant, each.entry.name))
        return []

    async def settle(self) -> None:
        """Wait until every process has seen what is written down by now."""
        await asyncio.sleep(self.patience_s)

    async def finish(self, tenant: str, name: str) -> None:
        """Remove what is marked as dropping."""
        entry = (await self._read(tenant, name)).entry
        if not entry.dropping:
            return
        await self.settle()
        for kept in entry.dropping:
            if await self._lodgers(kept.home) > 1:
                with suppress(NoSuchCollection):
                    await self.purge(kept.home, space_of(tenant, kept.collection))
            await self.change(tenant, name, lambda entry, n=kept.number: entry.without(n))  # type: ignore[misc]
            await self.give_up(kept.home)

    async def purge(self, home: str, space: str) -> None:
        """Delete all rows and passages of a space."""
        await (await self.home(home)).delete(every(match("space", space)), Ordering.STRONG)

    # --- Homes ------------------------------------------------------------------------------

    async def home(self, name: str) -> RemoteCollection:
        """A home, to be used. Raises NoSuchCollection."""
        if name not in self._homes:
            self._homes[name] = await RemoteCollection.open(
                self._connection, self._prefix + name, self._layout.quantization
            )
        return self._homes[name]

    def forget(self, view: View) -> None:
        """Look anew at where a collection lies."""
        self._views.pop((view.tenant, view.entry.name), None)
        for kept in view.entry.generations:
            self._homes.pop(kept.home, None)

    async def homes(self, *states: str) -> list[Home]:
        """All of them that are in one of these states."""
        return await self._homes_where(match("state", *states))

    async def _homes_where(self, *where: Clause) -> list[Home]:
        with suppress(NoSuchCollection):
            found = await self._notes.all(every(match("kind", "home"), *where))
            homes = [_home_of(each.payload or {}) for each in found]
            return sorted(homes, key=lambda each: (each.name.partition("@")[0], each.number))
        return []

    async def reserve(
        self, tenant: str, collection: Collection, check: Callable[[Entry], object]
    ) -> Kept:
        """A place for a new generation in an open home, which nobody sees yet.

        Args:
            tenant: Whose generation.
            collection: Its settings.
            check: Raises when there must be none, by the entry as it is at that moment.
        """
        name = collection.name
        for _ in range(ROUNDS):
            entry = (await self._read(tenant, name)).entry
            check(entry)
            home = await self._find_home(entry, collection)

            def reserve(entry: Entry, home: str = home) -> Entry:
                check(entry)
                return entry.reserved(collection, home)

            entry = await self.change(tenant, name, reserve)
            kept = entry.generations[-1]
            now = await self._homes_where(match("name", name))
            if any((each.name, each.state) == (home, "open") for each in now):
                return kept
            await self.change(tenant, name, lambda entry, n=kept.number: entry.without(n))  # type: ignore[misc]
        raise ServiceError(reason=f"no place was found for collection '{name}'; try again")

    async def _find_home(self, entry: Entry, collection: Collection) -> str:
        """A home of the shape of a collection, in which none of its generations lies."""
        shape, taken = Shape.of(collection), {each.home for each in entry.generations}
        while True:
            homes = await self._homes_where(match("name", entry.name))
            for home in homes:
                fits = home.shape == shape and home.name not in taken
                if fits and home.state in ("making", "open"):
                    if home.state == "making":
                        await self._make(home)
                    return home.name
            number = homes[-1].number + 1 if homes else 1
            await self._put([_home_point(f"{entry.name}@{number}", shape)], [])

    async def _make(self, home: Home) -> None:
        """Make the physical collection, or what another process has not come to."""
        name = self._prefix + home.name
        await remote.create(self._connection, name, home.shape, self._layout)
        await self._set_state(home, "open")

    async def give_up(self, name: str) -> None:
        """Remove a home if nothing lies in it any more."""
        for home in await self._homes_where(match("home", name)):
            if home.state == "gone" or not await self._lodgers(name):
                await self._give_up(home)

    async def _give_up(self, home: Home) -> None:
        closing = await self._set_state(home, "closing") if home.state != "gone" else home
        if closing is None:
            return  # another process has it in hand
        if closing.state == "closing":
            if await self._lodgers(home.name):
                await self._set_state(closing, "open")
                return
            # From here on nobody can come in; and only who has closed it last comes to here.
            if not await self._set_state(closing, "gone"):
                return
        self._homes.pop(home.name, None)
        await remote.remove(self._connection, self._prefix + home.name)

    async def _set_state(self, home: Home, state: str) -> Home | None:
        """The home in its new state, unless another process has changed it since it was read."""
        stamp = uuid4().hex
        where = _unless_changed(_home_id(home.name), home.stamp)
        await self._put([], [(where, {"state": state, "stamp": stamp})])
        [now] = map(_home_of, await self._notes.get([_home_id(home.name)]))
        return now if now.stamp == stamp else None

    async def _lodgers(self, home: str) -> int:
        """How many entries have a place in a home, whatever becomes of it."""
        return await self._notes.count(every(match("kind", "entry"), match("homes", home)))

    async def _put(self, new: Sequence[Point], changes: Sequence[tuple[Clause, Payload]]) -> None:
        try:
            await self._notes.put(new, changes)
        except NoSuchCollection:
            name = f"{self._prefix}collections"
            await remote.create_notes(self._connection, name, _INDEXES, self._layout)
            await self._notes.put(new, changes)


def _states(entry: Entry) -> list[tuple[int, str]]:
    return [(each.number, each.state) for each in entry.generations]


def _entry_id(tenant: str, name: str) -> UUID:
    return UUID(derived_uuid("entry", tenant, name))


def _home_id(home: str) -> UUID:
    return UUID(derived_uuid("home", home))


def _unless_changed(point: UUID, stamp: str) -> Clause:
    return every({"has_id": [str(point)]}, match("stamp", stamp))


def _view_of(payload: Payload, at: float) -> View:
    entry = _ENTRY.validate_json(str(payload["record"]))
    stamps = payload["stamps"]
    assert isinstance(stamps, list)  # noqa: S101 - only this file writes them
    return View(str(payload["tenant"]), entry, at, tuple(map(str, stamps)))


def _home_point(home: str, shape: Shape) -> Point:
    payload: Payload = {
        "kind": "home",
        "home": home,
        "name": home.partition("@")[0],
        "state": "making",
        "stamp": uuid4().hex,
        **shape._asdict(),
    }
    return Point(_home_id(home), payload)


def _home_of(payload: Payload) -> Home:
    shape = Shape(str(payload["embedder"]), int(str(payload["dimensions"])))
    return Home(str(payload["home"]), shape, str(payload["state"]), str(payload["stamp"]))
