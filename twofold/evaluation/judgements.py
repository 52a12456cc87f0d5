"""Judgements: the questions, and which documents answer them, as somebody said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from twofold.errors import InvalidRequest

Run: TypeAlias = Mapping[str, list[str]]
"""Documents in their order, by the id of the query."""


class Judgement(NamedTuple):
    """One row: how well a document answers a query.

    Attributes:
        document: Its id, or its name, as the file has it.
        relevance: 0 and below: it does not.
        place: `FILE:LINE`, for errors.
    """

    query_id: str
    document: str
    relevance: int
    place: str


@dataclass(frozen=True)
class Judgements:
    """What a system is measured against.

    Attributes:
        name: What people call the set.
        queries: Text by id; those with a relevant document.
        rows: Of those queries alone.
        corpus: JSON Lines with `_id`, `title` and `text`, where the set brings its documents.
        runs: What other systems have answered, by the name of the run.
        strict: Whether a document that is not there is a mistake. People write a CSV about what
            they have; the judgements of a public set may be about more.
        synthetic: How the queries were made, where no person asked them.
        left_out: Queries that nobody answered: no relevant document is known for them.
    """

    name: str
    queries: dict[str, str]
    rows: list[Judgement]
    corpus: Path | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)
    strict: bool = False
    synthetic: str | None = None
    left_out: int = 0

    def relevant(self) -> dict[str, dict[str, int]]:
        """By query, the documents that answer it and how well."""
        found: dict[str, dict[str, int]] = {query_id: {} for query_id in self.queries}
        for row in self.rows:
            if row.relevance > 0:
                found[row.query_id][row.document] = row.relevance
        return found


def judged(
    name: str,
    queries: Mapping[str, str],
    rows: Iterable[Judgement],
    *,
    source: Path,
    corpus: Path | None = None,
    runs: Mapping[str, Run] | None = None,
    strict: bool = False,
    synthetic: str | None = None,
) -> Judgements:
    """Put queries and rows together; queries without a relevant document are left out.

    Raises:
        InvalidRequest: Two rows contradict each other, or nothing is left.
    """
    kept = _without_contradictions(rows)
    answered = {row.query_id for row in kept if row.relevance > 0}
    asked = {row.query_id for row in kept}
    texts = {query_id: text for query_id, text in queries.items() if query_id in answered}
    if not texts:
        raise bad(source, _why_nothing_is_left(asked, queries))
    return Judgements(
        name=name,
        queries=texts,
        rows=[row for row in kept if row.query_id in texts],
        corpus=corpus,
        runs=runs or {},
        strict=strict,
        synthetic=synthetic,
        left_out=len(asked & set(queries)) - len(texts),
    )


def relevance(text: str, place: str) -> int:
    """A whole number from a file.

    Raises:
        InvalidRequest: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.5
    if not value.is_integer():
        raise bad(place, f"the relevance '{text}' is not a whole number, such as 0 or 1")
    return int(value)


def bad(place: Path | str, reason: str) -> InvalidRequest:
    """The error for a file that cannot be used: where, and what to do about it."""
    return InvalidRequest(field=str(place), reason=reason)


def lines_of(path: Path) -> Iterable[tuple[int, str]]:
    """Lines that are not blank, with their numbers, without what a byte order mark adds.

    Raises:
        InvalidRequest: There is no such file, or it is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\n")
    except OSError as error:
        raise bad(path, f"it cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise bad(path, "it is not UTF-8; save it as that") from None


def _without_contradictions(rows: Iterable[Judgement]) -> list[Judgement]:
    """Every pair once.

    Raises:
        InvalidRequest: A pair has two different judgements.
    """
    first: dict[tuple[str, str], Judgement] = {}
    for row in rows:
        other = first.setdefault((row.query_id, row.document), row)
        if other.relevance != row.relevance:
            raise bad(
                row.place,
                f"it gives '{row.document}' relevance {row.relevance} for the same query for "
                f"which {other.place} gives it {other.relevance}; keep one of the two",
            )
    return list(first.values())


def _why_nothing_is_left(asked: set[str], queries: Mapping[str, str]) -> str:
    if not asked:
        return "there is no judgement in it; each row names a query and a document that answers it"
    if not asked & set(queries):
        example = min(asked)
        return (
            f"no judged query is among the queries: the judgements speak of '{example}', for "
            f"one; are both files of the same set?"
        )
    return "no row has a relevance above 0, so no document would count as an answer"
