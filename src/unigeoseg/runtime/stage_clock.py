"""How long each stage of a run takes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("read", "prepare", "encode", "decode", "blend", "write", "vectorise", "wait")
"""Reading, and writing with vectorising, run in threads of their own beside the others."""


class Clock:
    """Adds up the seconds of stages; a stage inside another stops the other's clock.

    Stages may run in several threads at a time.

    Attributes:
        seconds: Of each stage so far.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()
        self._here = threading.local()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what is inside as one of `STAGES`."""
        outer = getattr(self._here, "stage", None)
        self._switch(stage)
        try:
            yield
        finally:
            self._switch(outer)

    def _switch(self, stage: str | None) -> None:
        now, running = time.perf_counter(), getattr(self._here, "stage", None)
        if running is not None:
            with self._lock:
                self.seconds[running] += now - self._here.since
        self._here.stage, self._here.since = stage, now
