"""How far a rebuild is: the note beside its generation, which survives every process."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.catchup import Walk
from pipelines.ports import Collection, Generation, Store
from twofold.schema import FINAL, Document, DocumentStatus, FailedDocument, Rebuild, RebuildState

SHOWN = 10
"""Failures that it names."""


@dataclass
class RebuildNote:
    """The note of one generation; one process writes it at a time.

    Attributes:
        collection: The generation, with its settings.
        rebuild: As last written.
    """

    store: Store
    tenant: str
    collection: Collection
    rebuild: Rebuild

    async def say(self, state: RebuildState, reason: str | None = None) -> None:
        """Write down what happens now."""
        await self.write(state=state, reason=reason)

    async def count(self, old: Collection) -> None:
        """Write down how many documents there are, here and in the generation in use."""
        before = await self.store.count_documents(self.tenant, old.address)
        now = await self.store.count_documents(self.tenant, self.collection.address)
        await self.write(
            total=sum(before.values()),
            done=_final(now),
            failed=max(0, now.get("failed", 0) - before.get("failed", 0)),
        )

    async def found(self, walk: Walk) -> None:
        """Write down what the last walk has found."""
        await self.write(
            total=walk.total,
            done=walk.total,
            failed=len(walk.failures),
            failures=[_failed(row) for row in walk.failures[:SHOWN]],
        )

    async def write(self, **change: object) -> None:
        """Change it, if that changes anything."""
        if all(getattr(self.rebuild, name) == value for name, value in change.items()):
            return
        changed = self.rebuild.model_copy(update={**change, "updated_at": datetime.now(UTC)})
        await self.store.note_generation(
            self.tenant, self.collection.address, changed.model_dump_json()
        )
        self.rebuild = changed

    @property
    def age_s(self) -> float:
        """Seconds since it was last written; the clock of another host may have said when."""
        return max(0.0, (datetime.now(UTC) - self.rebuild.updated_at).total_seconds())


def rebuild_of(generation: Generation) -> Rebuild | None:
    """What is noted beside a generation; None for one that no rebuild has made."""
    return None if generation.note is None else Rebuild.model_validate_json(generation.note)


def _final(counts: dict[DocumentStatus, int]) -> int:
    return sum(count for status, count in counts.items() if status in FINAL)


def _failed(row: Document) -> FailedDocument:
    return FailedDocument(id=row.id, name=row.name, error=row.error)
