"""The tests of significance against cases that are known, and the sentence that is made of them."""

import random

import numpy as np
import pytest

from twofold.evaluation.significance import bootstrap, compare, queries_needed, randomisation
from twofold.evaluation.verdict import absent, judge

RNG = random.Random(7)
FIRST = [RNG.random() for _ in range(200)]


def shifted(mean: float, deviation: float, count: int = 200) -> list[float]:
    rng = random.Random(11)
    return [value + rng.gauss(mean, deviation) for value in FIRST[:count]]


def test_few_queries_are_judged_by_every_assignment_of_signs():
    """Of 8 assignments, two give a sum as far from 0: all plus, all minus."""
    assert randomisation(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)
    # |±1 ±1 ±2| >= 2 in all but the four where 1 and 1 make up for each other or for 2 ... by hand:
    # sums 4, 2, 2, 0, 0, -2, -2, -4 for the eight, six of which are at least 2 from 0.
    assert randomisation(np.array([1.0, 1.0, 2.0]) * [1, -1, 1]) == pytest.approx(6 / 8)


def test_the_sampled_test_agrees_with_the_exact_one():
    differences = np.array([0.3, -0.1, 0.2, 0.4, -0.2, 0.1, 0.5, -0.3, 0.2, 0.1, 0.0, 0.3, -0.1])
    exact = randomisation(differences)
    # A difference of 0 changes no sum, so the same answer is asked for by samples.
    sampled = randomisation(np.append(differences, 0.0))
    assert sampled == pytest.approx(exact, abs=0.01)


def test_a_p_value_is_never_0_and_chance_is_found_to_be_chance():
    assert randomisation(np.full(200, 0.1)) == pytest.approx(1 / 10_001)
    assert randomisation(np.zeros(200)) == 1.0


def test_the_interval_holds_what_the_normal_approximation_says():
    differences = np.array(shifted(0.02, 0.1)) - FIRST
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    low, high = bootstrap(differences)
    assert low == pytest.approx(differences.mean() - 1.96 * error, abs=0.002)
    assert high == pytest.approx(differences.mean() + 1.96 * error, abs=0.002)


def test_the_same_seed_gives_the_same_figures():
    second = shifted(0.01, 0.1)
    assert compare(second, FIRST, seed=3) == compare(second, FIRST, seed=3)
    assert compare(second, FIRST, seed=3) != compare(second, FIRST, seed=4)


def test_the_queries_that_are_needed_are_those_of_the_formula():
    """((1.96 + 0.8416) * 1 / 0.5)^2 = 31.4; the deviation of -1, 0, 1 is 1."""
    assert queries_needed([-1.0, 0.0, 1.0], [0.0, 0.0, 0.0], 0.5) == 32


def test_a_difference_beyond_chance_helps_or_hurts():
    helped = judge(shifted(0.05, 0.1), FIRST, cost_ms=38.4)
    assert helped.kind == "helps"
    assert helped.sentence.startswith("Reranking helps: +.0")
    assert helped.sentence.endswith("p < .001, for 38 ms.")
    hurt = judge(shifted(-0.05, 0.1), FIRST, cost_ms=None)
    assert hurt.kind == "hurts"
    assert hurt.sentence.startswith("Reranking hurts: -.0")


def test_an_interval_around_0_that_is_narrow_is_no_help():
    found = judge(shifted(0.0, 0.01), FIRST, cost_ms=38)
    assert found.kind == "no difference"
    assert "does not help" in found.sentence


def test_a_wide_interval_cannot_tell_and_says_how_many_queries_would():
    found = judge(shifted(0.02, 0.2, count=12), FIRST[:12], cost_ms=38)
    assert found.kind == "cannot be told"
    assert "cannot be told with 12 queries" in found.sentence
    assert "would be needed to be sure of" in found.sentence


def test_without_a_second_stage_nothing_is_judged():
    assert absent().kind == "absent"
