"""Work on several things at a time whose results come in order."""

import threading
from collections.abc import Iterator

import pytest

from unigeoseg.runtime.prefetch import in_order


@pytest.mark.parametrize("at_once", [1, 3])
def test_results_come_in_order_and_few_items_are_held(at_once):
    taken = []

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    given = []
    for square in in_order(lambda number: number**2, items(), at_once):
        given.append(square)
        assert len(taken) - len(given) < at_once
    assert given == [number**2 for number in range(10)]


def test_items_are_worked_on_at_a_time():
    together = threading.Barrier(3, timeout=20)
    assert [*in_order(lambda _: together.wait() >= 0, range(6), 3)] == [True] * 6


@pytest.mark.parametrize("at_once", [1, 3])
def test_the_first_failure_in_order_ends_it(at_once):
    def fail(number: int) -> int:
        if number in (2, 3):
            raise KeyError(number)
        return number

    found = in_order(fail, iter(range(100)), at_once)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(KeyError, match="2"):
        next(found)
