"""What commands say on standard error: lines and progress bars."""

import logging
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from unigeoseg.runtime.hub import log

MODEL_HELP = "nano, base, a model directory, or owner/name on the Hugging Face hub."

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line, as it is."""
    console.print(" ".join(line.split()), markup=False)


class _Saying(logging.Handler):
    """Says what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say one message."""
        say(record.getMessage())


def say_steps() -> None:
    """Say the steps of getting a model from the hub."""
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [_Saying()]


def progress(what: str) -> Progress:
    """A bar that counts `what`; it leaves no trace when done. A context manager."""
    named = TextColumn("{task.description}")
    columns = (TextColumn(what), named, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def counter(bar: Progress, name: str = "") -> Callable[[int, int], None]:
    """A callback for `bar` that takes how many are done and how many there are; a line of it."""
    line = bar.add_task(name, total=None)

    def update(done: int, total: int) -> None:
        bar.update(line, completed=done, total=total)

    return update
