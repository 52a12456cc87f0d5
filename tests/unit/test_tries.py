"""When a call is tried again: how long it pauses, and when it gives up."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.errors import ConnectionFailed, TooManyRequests, Unavailable
from twofold.tries import LONGEST_PAUSE_S, Tries, polls

REFUSED = httpx.ConnectError("refused")


def tries(*, retries: int = 3, backoff_s: float = 1.0, timeout_s: float = 1_000.0) -> Tries:
    return Tries("http://server", retries=retries, backoff_s=backoff_s, timeout_s=timeout_s)


@given(st.integers(0, 20))
def test_pauses_double_from_try_to_try_up_to_a_limit(number):
    attempts = tries(retries=number)
    pauses = [attempts.pause_after(REFUSED) for _ in range(number)]
    for retry, pause in enumerate(pauses):
        longest = min(2.0**retry, LONGEST_PAUSE_S)
        assert longest / 2 <= pause <= longest
    with pytest.raises(ConnectionFailed, match=r"http://server \(refused\)"):
        attempts.pause_after(REFUSED)


def test_many_clients_do_not_come_back_at_the_same_moment():
    assert len({tries().pause_after(REFUSED) for _ in range(100)}) > 50


def test_a_pause_is_never_shorter_than_the_server_asks_for():
    busy = TooManyRequests(reason="full", seconds=7, retry_after=7.0)
    assert tries().pause_after(busy) == 7.0


def test_a_pause_that_would_end_after_the_deadline_is_not_begun():
    busy = Unavailable(what="store", reason="full", seconds=7, retry_after=7.0)
    with pytest.raises(Unavailable) as caught:
        tries(timeout_s=5.0).pause_after(busy)
    assert caught.value is busy
    with pytest.raises(ConnectionFailed):
        tries(timeout_s=0.1).pause_after(REFUSED)


def test_what_a_try_may_take_is_never_nothing():
    assert 0 < tries(timeout_s=-1).remaining_s < 0.01


@given(st.floats(max_value=0.0))
def test_without_time_there_is_one_look_and_no_pause(timeout_s):
    assert list(polls(timeout_s)) == []
