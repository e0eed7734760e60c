import pytest
from hypothesis import given
from hypothesis import strategies as st
from talker import Time

from unigeoseg.data.vlm.rate_limiter import RateLimiter


def limiter_at(time: Time, requests: int | None, tokens: int | None) -> RateLimiter:
    return RateLimiter(requests, tokens, time.waiting())


@pytest.mark.parametrize(("requests", "tokens"), [(3, None), (None, 300)])
def test_no_more_than_allowed_in_any_minute(requests, tokens):
    time = Time()
    pace = limiter_at(time, requests, tokens)
    starts = []
    for _ in range(7):
        pace.take(100)
        starts.append(time.now_s)
        time.now_s += 1
    assert starts == [0, 1, 2, 60, 61, 62, 120]


def test_without_caps_nothing_waits():
    time = Time()
    pace = limiter_at(time, None, None)
    for _ in range(100):
        pace.take(10**9)
    assert time.slept == []


def test_a_settled_turn_makes_room():
    time = Time()
    pace = limiter_at(time, None, 1000)
    turn = pace.take(900)
    pace.settle(turn, 100)
    pace.take(900)
    assert time.slept == []
    pace.take(1)
    assert time.slept == [60.0]


def test_a_request_beyond_the_allowance_goes_alone():
    time = Time()
    pace = limiter_at(time, None, 1000)
    pace.take(10)
    pace.take(5000)
    pace.take(10)
    assert time.slept == [60.0, 60.0]


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 60)), max_size=40),
    st.integers(1, 5),
    st.integers(60, 200),
)
def test_every_window_keeps_both_caps(steps, requests, tokens):
    time = Time()
    pace = limiter_at(time, requests, tokens)
    sent = []
    for gap, need in steps:
        time.now_s += gap
        pace.take(need)
        sent.append((time.now_s, need))
    for at, _ in sent:
        window = [need for other, need in sent if at <= other < at + 59.999]
        assert len(window) <= requests
        assert sum(window) <= tokens
