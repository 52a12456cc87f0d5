"""The collections of the embedded store: their entries in one file, and the shards they lie in.

    collections.json           the entries; replaced as a whole
    collections/notes@1/       a shard, see `shard`

A shard is shared by all tenants who have a generation of the same name and shape of vectors. A
generation never moves into a shard that holds another one of the same collection: so the last one
to leave a shard takes its files with it, and a rebuilt collection leaves nothing behind.

What is removed is first removed from the file, or marked there; `open` does the rest.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import TypeAdapter

from pipelines.ports import Collection, plain_name
from pipelines.store import hnsw
from pipelines.store.catalogue import Entry, Kept, space_of
from pipelines.store.conditions import every, match
from pipelines.store.durable import write_file
from pipelines.store.records import Shape
from pipelines.store.shard import Shard
from twofold.errors import StartupError

log = logging.getLogger(__name__)


class _Line(NamedTuple):
    tenant: str
    entry: Entry


_LINES = TypeAdapter(list[_Line])


class Place(NamedTuple):
    """Where the rows and passages of a generation lie."""

    shard: Shard
    space: str
    kept: Kept


class EdgeCatalogue:
    """Every collection in a folder, with its shards open."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "collections.json"
        self._folder = folder / "collections"
        self._entries: dict[tuple[str, str], Entry] = {}
        self._shards: dict[str, Shard] = {}

    @classmethod
    def open(cls, folder: Path, *, index_above: int, index_deadline_s: float | None) -> Self:
        """Read the entries, open the shards, finish removals that a crash has interrupted.

        Raises:
            StartupError: Something cannot be read.
        """
        catalogue = cls(folder)
        try:
            catalogue._read()
            used = {
                kept.home for entry in catalogue._entries.values() for kept in entry.generations
            }
            for path in sorted(catalogue._folder.glob("*/")):
                if path.name in used:
                    shard = hnsw.load_indexed(path, above=index_above, deadline_s=index_deadline_s)
                    catalogue._shards[path.name] = shard
                else:
                    Shard.remove(path)
            for tenant, name in catalogue._entries:
                catalogue.finish(tenant, name)
        except BaseException:
            catalogue.close()
            raise
        return catalogue

    def _read(self) -> None:
        if not self._file.exists():
            if any(map(Shard.exists, self._folder.glob("*/"))):
                raise StartupError(
                    reason=f"{self._file} is missing, without which nobody knows whose the "
                    f"collections in {self._folder} are; restore both from a backup"
                )
            self._write()
        try:
            lines = _LINES.validate_json(self._file.read_bytes())
        except ValueError as error:
            raise StartupError(
                reason=f"{self._file} cannot be read ({error}); restore the folder from a backup"
            ) from error
        self._entries = {(tenant, entry.name): entry for tenant, entry in lines}

    def _write(self) -> None:
        lines = [_Line(tenant, entry) for (tenant, _), entry in sorted(self._entries.items())]
        content = _LINES.dump_json(lines)
        write_file(self._file, lambda file: file.write(content))

    def close(self) -> None:
        """Flush and let go."""
        while self._shards:
            self._shards.popitem()[1].close()

    # --- Reading ----------------------------------------------------------------------------

    def entry(self, tenant: str, name: str) -> Entry:
        """What is written down of a collection; an empty entry when nothing is."""
        return self._entries.get((tenant, name)) or Entry(name)

    def entries(self) -> list[tuple[str, Entry]]:
        """Every collection that there is, with its tenant."""
        return [
            (tenant, entry) for (tenant, _), entry in sorted(self._entries.items()) if entry.exists
        ]

    def at(self, tenant: str, address: str) -> Place:
        """Where an address leads. Raises CollectionNotFound, GenerationNotFound."""
        return self._place(tenant, self.entry(tenant, plain_name(address)).at(address))

    def places(self, tenant: str, address: str) -> list[Place]:
        """Where an address leads, the live generation last: all of them for a plain name."""
        asked = self.at(tenant, address)
        if address != asked.kept.collection.name:
            return [asked]
        entry = self.entry(tenant, address)
        others = [self._place(tenant, each) for each in entry.present if each is not asked.kept]
        return [*others, asked]

    def _place(self, tenant: str, kept: Kept) -> Place:
        return Place(self._shards[kept.home], space_of(tenant, kept.collection), kept)

    def homes(self) -> Iterator[Shard]:
        """Every shard; it need not be there any more when it is used."""
        yield from list(self._shards.values())

    # --- Changing ---------------------------------------------------------------------------

    def keep(self, tenant: str, entry: Entry) -> Entry:
        """Write an entry down, durably."""
        before = self._entries.get((tenant, entry.name))
        self._entries[tenant, entry.name] = entry
        try:
            self._write()
        except BaseException:
            if before is None:
                del self._entries[tenant, entry.name]
            else:
                self._entries[tenant, entry.name] = before
            raise
        return entry

    def find_home(self, entry: Entry, collection: Collection) -> str:
        """A shard with the shape of a collection, in which none of its generations lies."""
        shape, taken = Shape.of(collection), {each.home for each in entry.generations}
        number = 1
        while (home := f"{entry.name}@{number}") in self._shards:
            if home not in taken and self._shards[home].shape == shape:
                return home
            number += 1
        self._shards[home] = Shard.create(self._folder / home, shape)
        return home

    def finish(self, tenant: str, name: str) -> None:
        """Remove what is marked as dropping."""
        entry = self.entry(tenant, name)
        for kept in entry.dropping:
            alone = self._lodgers(kept.home) == 1
            if not alone:
                shard, space, _ = self._place(tenant, kept)
                shard.delete(every(match("space", space)))
                shard.sync()
            entry = self.keep(tenant, entry.without(kept.number))
            if alone:
                self._shards.pop(kept.home).close()
                Shard.remove(self._folder / kept.home)

    def _lodgers(self, home: str) -> int:
        """How many generations lie in a shard."""
        return sum(
            kept.home == home for entry in self._entries.values() for kept in entry.generations
        )
