"""The device's speed, learnt from what it did."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.rerank.speed import FIRST_BATCH_TOKENS, WINDOW, Speed

OVERHEAD_S = 0.004
PER_TOKEN_S = 2e-6


def line(tokens: int) -> float:
    return OVERHEAD_S + PER_TOKEN_S * tokens


def test_nothing_measured_predicts_no_time_and_allows_a_small_first_batch() -> None:
    speed = Speed()
    assert speed.seconds(1_000_000) == 0.0
    assert speed.tokens_within(1_000.0) == FIRST_BATCH_TOKENS
    assert speed.tokens_within(0.0) == 0.0


def test_one_batch_is_taken_as_proportional() -> None:
    speed = Speed()
    speed.observe(1_000, 0.5)
    assert speed.seconds(2_000) == pytest.approx(1.0)
    assert speed.tokens_within(0.25) == pytest.approx(500)


@given(
    st.lists(st.integers(1, 16_384), min_size=2, max_size=2 * WINDOW),
    st.floats(0.0, 1.0),
    st.floats(1e-7, 1e-2),
)
def test_batches_on_a_line_are_not_underestimated(
    sizes: list[int], overhead: float, per_token: float
) -> None:
    speed = Speed()
    for tokens in sizes:
        speed.observe(tokens, overhead + per_token * tokens)
    assert speed.seconds(sizes[-1]) >= 0.99 * (overhead + per_token * sizes[-1])
    assert speed.overhead_s >= 0.0
    assert speed.per_token_s >= 0.0


def test_overhead_and_slope_converge_under_noise() -> None:
    random.seed(1)
    speed = Speed()
    for _ in range(50):
        tokens = random.randint(100, 16_384)
        speed.observe(tokens, line(tokens) * random.lognormvariate(0.0, 0.05))
    assert speed.per_token_s == pytest.approx(PER_TOKEN_S, rel=0.1)
    assert speed.overhead_s == pytest.approx(OVERHEAD_S, rel=0.3)
    assert 1.0 <= speed.spread < 1.3


def test_batches_of_nearly_one_size_predict_their_own_size() -> None:
    random.seed(2)
    speed = Speed()
    for _ in range(50):
        tokens = random.randint(16_000, 16_384)
        speed.observe(tokens, line(tokens) * random.lognormvariate(0.0, 0.05))
    assert speed.seconds(16_384) / speed.spread == pytest.approx(line(16_384), rel=0.1)
    assert speed.seconds(1_000) < line(16_384) / 4


def test_a_cold_start_and_a_stall_do_not_move_the_line() -> None:
    speed = Speed()
    speed.observe(512, 5.0)
    for size in range(1_000, 9_000, 1_000):
        speed.observe(size, line(size))
    speed.observe(4_000, 3.0)
    assert speed.overhead_s == pytest.approx(OVERHEAD_S, rel=0.01)
    assert speed.per_token_s == pytest.approx(PER_TOKEN_S, rel=0.01)


def test_a_device_that_became_slower_is_known_within_a_window() -> None:
    speed = Speed()
    for factor in (1.0, 3.0):
        for size in range(1_000, 1_000 * (WINDOW + 1), 1_000):
            speed.observe(size, factor * line(size))
    assert speed.seconds(8_000) == pytest.approx(3.0 * line(8_000), rel=0.01)


def test_spread_makes_predictions_hold_nine_times_in_ten() -> None:
    random.seed(3)
    speed, held = Speed(), 0
    for _ in range(1_000):
        tokens = random.randint(100, 16_384)
        seconds = line(tokens) * random.lognormvariate(0.0, 0.2)
        held += seconds <= speed.seconds(tokens)
        speed.observe(tokens, seconds)
    assert held > 820


def test_tokens_within_is_the_inverse_of_seconds() -> None:
    speed = Speed()
    for size in (100, 1_000, 10_000, 3_000):
        speed.observe(size, line(size))
    assert speed.tokens_within(speed.seconds(5_000)) == pytest.approx(5_000)
    assert speed.tokens_within(OVERHEAD_S / 2) == 0.0
    assert speed.tokens_during(speed.seconds(5_000)) > 5_000


def test_several_batches_pay_the_overhead_several_times() -> None:
    speed = Speed()
    for size in (100, 1_000, 10_000, 3_000):
        speed.observe(size, line(size))
    assert speed.seconds(10_000, batches=10) == pytest.approx(
        10 * OVERHEAD_S + PER_TOKEN_S * 10_000
    )


def test_a_device_that_takes_no_time_takes_any_batch() -> None:
    speed = Speed()
    speed.observe(1_000, 0.0)
    assert math.isinf(speed.tokens_within(0.001))
