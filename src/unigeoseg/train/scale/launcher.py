"""Launching of training processes on one machine, each with its share of the cores.

On a CPU several processes are faster than one: threads wait for each other at every layer,
processes once a step.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from typing import Any

import torch

from unigeoseg.errors import OptionError, UniGeoSegError
from unigeoseg.runtime.malloc import KEEP_FREED_MEMORY
from unigeoseg.runtime.workers import die_with_parent


class ProcessLauncher:
    """Calls a picklable function in several new processes, in the environment of `torchrun`.

    Args:
        count: Number of processes.
        work: The function; every process gets the same arguments.
        arguments: Arguments of the function.

    Raises:
        OptionError: If fewer than one is asked for.
    """

    def __init__(self, count: int, work: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        if count < 1:
            raise OptionError(f"processes is {count}, expected 1 or more")
        context = multiprocessing.get_context("spawn")
        self._errors: SimpleQueue[UniGeoSegError] = context.SimpleQueue()
        rendezvous = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
            "WORLD_SIZE": str(count),
            "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // count)),
        }
        call = partial(work, *arguments)
        self._processes: list[BaseProcess] = []
        for rank in map(str, range(count)):
            process = context.Process(target=_run_process, args=(call, self._errors))
            with _temporary_environment(
                {**KEEP_FREED_MEMORY, **os.environ}
                | rendezvous
                | {"RANK": rank, "LOCAL_RANK": rank}
            ):
                process.start()
            self._processes.append(process)

    def stop(self) -> None:
        """Ask every process to end in good order."""
        for process in self._processes:
            if process.is_alive():
                process.terminate()

    def poll(self, seconds: float) -> bool:
        """Whether all have ended, after waiting at most so long for one more to end.

        Raises:
            UniGeoSegError: What one of them raised; the others are ended.
            OptionError: If one died without an error of ours; the others are ended.
        """
        # in this order: a process that has ended by now is not waited for, and its code is known
        alive = [process for process in self._processes if process.is_alive()]
        if not self._has_failed():
            wait([process.sentinel for process in alive], seconds)
        if self._has_failed():
            self._fail()
        return not any(process.is_alive() for process in self._processes)

    def _has_failed(self) -> bool:
        """Whether one ended with an error, of those whose exit code is known."""
        return any(process.exitcode for process in self._processes)

    def _fail(self) -> None:
        self.close()
        if not self._errors.empty():
            error: UniGeoSegError = self._errors.get()
            raise error
        codes = [process.exitcode for process in self._processes]
        raise OptionError(
            f"a process of {len(codes)} died (exit codes {codes}), perhaps for want of memory: "
            "start fewer, or make batch.images smaller"
        )

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._processes:
            process.kill()
            process.join()


def _run_process(call: Callable[[], None], errors: "SimpleQueue[UniGeoSegError]") -> None:
    die_with_parent()
    try:
        call()
    except UniGeoSegError as error:
        errors.put(error)
        raise SystemExit(1) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _temporary_environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a process that is started within the context."""
    saved = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)
