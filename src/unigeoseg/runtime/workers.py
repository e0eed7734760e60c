"""Parallel map over units of work: in this process, in processes of this machine, or on Ray.

Results are the same on every engine; only their order differs.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Literal, TypeVar, get_args

from unigeoseg.errors import OptionError
from unigeoseg.runtime.ray_cluster import check_cluster, join_cluster, worker_died

Engine = Literal["local", "ray"]
T = TypeVar("T")
R = TypeVar("R")

_WAITING = 2  # units per worker that are handed out at a time


def check_workers(engine: Engine, workers: int) -> None:
    """Check what `run_units` is given, before anything is done.

    Raises:
        OptionError: If `workers` is below 1, the engine is unknown, or no cluster answers.
        MissingExtraError: If Ray is not installed.
    """
    if workers < 1:
        raise OptionError(f"workers must be >= 1, got {workers}")
    if engine not in get_args(Engine):
        raise OptionError(f"the engine is {engine!r}, expected local or ray")
    if engine == "ray":
        check_cluster()


def run_units(
    work: Callable[[T], R], units: Sequence[T], *, engine: Engine, workers: int
) -> Iterator[R]:
    """Results of a function for all units, as they are done.

    Args:
        work: Does one unit; picklable.
        units: What is to be done.
        engine: "local", or "ray": the cluster that RAY_ADDRESS names, which has to see the same
            directories, or one of this machine's own.
        workers: How many at a time; 1 on "local" is a plain loop in this process.

    Raises:
        OptionError: If a worker died or the cluster broke off; else as `check_workers`.
    """
    check_workers(engine, workers)
    if engine == "ray":
        return _ray(work, units, workers)
    return map_in_processes(work, units, workers) if workers > 1 else map(work, units)


def map_in_processes(work: Callable[[T], R], units: Sequence[T], workers: int) -> Iterator[R]:
    """Results of a picklable function for all units, as they are done, by new processes.

    Raises:
        OptionError: If a worker died.
    """
    # Spawned, not forked: threads of numerical libraries do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=die_with_parent) as pool:
        queue = iter(units)
        running = {pool.submit(work, unit) for unit in islice(queue, _WAITING * workers)}
        try:
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(work, unit) for unit in islice(queue, len(finished))}
                yield from (future.result() for future in finished)
        except BrokenProcessPool as error:
            raise worker_died(workers) from error
        finally:
            pool.shutdown(cancel_futures=True)


def die_with_parent() -> None:
    """End this worker when the process that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _ray(work: Callable[[T], R], units: Sequence[T], workers: int) -> Iterator[R]:
    with join_cluster(workers) as ray:
        remote, shared = ray.remote(_apply), ray.put(work)
        queue = iter(units)
        running = [remote.remote(shared, unit) for unit in islice(queue, _WAITING * workers)]
        while running:
            finished, running = ray.wait(running)
            running += [remote.remote(shared, unit) for unit in islice(queue, len(finished))]
            yield from ray.get(finished)


def _apply(work: Callable[[T], R], unit: T) -> R:
    return work(unit)
