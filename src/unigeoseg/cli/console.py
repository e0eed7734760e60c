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


class _ConsoleHandler(logging.Handler):
    """Prints log messages as `say` does."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        say(record.getMessage())


def say_steps() -> None:
    """Print the steps of getting a model from the hub."""
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [_ConsoleHandler()]


def progress(unit: str) -> Progress:
    """A bar that counts things of a unit, "tiles"; it leaves no trace. A context manager."""
    task_name = TextColumn("{task.description}")
    columns = (TextColumn(unit), task_name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # elsewhere than on a terminal a bar would leave an empty line
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def counter(bar: Progress, name: str = "") -> Callable[[int, int], None]:
    """A callback for one line of `bar`; it takes how many are done and how many there are."""
    task = bar.add_task(name, total=None)

    def update(completed: int, total: int) -> None:
        bar.update(task, completed=completed, total=total)

    return update
