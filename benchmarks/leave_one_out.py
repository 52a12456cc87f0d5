"""Which formula would the other collections have chosen? Pure.

A weight that was chosen on the collections that it is then judged by flatters itself. So each
family of collections is held out in turn, the formula is chosen by the mean over the others, and
judged on what was held out. Languages of one text are one family: they would vouch for each other.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Self, TypeAlias

import numpy as np
from ir_measures import ScoredDoc
from numpy.typing import NDArray

from pipelines import fuse
from pipelines.ports import RerankProfile
from twofold.schema import Fusion, Result, Trust

Floats: TypeAlias = NDArray[np.float64]
Row: TypeAlias = dict[str, Any]
"""What was measured of a collection: nDCG by stage, `grid` by the formulas of `GRID`."""


@dataclass(frozen=True)
class Formula:
    """One way to put three scores together."""

    trust: Trust
    rerank: float

    def __str__(self) -> str:
        trust = self.trust
        return (
            f"contrast(dense)^{trust.dense:g}, {trust.sparse_weight:g} contrast(bm25)"
            f"^{trust.sparse:g}, second stage {self.rerank:g}"
        )


GRID = [
    Formula(Trust(dense=dense, sparse=sparse, sparse_weight=weight), rerank)
    for (dense, sparse, weights), rerank in itertools.product(
        (
            (0, 0, (0.3, 0.65, 1.0)),
            (1, 1, (0.35, 0.5, 0.7)),
            (1, 3, (0.7, 1.0, 1.4)),
            (1.5, 4, (0.7, 1.0, 1.2)),
            (2, 2, (0.2, 0.3, 0.5)),
            (2, 4, (0.5, 0.7, 1.0, 1.4)),
            (2, 4.5, (0.7, 1.0, 1.2)),
            (2, 5, (0.7, 1.0, 1.4)),
            (2, 6, (0.7, 1.0, 1.4)),
        ),
        (0.4, 0.5, 0.6),
    )
    for weight in weights
]


@dataclass(frozen=True)
class Found:
    """What both stages said of the candidates of one question; NaN where they said nothing."""

    query_id: str
    names: list[str]
    dense: Floats
    sparse: Floats
    rerank: Floats

    @classmethod
    def of(cls, query_id: str, results: Sequence[Result]) -> Self:
        """In the order of chunk ids, so that no order of the service's own breaks a tie."""
        results = sorted(results, key=lambda result: result.chunk_id)
        return cls(
            query_id,
            [result.name for result in results],
            _column([result.scores.dense for result in results]),
            _column([result.scores.sparse for result in results]),
            _column([result.scores.rerank for result in results]),
        )

    def ranked(self, scores: Floats) -> list[ScoredDoc]:
        """The documents by these scores; a candidate without one is in no place."""
        order = np.argsort(-scores.round(fuse.DECIMALS), kind="stable")
        return documents(
            self.query_id, [self.names[at] for at in order if not np.isnan(scores[at])]
        )


def by_stage(found: Sequence[Found], depth: int) -> dict[str, list[ScoredDoc]]:
    """The runs of the single lists, of both, and of the second stage alone on their head."""
    runs: dict[str, list[ScoredDoc]] = {}
    for each in found:
        recall = fuse.recall_scores(each.dense, each.sparse)
        stages = {
            "BM25": each.sparse,
            "dense": each.dense,
            "RRF": fuse.reciprocal_ranks(each.dense) + fuse.reciprocal_ranks(each.sparse),
            "recall": recall,
            "rerank": _both(each, recall, depth, weight=1.0),
        }
        for stage, scores in stages.items():
            runs.setdefault(stage, []).extend(each.ranked(scores))
    return runs


def fused_by(found: Sequence[Found], formula: Formula, depth: int) -> list[ScoredDoc]:
    """The run of both stages under a formula."""
    run: list[ScoredDoc] = []
    for each in found:
        recall = fuse.recall_scores(each.dense, each.sparse, trust=formula.trust)
        run += each.ranked(_both(each, recall, depth, weight=formula.rerank))
    return run


def documents(query_id: str, names: Sequence[str]) -> list[ScoredDoc]:
    """The documents of a ranking of passages, each at its best passage."""
    order = dict.fromkeys(names)
    return [ScoredDoc(query_id, name, -float(rank)) for rank, name in enumerate(order)]


def family(name: str) -> str:
    """What is held out together."""
    collection, _, language = name.partition("/")
    return f"{collection} across languages" if ":" in language else collection


def held_out(rows: Mapping[str, Row]) -> dict[str, tuple[Formula, dict[str, float]]]:
    """By family: the formula that all others choose, and what it gives on each of its members."""
    families: dict[str, list[str]] = {}
    for name in rows:
        families.setdefault(family(name), []).append(name)
    means = {
        each: np.mean([rows[name]["grid"] for name in names], axis=0)
        for each, names in families.items()
    }
    chosen = {}
    for each, names in families.items():
        others = [figures for other, figures in means.items() if other != each]
        if others:
            best = int(np.argmax(np.mean(others, axis=0)))
            chosen[each] = GRID[best], {name: rows[name]["grid"][best] for name in names}
    return chosen


def tables(rows: Mapping[str, Row], stages: Sequence[str]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "# How well each stage ranks\n"
    yield "nDCG@10; made by `make bench-quality`, with everything else in `quality.json`.\n"
    yield _line("collection", "passages", "questions", *stages, "beside RRF", "beside the best")
    yield _line(*["---"] * (len(stages) + 5))
    for name, row in rows.items():
        best = max(row["BM25"], row["dense"])
        figures = [f"{row[stage]:.3f}" for stage in stages]
        gains = [f"{row['fused'] - other:+.3f}" for other in (row["RRF"], best)]
        asked, judged = row["queries"], row["judged"]
        questions = asked if asked == judged else f"{asked} of {judged}"
        yield _line(name, row["passages"], questions, *figures, *gains)
    yield "\n`beside the best` is the better one of BM25 and dense vectors alone.\n"
    yield "## Held out\n"
    yield "The formula that the other families of collections choose, on the one held out.\n"
    yield _line("held out", "chosen by the others", "held out", "default")
    yield _line(*["---"] * 4)
    for each, (formula, figures) in held_out(rows).items():
        default = mean(rows[name]["fused"] for name in figures)
        yield _line(each, formula, f"{mean(figures.values()):.3f}", f"{default:.3f}")
    yield ""


def _both(found: Found, recall: Floats, depth: int, *, weight: float) -> Floats:
    """Scores of both stages where the second sees the first `depth` of the recall order."""
    order = np.argsort(-recall.round(fuse.DECIMALS), kind="stable")
    rerank = np.full(len(recall), np.nan)
    rerank[order[:depth]] = found.rerank[order[:depth]]
    profile = RerankProfile(depth, weight, calibrated=True)
    scores = fuse.fused_scores(recall, rerank, profile=profile, fusion=Fusion())
    return np.where(np.isnan(rerank), recall - 1.0, scores)  # what was not scored comes after


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _column(scores: Sequence[float | None]) -> Floats:
    return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)
