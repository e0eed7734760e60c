"""Work on several things at a time whose results come in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(function: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    """Results of a function for all items, in order; no more than `at_once` items are held.

    Args:
        function: Called in threads, or, one at a time, in this one.
        items: Taken from this thread.
        at_once: Items at a time; more than one is for functions that wait for something.

    Raises:
        Exception: What the function raised first, in the order of the items. Items that are
            under way then go on: close what they wait for.
    """
    if at_once == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(at_once)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
