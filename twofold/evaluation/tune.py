"""Choose depth, weight and lists for a time budget, and say honestly whether it was worth it.

The best of hundreds of choices on some queries looks better than it is: it was chosen because it
fits them. So the queries are divided; each part is answered by what is best on the others, and
only that counts (k-fold cross-validation; Stone, Journal of the Royal Statistical Society B 36,
1974). The default is kept unless what was chosen so beats it beyond chance.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal, TypeAlias

from twofold.errors import InvalidRequest
from twofold.evaluation.grid import Choice, Table
from twofold.evaluation.latency import first_stage_ms, percentile, second_stage_ms
from twofold.evaluation.observe import Timed
from twofold.evaluation.significance import LEVEL, Comparison, compare
from twofold.evaluation.verdict import WORTH
from twofold.evaluation.wording import chance, decimal, interval, signed

FOLDS = 5
TIE = 0.0005
"""Choices whose means are nearer than this are equal: the one that changes least is taken."""

Decision: TypeAlias = Literal["tuned", "default", "without"]


@dataclass(frozen=True)
class Costs:
    """What a search takes with a choice, at a percentile, out of what was measured of its parts.

    Attributes:
        first: Milliseconds of the first stage, by the length of its lists.
        second: Milliseconds of the second stage, by depth.
        percent: At which a search has to keep the budget.
    """

    first: Mapping[int, Sequence[float]]
    second: Mapping[int, Sequence[float]]
    percent: float

    @classmethod
    def of(cls, timed: Iterable[Timed], percent: float) -> "Costs":
        """From searches that the server had not seen before."""
        first: dict[int, list[float]] = {}
        second: dict[int, list[float]] = {}
        for each in timed:
            first.setdefault(each.limit, []).append(first_stage_ms(each))
            if each.depth:
                second.setdefault(each.depth, []).append(second_stage_ms(each))
        return cls(first, second, percent)

    def __call__(self, choice: Choice) -> float | None:
        """Milliseconds; None where a part was never measured.

        The stages wait for each other and not for the same thing, so every time of the one may
        meet every time of the other.
        """
        key = choice.limit, choice.depth
        if key not in self._known:
            firsts, seconds = self.first.get(key[0], ()), self.second.get(key[1], ())
            if not choice.depth:
                seconds = (0.0,)
            sums = [one + other for one, other in product(firsts, seconds)]
            self._known[key] = percentile(sums, self.percent) if sums else None
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[int, int], float | None]:
        return {}


@dataclass(frozen=True)
class Tuning:
    """What was chosen, and what it is worth on queries that did not choose it.

    Attributes:
        decision: `tuned`: the choice beats the default, or the default does not fit the budget;
            `default`: it is as good; `without`: the second stage does not help.
        chosen: What is recommended.
        sentence: The same for people.
        tuned: Best choice on all queries.
        against_default: Choices on held-out queries against the default.
        reranking: Choices with a second stage on held-out queries against those without; None
            where none fits the budget.
        held_out: Mean nDCG@10 of the choices on held-out queries.
        default_score: Mean nDCG@10 of the default.
        folds: The best choice of each part of the cross-validation.
    """

    decision: Decision
    chosen: Choice
    sentence: str
    default: Choice
    tuned: Choice
    against_default: Comparison
    reranking: Comparison | None
    held_out: float
    default_score: float
    folds: list[Choice]


def tune(table: Table, costs: Costs, default: Choice, *, budget_ms: float, seed: int = 0) -> Tuning:
    """Choose for a budget.

    Args:
        table: What each query would get by each choice.
        costs: What each choice takes.
        default: What the server does by itself; it is in the table.
        budget_ms: What a search may take.
        seed: Of the parts of the cross-validation and of the tests.

    Raises:
        InvalidRequest: Nothing fits the budget, or there are too few queries to divide.
    """
    size = len(table[default])
    if size < 2 * FOLDS:
        raise InvalidRequest(
            field="SOURCE",
            reason=f"{size} queries cannot be divided into {FOLDS} parts to learn from and to "
            f"judge by; tuning needs {2 * FOLDS} at least, and 100 to tell anything",
        )
    fitting = _fitting(table, costs, budget_ms)
    search = _Search(table, costs, default, parts_of(size, seed))
    every = range(size)
    held_out, folds = search.held_out(fitting)
    base = table[default]
    without = [choice for choice in fitting if not choice.depth]
    with_ = [choice for choice in fitting if choice.depth]
    reranking = None
    if with_ and without:
        alone, _ = search.held_out(without)
        reranking = compare(search.held_out(with_)[0], alone, seed=seed)
    against = compare(held_out, base, seed=seed)
    tuned = search.best(fitting, every)
    decision = _decide(against, reranking, default_fits=default in fitting)
    chosen = {
        "tuned": tuned,
        "default": default,
        "without": search.best(without, every) if without else tuned,
    }[decision]
    return Tuning(
        decision=decision,
        chosen=chosen,
        sentence=_sentence(decision, against, reranking, default_fits=default in fitting),
        default=default,
        tuned=tuned,
        against_default=against,
        reranking=reranking,
        held_out=sum(held_out) / size,
        default_score=sum(base) / size,
        folds=folds,
    )


@dataclass(frozen=True)
class _Search:
    """Finds what is best on some queries."""

    table: Table
    costs: Costs
    default: Choice
    parts: Sequence[Sequence[int]]

    def best(self, among: Sequence[Choice], queries: Sequence[int]) -> Choice:
        """The best mean; of equal ones the one nearest to the default, and then the fastest."""
        means = {
            choice: sum(self.table[choice][query] for query in queries) / len(queries)
            for choice in among
        }
        top = max(means.values())
        near = [choice for choice, mean in means.items() if mean >= top - TIE]
        return min(
            near,
            key=lambda choice: (
                sum(mine != its for mine, its in zip(choice, self.default, strict=True)),
                self.costs(choice) or 0.0,
                -means[choice],
                choice,
            ),
        )

    def held_out(self, among: Sequence[Choice]) -> tuple[list[float], list[Choice]]:
        """What each query gets by what is best on the other parts, and those choices."""
        scores = [0.0] * sum(map(len, self.parts))
        folds = []
        for part in self.parts:
            others = [query for other in self.parts if other is not part for query in other]
            choice = self.best(among, others)
            folds.append(choice)
            for query in part:
                scores[query] = self.table[choice][query]
        return scores, folds


def parts_of(size: int, seed: int) -> list[list[int]]:
    """Numbers of the queries, divided by chance into FOLDS parts."""
    queries = list(range(size))
    random.Random(seed).shuffle(queries)  # noqa: S311 - nothing is secret about it
    return [queries[start::FOLDS] for start in range(FOLDS)]


def _fitting(table: Table, costs: Costs, budget_ms: float) -> list[Choice]:
    known = {choice: cost for choice in table if (cost := costs(choice)) is not None}
    if not known:
        raise InvalidRequest(
            field="SOURCE",
            reason="no time could be measured, because the server remembers these searches from "
            "before; it forgets them after ten minutes, or when it is started again",
        )
    fitting = [choice for choice, cost in known.items() if cost <= budget_ms]
    if not fitting:
        raise InvalidRequest(
            field="--budget-ms",
            reason=f"the fastest search takes {min(known.values()):.0f} ms at this percentile "
            f"(--percentile {costs.percent:g}), so nothing fits {budget_ms:g}",
        )
    return fitting


def _decide(against: Comparison, reranking: Comparison | None, *, default_fits: bool) -> Decision:
    if reranking is not None and _is_no_help(reranking):
        return "without"
    if not default_fits:
        return "tuned"
    better = against.p < LEVEL and against.difference > 0
    return "tuned" if better else "default"


def _is_no_help(reranking: Comparison) -> bool:
    """Whether it finds no more than the first stage, or so little that nobody would notice."""
    return reranking.difference <= 0 or reranking.high < WORTH


def _sentence(
    decision: Decision,
    against: Comparison,
    reranking: Comparison | None,
    *,
    default_fits: bool,
) -> str:
    """What was decided and why, with figures of queries that did not choose."""
    if decision == "without" and reranking is not None:
        return (
            f"Reranking does not help here: {_figures(reranking)} on held-out queries against the "
            "best first stage alone. It is left out."
        )
    change = f"{_figures(against)} on held-out queries"
    if decision == "default":
        return f"The default is as good: what was chosen instead gives {change}. It is kept."
    if not default_fits:
        why = " No reranking fits it." if reranking is None else ""
        return f"The default does not fit the budget.{why} What does gives {change} against it."
    return f"Tuning helps: {change} against the default."


def _figures(found: Comparison) -> str:
    return (
        f"{signed(found.difference)} nDCG@10 {interval(found.low, found.high)}, {chance(found.p)}"
    )


def described(choice: Choice) -> str:
    """A choice for people."""
    lists = f"lists of {choice.limit}, {choice.fusion}"
    if not choice.depth:
        return f"{lists}; no reranking"
    return f"{lists}; {choice.depth} reranked, weight {decimal(choice.weight)}"
