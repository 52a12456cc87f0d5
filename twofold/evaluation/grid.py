"""Every way to search that could be chosen, and what each query would get by each.

All of it is computed from the candidates of one search a query with the longest lists, scored to
the greatest depth: a grid of hundreds of choices costs no more searches than one.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from twofold.evaluation import replay
from twofold.evaluation.observe import Observation, Passage
from twofold.evaluation.replay import Mix
from twofold.schema import Method, RecallFusion

LIMITS = (20, 50, 100)
FUSIONS: tuple[RecallFusion, ...] = ("weighted", "rrf", "dbsf")
DEPTHS = (5, 10, 20, 30, 50, 100)
WEIGHTS = tuple(round(tenth / 10, 1) for tenth in range(1, 11))
CUT = 10


class Choice(NamedTuple):
    """What `twofold tune` chooses.

    Attributes:
        limit: Length of each list of the first stage.
        fusion: Of those lists.
        depth: Candidates of the second stage; 0: there is none.
        weight: Of the second stage; 0.0 without one.
    """

    limit: int
    fusion: RecallFusion
    depth: int
    weight: float

    @classmethod
    def default(cls, method: Method, depth: int) -> "Choice":
        """What the server does by itself."""
        weight = method.weight if depth else 0.0
        return cls(method.recall_limit, method.recall_fusion, depth, weight)


Table: TypeAlias = Mapping[Choice, list[float]]
"""nDCG@10 of each query, always in the same order, by choice."""


def choices(default: Choice, *, limits: Sequence[int], depths: Sequence[int]) -> list[Choice]:
    """The whole grid, in which the default is."""
    weights = sorted({*WEIGHTS, default.weight} - {0.0})
    grid = [
        Choice(limit, fusion, depth, weight)
        for limit in limits
        for fusion in FUSIONS
        for depth in (0, *depths)
        for weight in (weights if depth else [0.0])
    ]
    return grid if default in grid else [*grid, default]


def scores(
    observations: Sequence[Observation],
    relevant: Mapping[str, Mapping[str, int]],
    grid: Sequence[Choice],
    advance: Callable[[], object] = lambda: None,
) -> Table:
    """What each query would get by each choice.

    Args:
        observations: With the longest lists and scores to the greatest depth of the grid.
        relevant: By query, the documents that answer.
        grid: The choices.
        advance: Called after each query.
    """
    table: dict[Choice, list[float]] = {choice: [] for choice in grid}
    for observation in observations:
        for choice, score in _of_query(observation, relevant[observation.query_id], grid):
            table[choice].append(score)
        advance()
    return table


def ndcg(documents: Sequence[str], relevant: Mapping[str, int]) -> float:
    """nDCG@10 with the relevance as gain (Järvelin and Kekäläinen, TOIS 2002), as trec_eval has it.

    A test holds it against ir-measures, which is too slow to be asked a million times.
    """
    gains = (relevant.get(document, 0) for document in documents[:CUT])
    ideal = sorted(relevant.values(), reverse=True)[:CUT]
    return _discounted(gains) / _discounted(iter(ideal))


def _of_query(
    observation: Observation, relevant: Mapping[str, int], grid: Sequence[Choice]
) -> Iterator[tuple[Choice, float]]:
    method = observation.method
    orders: dict[tuple[int, RecallFusion], list[Passage]] = {}
    for choice in grid:
        key = choice.limit, choice.fusion
        if key not in orders:
            orders[key] = replay.recalled(
                observation.passages,
                limit=choice.limit,
                fusion=choice.fusion,
                trust=method.trust,
            )
        ranked = orders[key]
        if choice.depth:
            mix = Mix(choice.weight, method.calibrated)
            ranked = replay.fused(ranked, depth=choice.depth, mix=mix)
        yield choice, ndcg(_first_documents(ranked), relevant)


def _first_documents(ranked: Sequence[Passage]) -> list[str]:
    """As many as are measured."""
    found: dict[str, None] = {}
    for passage in ranked:
        found[passage.document_id] = None
        if len(found) == CUT:
            break
    return list(found)


def _discounted(gains: Iterator[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
