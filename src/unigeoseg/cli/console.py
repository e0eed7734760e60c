"""What commands say on standard error: lines and progress bars."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line, as it is."""
    console.print(" ".join(line.split()), markup=False)


def progress(what: str) -> Progress:
    """A bar that counts `what`; it leaves no trace when done. A context manager."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def counter(bar: Progress) -> Callable[[int, int], None]:
    """A callback for `bar` that takes how many are done and how many there are."""
    line = bar.add_task("", total=None)

    def update(done: int, total: int) -> None:
        bar.update(line, completed=done, total=total)

    return update
