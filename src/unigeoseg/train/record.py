"""What a run says of itself: lines in the log, a CSV, TensorBoard event files."""

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from unigeoseg.data.files import write_bytes
from unigeoseg.errors import MissingExtraError

log = logging.getLogger(__name__)

CSV = "metrics.csv"
"""One row per value: step, name, value. A resumed run drops what lies after where it goes on."""


class Record:
    """Writes the numbers of a run into its folder.

    Args:
        directory: Folder of the run.
        step: Where the run goes on; what was written of later steps is dropped.

    Raises:
        MissingExtraError: If TensorBoard is not installed.
    """

    def __init__(self, directory: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("a run's event files", "train") from error
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / CSV
        _keep_until(self._path, step)
        self._file = self._path.open("a", newline="", encoding="utf-8")
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


def _keep_until(path: Path, step: int) -> None:
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3 and int(row[0]) <= step]
    kept = io.StringIO(newline="")
    csv.writer(kept).writerows(rows)
    write_bytes(path, kept.getvalue().encode())
