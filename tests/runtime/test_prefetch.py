"""Work on several things at a time whose results come in order."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from unigeoseg.runtime.prefetch import prefetch


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("own_pool", [False, True])
def test_results_come_in_order_and_few_items_are_held(ahead, own_pool):
    taken = []

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(1) as pool:
        used = []
        squares = prefetch(
            lambda number: number**2, items(), ahead=ahead, pool=pool if own_pool else None
        )
        for square in squares:
            used.append(square)
            assert len(taken) - len(used) <= ahead
        assert used == [number**2 for number in range(10)]


def test_items_are_worked_on_at_a_time():
    together = threading.Barrier(3, timeout=20)
    results = prefetch(lambda _: together.wait() >= 0, range(6), ahead=2)
    assert [*results] == [True] * 6


def test_nothing_ahead_is_done_in_this_thread():
    threads = prefetch(lambda _: threading.current_thread(), range(2), ahead=0)
    assert {*threads} == {threading.current_thread()}


@pytest.mark.parametrize("ahead", [0, 2])
def test_the_first_failure_in_order_ends_it(ahead):
    def fail(number: int) -> int:
        if number in (2, 3):
            raise KeyError(number)
        return number

    results = prefetch(fail, iter(range(100)), ahead=ahead)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError, match="2"):
        next(results)


def test_what_is_not_begun_when_it_is_closed_is_dropped_and_the_pool_goes_on():
    begun, go_on = [], threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number:
            go_on.wait(20)
        return number

    with ThreadPoolExecutor(1) as pool:
        results = prefetch(work, range(9), ahead=5, pool=pool)
        assert next(results) == 0
        results.close()
        go_on.set()
        assert pool.submit(lambda: "still there").result() == "still there"
    assert begun in ([0], [0, 1])


def test_waiting_is_entered_for_every_result_and_left_before_it_is_used():
    waits, inside = [], threading.Event()

    @contextmanager
    def waiting() -> Iterator[None]:
        waits.append(1)
        inside.set()
        yield
        inside.clear()

    for _ in prefetch(abs, range(4), ahead=1, waiting=waiting):
        assert not inside.is_set()
    assert len(waits) == 4
