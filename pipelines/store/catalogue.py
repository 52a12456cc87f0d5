"""What is written down of a tenant's collection, and how that may change. Pure.

An entry is one record, changed as one: in a file by the embedded store, in a point of its own by
the server. So a collection is created, switched or deleted at one moment. What takes longer, the
removal of rows and passages, is written down first: a generation that is `dropping` is not there
for anybody, and whoever comes upon it finishes the work.

Numbers of generations are never given again. A worker who has slept for an hour can therefore do
no harm: the place that he writes to belongs to nobody else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias

from pipelines.ports import Collection, Generation, GenerationState
from twofold.errors import (
    CollectionExists,
    CollectionNotFound,
    GenerationInUse,
    GenerationNotFound,
    RebuildUnderWay,
    ServiceError,
)

State: TypeAlias = GenerationState | Literal["reserved", "dropping"]
"""What is reserved or dropping is not there for callers: not yet, or not any more."""

_THERE = ("building", "live", "former")


@dataclass(frozen=True, slots=True)
class Kept:
    """A generation as it is written down.

    Attributes:
        home: The physical collection that it lies in, together with those of other tenants.
    """

    collection: Collection
    home: str
    state: State
    note: str | None = None

    @property
    def number(self) -> int:
        """Which generation it is."""
        return self.collection.generation


@dataclass(frozen=True, slots=True)
class Entry:
    """All generations of one collection of one tenant; none of them when it was deleted.

    Attributes:
        last: The highest number that a generation ever had.
    """

    name: str
    last: int = 0
    generations: tuple[Kept, ...] = ()

    # --- Reading ----------------------------------------------------------------------------

    @property
    def present(self) -> list[Kept]:
        """Those that are there for callers, by number."""
        return [each for each in self.generations if each.state in _THERE]

    @property
    def shown(self) -> list[Generation]:
        """The same as callers see them. Raises CollectionNotFound."""
        self.live  # noqa: B018
        return [
            Generation(each.collection, each.state, each.note)
            for each in self.generations
            if each.state != "reserved" and each.state != "dropping"
        ]

    @property
    def dropping(self) -> list[Kept]:
        """Those whose rows and passages are still to be removed."""
        return [each for each in self.generations if each.state == "dropping"]

    @property
    def exists(self) -> bool:
        """Whether the tenant has the collection."""
        return any(each.state == "live" for each in self.generations)

    @property
    def live(self) -> Kept:
        """The one that is searched. Raises CollectionNotFound."""
        for each in self.generations:
            if each.state == "live":
                return each
        raise CollectionNotFound(collection=self.name)

    def numbered(self, number: int) -> Kept:
        """A generation by its number. Raises CollectionNotFound, GenerationNotFound."""
        self.live  # noqa: B018 - a collection that is not there has no generations either
        for each in self.present:
            if each.number == number:
                return each
        raise GenerationNotFound(collection=self.name, generation=number)

    def at(self, address: str) -> Kept:
        """The generation that an address means."""
        _, named, number = address.partition("@")
        return self.numbered(int(number)) if named else self.live

    # --- Changing ---------------------------------------------------------------------------

    def new(self) -> None:
        """Raise CollectionExists if the tenant has the collection."""
        if self.exists:
            raise CollectionExists(collection=self.name)

    def building(self, collection: Collection) -> Kept | None:
        """The generation that is being built with these settings; None when none is built."""
        self.live  # noqa: B018
        for each in self.generations:
            if each.state == "building":
                if each.collection.is_built_like(collection):
                    return each
                raise RebuildUnderWay(collection=self.name)
        return None

    def reserved(self, collection: Collection, home: str) -> Self:
        """With a place for a further generation."""
        number = self.last + 1
        kept = Kept(replace(collection, generation=number), home, "reserved")
        return replace(self, last=number, generations=(*self.generations, kept))

    def created(self, number: int) -> Self:
        """With a reserved generation as the first one, or the first after a deletion."""
        self.new()
        return self._entered(number, "live")

    def begun(self, number: int) -> Self:
        """With a reserved generation as the one that is being built.

        Or without it, when somebody else has begun one with the same settings meanwhile.
        """
        live = self.live.collection
        for each in self.generations:
            if each.number == number and self.building(each.collection):
                return self.without(number)
        begun = self._entered(number, "building")
        return begun.instructed(live.query_instruction, live.rerank_instruction)

    def _entered(self, number: int, state: State) -> Self:
        for each in self.generations:
            if (each.number, each.state) == (number, "reserved"):
                return self._changed(each, replace(each, state=state))
        raise ServiceError(reason=f"collection '{self.name}' was changed meanwhile; try again")

    def switched(self, number: int) -> Self:
        """With another live generation."""
        chosen = self.numbered(number)

        def state(each: Kept) -> State:
            if each is chosen:
                return "live"
            return "former" if each.state == "live" else each.state

        return self._each(lambda each: replace(each, state=state(each)))

    def dropped(self, number: int) -> Self:
        """Without a generation, as callers see it."""
        if self.live.number == number:
            raise GenerationInUse(collection=self.name, generation=number)
        return self._each(
            lambda each: replace(each, state="dropping") if each.number == number else each
        )

    def emptied(self) -> Self:
        """Without any generation, as callers see it: the collection is gone."""
        self.live  # noqa: B018
        return self._each(lambda each: replace(each, state="dropping"))

    def without(self, number: int) -> Self:
        """Once nothing of a generation is left."""
        left = tuple(each for each in self.generations if each.number != number)
        return replace(self, generations=left)

    def unreserved(self, number: int) -> Self:
        """Without a generation that was reserved and is not taken up."""
        left = [
            each for each in self.generations if (each.number, each.state) != (number, "reserved")
        ]
        return replace(self, generations=tuple(left))

    def has_lost(self, address: str) -> bool:
        """Whether it once had a generation that is not written down any more."""
        number = int(address.partition("@")[2])
        return number <= self.last and all(each.number != number for each in self.generations)

    def noted(self, address: str, note: str | None) -> Self:
        """With a note beside a generation."""
        kept = self.at(address)
        return self._changed(kept, replace(kept, note=note))

    def instructed(self, query: str | None, rerank: str | None) -> Self:
        """With other instructions."""
        self.live  # noqa: B018

        def instruct(each: Kept) -> Kept:
            new = replace(each.collection, query_instruction=query, rerank_instruction=rerank)
            return replace(each, collection=new)

        return self._each(instruct)

    def _changed(self, kept: Kept, changed: Kept) -> Self:
        return self._each(lambda each: changed if each is kept else each)

    def _each(self, change: Callable[[Kept], Kept]) -> Self:
        return replace(self, generations=tuple(map(change, self.generations)))


def space_of(tenant: str, collection: Collection) -> str:
    """What tells the points of a generation from all others of its home."""
    return f"{tenant}/{collection.address}"


def place_of(space: str) -> tuple[str, str]:
    """Tenant and address of a space."""
    tenant, _, address = space.rpartition("/")
    return tenant, address
