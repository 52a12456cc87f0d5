"""Where documents stood before and after the second stage, and whether that was right."""

from collections.abc import Iterator, Mapping, Sequence, Set

from pydantic import BaseModel

from twofold.evaluation.judgements import Run

OVERTAKERS = 3


class Moved(BaseModel):
    """A document that answers a query: its rank with the first stage and with both; null: none."""

    id: str
    name: str
    relevance: int
    before: int | None
    after: int | None


class Moves(BaseModel):
    """What the second stage did to the documents that it was given, over all queries.

    Attributes:
        depth: Passages that it was given of each query.
        documents: That these were of.
        moved: Those whose rank changed.
        right: Relevant documents that rose.
        wrong: Relevant documents that fell.

    What else moved is neutral: it made room, or nobody has judged it.
    """

    depth: int
    documents: int
    moved: int
    right: int
    wrong: int

    @property
    def neutral(self) -> int:
        """Moves of what is not known to answer."""
        return self.moved - self.right - self.wrong


def count_moves(
    before: Run,
    after: Run,
    heads: Mapping[str, Set[str]],
    relevant: Mapping[str, Mapping[str, int]],
    *,
    depth: int,
) -> Moves:
    """Count over all queries.

    Args:
        before: The order of the first stage.
        after: The order of both.
        heads: By query, the documents whose passages were scored.
        relevant: By query, the documents that answer.
        depth: As of `Moves`.
    """
    rises = [
        (document in relevant[query_id], gain)
        for query_id, head in heads.items()
        for document, gain in _rises(before[query_id], after[query_id], head)
    ]
    return Moves(
        depth=depth,
        documents=len(rises),
        moved=sum(gain != 0 for _, gain in rises),
        right=sum(gain > 0 for answers, gain in rises if answers),
        wrong=sum(gain < 0 for answers, gain in rises if answers),
    )


def moved(
    relevant: Mapping[str, int],
    before: Sequence[str],
    after: Sequence[str],
    names: Mapping[str, str],
) -> list[Moved]:
    """The documents that answer a query, the best first."""
    was, now = _ranks(before), _ranks(after)
    return [
        Moved(
            id=document,
            name=names.get(document, document),
            relevance=gain,
            before=was.get(document),
            after=now.get(document),
        )
        for document, gain in sorted(relevant.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def overtakers(
    relevant: Mapping[str, int], before: Sequence[str], after: Sequence[str]
) -> list[str]:
    """The first documents that stand above the best answer now and did not before."""
    best = next((document for document in before if document in relevant), None)
    if best is None or best not in after:
        return []
    above = set(before[: before.index(best)])
    passed = [document for document in after[: after.index(best)] if document not in above]
    return [document for document in passed if document not in relevant][:OVERTAKERS]


def _rises(
    before: Sequence[str], after: Sequence[str], head: Set[str]
) -> Iterator[tuple[str, int]]:
    was, now = _ranks(before), _ranks(after)
    for document in sorted(head):
        yield document, was[document] - now[document]


def _ranks(documents: Sequence[str]) -> dict[str, int]:
    return {document: rank for rank, document in enumerate(documents, 1)}
