"""A stage clock: how long each stage of a run takes, also where threads run beside each other."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up the seconds of named stages; a stage inside another stops the outer one's time.

    Stages may run in several threads at a time; their seconds then add up to more than the run's.

    Args:
        stages: Names to list with 0 s from the start; further ones are listed once they ran.

    Attributes:
        seconds: Of each stage so far.
    """

    def __init__(self, stages: Iterable[str] = ()) -> None:
        self.seconds = dict.fromkeys(stages, 0.0)
        self._lock = threading.Lock()
        self._thread = threading.local()  # the stage of this thread, and when it went on

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what is inside as a stage."""
        outer = getattr(self._thread, "stage", None)
        self._switch(stage)
        try:
            yield
        finally:
            self._switch(outer)

    def _switch(self, stage: str | None) -> None:
        time_s, running = time.perf_counter(), getattr(self._thread, "stage", None)
        if running is not None:
            with self._lock:
                spent = time_s - self._thread.since
                self.seconds[running] = self.seconds.get(running, 0.0) + spent
        self._thread.stage, self._thread.since = stage, time_s
