"""Ending a run in good order when the system asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a run has been asked to end.

    Attributes:
        asked: Set by a signal; the run ends after the step that it is in.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        del number, frame
        self.asked = True


@contextmanager
def stopping() -> Iterator[Stop]:
    """Turn SIGTERM and SIGINT into a wish to stop, for as long as the context lasts.

    In a thread other than the main one signals cannot be taken; they work as before.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    signals = signal.SIGTERM, signal.SIGINT
    before = [signal.signal(each, stop) for each in signals]
    try:
        yield stop
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
