"""The memory for token states holds what was used last, within its bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.models.state_cache import StateCache, States


def states(tokens: int) -> States:
    return States(np.ones((tokens, 10), dtype=np.int8), truncated=False)


SIZE = states(10).size


def test_a_byte_a_number_keeps_directions():
    rows = np.random.default_rng(7).normal(size=(50, 384)).astype(np.float32)
    kept = States.pack(rows, truncated=False).numbers.astype(np.float32)
    lengths = np.linalg.norm(kept, axis=1) * np.linalg.norm(rows, axis=1)
    assert ((kept * rows).sum(axis=1) / lengths).min() > 0.9999


def test_what_was_not_used_for_longest_goes_first():
    cache = StateCache(3 * SIZE)
    for key in (b"a", b"b", b"c"):
        cache.put(key, states(10))
    assert cache.get(b"a") is not None
    cache.put(b"d", states(10))
    assert cache.get(b"b") is None
    assert all(cache.get(key) is not None for key in (b"a", b"c", b"d"))


def test_what_is_larger_than_the_memory_is_not_kept_and_drives_nothing_out():
    cache = StateCache(2 * SIZE)
    cache.put(b"a", states(10))
    cache.put(b"b", states(1_000))
    assert cache.get(b"b") is None
    assert cache.get(b"a") is not None


def test_the_same_key_again_replaces():
    cache = StateCache(10 * SIZE)
    cache.put(b"a", states(10))
    cache.put(b"a", states(20))
    assert cache.size == states(20).size


@pytest.mark.parametrize("limit", [0, SIZE, 5 * SIZE])
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40))))
def test_the_bound_holds_whatever_comes(limit, puts):
    cache = StateCache(limit)
    for key, tokens in puts:
        cache.put(bytes([key]), states(tokens))
        assert cache.size <= limit
    kept = [cache.get(bytes([key])) for key in range(6)]
    assert cache.size == sum(each.size for each in kept if each is not None)
