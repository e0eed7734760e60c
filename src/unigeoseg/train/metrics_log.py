"""What a run says of itself: lines in the log, a CSV, TensorBoard event files."""

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
"""One row per value: step, name, value. A resumed run drops what lies after where it goes on."""

PROMPTS = "prompts"
"""Name of the number of prompts that a run has learnt from so far."""


class Record:
    """Writes the numbers of a run into its folder.

    Args:
        directory: Folder of the run.
        step: Where the run goes on; what was written of later steps is dropped.

    Raises:
        MissingExtraError: If TensorBoard is not installed.
        DataError: If what was written before is damaged.
    """

    def __init__(self, directory: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("a run's event files", "train") from error
        directory.mkdir(parents=True, exist_ok=True)
        _keep_until(directory, step)
        self._file = (directory / CSV).open("a", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._events = SummaryWriter(str(directory / "events"), purge_step=step + 1)

    def __enter__(self) -> "Record":
        """The record itself."""
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
        """Take values of a step down, and say them."""
        for name, value in values.items():
            self._rows.writerow((step, name, repr(value)))
            self._events.add_scalar(name, value, step)
        self._file.flush()
        said = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        log.info("step %d: %s", step, said)


def read(directory: Path) -> list[tuple[int, str, float]]:
    """What a run said so far: step, name and value, as written.

    A last line that is not whole, of a run that was killed, is left out.

    Raises:
        DataError: If there is no record in the folder, or it is damaged.
    """
    path = directory / CSV
    if not path.is_file():
        raise DataError(f"{directory} holds no {CSV}; give the folder of a run of unigeoseg train")
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; copy it again") from error
    lines = content[: content.rfind("\n") + 1].splitlines()
    return [_value(path, number, line) for number, line in enumerate(lines, 1)]


def _value(path: Path, number: int, line: str) -> tuple[int, str, float]:
    try:
        step, name, value = line.split(",")
        return int(step), name, float(value)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}, is {line[:60]!r}, expected step,name,value; copy it again"
        ) from error


def _keep_until(directory: Path, step: int) -> None:
    if not (directory / CSV).is_file():
        return
    kept = io.StringIO(newline="")
    csv.writer(kept).writerows(
        (at, name, repr(value)) for at, name, value in read(directory) if at <= step
    )
    write_bytes(directory / CSV, kept.getvalue().encode())
