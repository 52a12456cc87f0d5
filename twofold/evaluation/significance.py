"""Whether a difference is more than chance, and how many queries it would take to know.

Everything is paired: two systems answer the same queries, and it is the differences per query
that are judged. Smucker, Allan and Carterette, "A comparison of statistical significance tests
for information retrieval evaluation", CIKM 2007, find the randomisation test and the bootstrap in
agreement and the sign and Wilcoxon tests unfit.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SAMPLES = 10_000
LEVEL = 0.05
"""Below which chance is ruled out; intervals hold 1 - LEVEL."""
POWER = 0.8
"""Of finding a difference that is there, where queries are counted."""

_EXACT = 13
"""Queries up to which every assignment of signs is tried: no more than SAMPLES."""
_BLOCK = 500  # samples at once, so that memory stays small


class Comparison(NamedTuple):
    """A second system against a first one.

    Attributes:
        difference: Mean over the queries.
        low: Of the 95 % confidence interval, by the bootstrap.
        high: As `low`.
        p: Two-sided, of the randomisation test.
    """

    difference: float
    low: float
    high: float
    p: float


def compare(second: Sequence[float], first: Sequence[float], *, seed: int = 0) -> Comparison:
    """Compare two systems by what each query got, in the same order of queries."""
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    low, high = bootstrap(differences, seed=seed)
    return Comparison(float(differences.mean()), low, high, randomisation(differences, seed=seed))


def randomisation(differences: NDArray[np.float64], *, seed: int = 0) -> float:
    """How often chance alone gives a mean as far from 0 as this one.

    If both systems are alike, either could have got either value, so that each difference could
    have the other sign (Fisher, "The Design of Experiments", 1935). With few queries every
    assignment of signs is tried; else SAMPLES are drawn, and the observed one counts as one of
    them (Phipson and Smyth, "Permutation p-values should never be zero", 2010).
    """
    observed = abs(float(differences.sum())) - 1e-12
    if len(differences) <= _EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=len(differences))))
        return float(np.mean(np.abs(signs @ differences) >= observed))
    rng = np.random.default_rng(seed)
    extreme = 0
    for count in _blocks():
        signs = rng.integers(0, 2, size=(count, len(differences))) * 2.0 - 1.0
        extreme += int(np.count_nonzero(np.abs(signs @ differences) >= observed))
    return (extreme + 1) / (SAMPLES + 1)


def bootstrap(
    differences: NDArray[np.float64] | Sequence[float], *, seed: int = 0
) -> tuple[float, float]:
    """The interval that holds the mean in 95 of 100 such sets of queries.

    The percentiles of the means of SAMPLES sets that are drawn from the queries with replacement
    (Efron, 1979; Sakai, "Evaluating evaluation metrics based on the bootstrap", SIGIR 2006).
    """
    rng = np.random.default_rng(seed)
    known, size = np.asarray(differences, dtype=np.float64), len(differences)
    means = np.concatenate(
        [known[rng.integers(0, size, (count, size))].mean(axis=1) for count in _blocks()]
    )
    low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def queries_needed(second: Sequence[float], first: Sequence[float], difference: float) -> int:
    """How many queries like these would tell a difference of this size from none.

    ((z_(1 - LEVEL / 2) + z_POWER) * deviation / difference)^2, the normal approximation of the
    paired t-test (Sakai, "Topic set size design", Information Retrieval Journal 19, 2016).
    """
    differences = [one - other for one, other in zip(second, first, strict=True)]
    if len(differences) < 2 or difference == 0.0:
        return 0
    normal = statistics.NormalDist()
    z = normal.inv_cdf(1 - LEVEL / 2) + normal.inv_cdf(POWER)
    return math.ceil((z * statistics.stdev(differences) / difference) ** 2)


def _blocks() -> Iterator[int]:
    yield from [_BLOCK] * (SAMPLES // _BLOCK)
