"""Prefetching: results are computed ahead of their use, in threads, and come in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    ahead: int,
    pool: Executor | None = None,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[R]:
    """Results of a function for all items, in their order, some computed ahead of their use.

    Args:
        function: Called in threads; without a pool and with nothing ahead, in this one.
        items: Taken from this thread; no more than `ahead` + 1 are in work or wait to be used.
        ahead: Results in work or waiting while one is used.
        pool: Its threads do the work, and its owner waits for what is still under way at the end;
            one thread keeps calls apart. None for `ahead` + 1 threads that are waited for only
            while results are taken: close what they wait for.
        waiting: Gives a context that is entered while a result is waited for, such as a clock.

    Raises:
        Exception: What the function raised first, in the order of the items. Those that are not
            yet begun are dropped then, and when the generator is closed.
    """
    if pool is None and ahead == 0:
        yield from map(function, items)
        return
    executor = pool or ThreadPoolExecutor(ahead + 1)
    pending: deque[Future[R]] = deque()

    def next_result() -> R:
        with waiting():
            return pending.popleft().result()

    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) > ahead:
                yield next_result()
        while pending:
            yield next_result()
    finally:
        for future in pending:
            future.cancel()
        if pool is None:
            executor.shutdown(wait=False)
