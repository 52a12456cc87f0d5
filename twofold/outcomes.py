"""What came of an upload, however long it is: counted, with what people have to see kept.

Of a hundred thousand files nobody reads a hundred thousand lines, and no process should hold
them: the counts are exact, the failures are kept up to a bound, and everything goes to `--json`
as it happens.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from twofold.schema import AcceptedDocument, RejectedFile

Outcome: TypeAlias = AcceptedDocument | RejectedFile
Listener: TypeAlias = Callable[[Outcome], object]

FEW = 20
"""Files that are listed one by one; of more, only the failures are."""

MAX_FAILURES = 1_000


class Row(NamedTuple):
    """One file: its verdict or what hinders it, and a remark."""

    outcome: str
    name: str
    passages: int
    remark: str


@dataclass
class Tally:
    """The sum of an upload.

    Attributes:
        counts: Files by outcome.
        first: The first few, whatever became of them.
        failures: The failed ones, up to MAX_FAILURES.
    """

    counts: Counter[str] = field(default_factory=Counter)
    first: list[Row] = field(default_factory=list)
    failures: list[Row] = field(default_factory=list)

    def __call__(self, outcome: Outcome) -> None:
        """Count a file."""
        row = row_of(outcome)
        self.counts[row.outcome] += 1
        if len(self.first) < FEW:
            self.first.append(row)
        if row.outcome == "failed" and len(self.failures) < MAX_FAILURES:
            self.failures.append(row)

    @property
    def total(self) -> int:
        """Files in all."""
        return self.counts.total()

    @property
    def rows(self) -> list[Row]:
        """What is to be shown one by one."""
        return self.first if self.total <= FEW else self.failures

    def well(self, *, wait: bool) -> bool:
        """Whether none has failed and, if that was waited for, all can be searched."""
        unsettled = {"failed"} | ({"queued", "parsing", "embedding"} if wait else set())
        return not any(self.counts[outcome] for outcome in unsettled)


class Json:
    """Writes one JSON object of the shape of `AcceptedDocuments`, item by item.

    Args:
        write: Takes each piece of the text.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._before = '{"documents": ['
        self._rejected: list[RejectedFile] = []

    def __call__(self, outcome: Outcome) -> None:
        """Write a document; what was rejected comes at the end."""
        if isinstance(outcome, RejectedFile):
            self._rejected.append(outcome)
            return
        self._write(f"{self._before}\n{outcome.model_dump_json()}")
        self._before = ","

    def end(self) -> None:
        """Write the rest."""
        opening = self._before if self._before != "," else ""
        rejected = ",\n".join(file.model_dump_json() for file in self._rejected)
        self._write(f'{opening}],\n"rejected": [{rejected}]}}\n')


def row_of(outcome: Outcome) -> Row:
    """The verdict on a document that is ready, or what it is in; the reason if it failed."""
    if isinstance(outcome, RejectedFile):
        return Row("failed", outcome.name, 0, outcome.error.message)
    verdict = outcome.verdict if outcome.status == "ready" else outcome.status
    remark = f"the same bytes as {outcome.duplicate_of}" if outcome.duplicate_of else ""
    if outcome.error:
        remark = outcome.error.message
    return Row(verdict, outcome.name, outcome.chunks, remark)
