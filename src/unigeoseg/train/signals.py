"""Graceful stop: signals of the system end a run after the step that it is in."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether a run has been asked to stop; a handler of signals.

    Attributes:
        is_set: Set by a signal; the run stops after the step that it is in.
    """

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        del number, frame
        self.is_set = True


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request to stop, for as long as the context lasts.

    Signals can be handled in the main thread alone; in another one they work as outside.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = signal.SIGTERM, signal.SIGINT
    handlers = [signal.signal(number, request) for number in signals]
    try:
        yield request
    finally:
        for number, handler in zip(signals, handlers, strict=True):
            signal.signal(number, handler)
