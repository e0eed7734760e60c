"""The metrics log of a run: a CSV, TensorBoard event files, and lines on the terminal."""

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from unigeoseg.errors import DataError, MissingExtraError
from unigeoseg.runtime.atomic import write_bytes

log = logging.getLogger(__name__)

CSV = "metrics.csv"
"""One row per value: step, name, value. A resumed run drops rows of later steps."""

PROMPTS = "prompts"
"""Name of the metric that counts the prompts of all steps so far."""


class MetricsLog:
    """Writes the metrics of a run into its folder.

    Args:
        directory: Folder of the run.
        step: Steps that are done; rows of later ones are dropped.

    Raises:
        MissingExtraError: If TensorBoard is not installed.
        DataError: If the rows of earlier steps are damaged.
    """

    def __init__(self, directory: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("a run's event files", "train") from error
        directory.mkdir(parents=True, exist_ok=True)
        _drop_after(directory, step)
        self._file = (directory / CSV).open("a", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._events = SummaryWriter(str(directory / "events"), purge_step=step + 1)

    def __enter__(self) -> "MetricsLog":
        """The log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self._file.close()
        self._events.close()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics of a step."""
        for name, value in values.items():
            self._rows.writerow((step, name, repr(value)))
            self._events.add_scalar(name, value, step)
        self._file.flush()
        line = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        log.info("step %d: %s", step, line)


def read_metrics_log(directory: Path) -> list[tuple[int, str, float]]:
    """Steps, names and values of the metrics of a run, in the order in which they were written.

    A last line that was cut, of a run that was killed, is left out.

    Raises:
        DataError: If there is no log in the folder, or it is damaged.
    """
    path = directory / CSV
    if not path.is_file():
        raise DataError(f"{directory} holds no {CSV}; give the folder of a run of unigeoseg train")
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; copy it again") from error
    lines = content[: content.rfind("\n") + 1].splitlines()
    return [_parsed_row(path, number, line) for number, line in enumerate(lines, 1)]


def _parsed_row(path: Path, number: int, line: str) -> tuple[int, str, float]:
    try:
        step, name, value = line.split(",")
        return int(step), name, float(value)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}, is {line[:60]!r}, expected step,name,value; copy it again"
        ) from error


def _drop_after(directory: Path, step: int) -> None:
    """Drop the rows after a step."""
    if not (directory / CSV).is_file():
        return
    rows = io.StringIO(newline="")
    csv.writer(rows).writerows(
        (row_step, name, repr(value))
        for row_step, name, value in read_metrics_log(directory)
        if row_step <= step
    )
    write_bytes(directory / CSV, rows.getvalue().encode())
