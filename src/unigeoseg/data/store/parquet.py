"""Parquet files that are the same bytes for the same rows, and are there whole or not at all.

Needs the extra `data`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from unigeoseg.errors import DataError, MissingExtraError
from unigeoseg.runtime.atomic import atomic_file, translated_write_errors

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise MissingExtraError("the data engine", "data") from error

__all__ = [
    "Row",
    "ShardedWriter",
    "TableWriter",
    "pa",
    "read_batches",
    "read_row_group",
    "read_rows",
    "read_schema",
    "write_table",
]

Row = dict[str, Any]


class TableWriter:
    """Writes rows to one file, a row group at a time; a context manager.

    The file appears under its name when the context ends without an error. It holds no time and
    no name of a machine.

    Args:
        path: The file; its directory exists.
        schema: Names and types of the columns.
        group: Rows of a row group, which is what is held in memory.
    """

    def __init__(self, path: Path, schema: "pa.Schema", *, group: int) -> None:
        self.path, self.rows = path, 0
        self._schema, self._group = schema, group
        self._pending: list[Row] = []

    def __enter__(self) -> "TableWriter":
        """Open a temporary file in the same directory."""
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self.path))
            self._file = stack.enter_context(
                pq.ParquetWriter(temporary, self._schema, version="2.6", compression="zstd")
            )
            self._stack = stack.pop_all()
        return self

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows.

        Raises:
            OutputUnwritableError: If the disk does not take them.
        """
        for row in rows:
            self._pending.append(row)
            self.rows += 1
            if len(self._pending) == self._group:
                self._flush()

    def _flush(self) -> None:
        with translated_write_errors(self.path):
            self._file.write_table(pa.Table.from_pylist(self._pending, self._schema))
        self._pending = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Move the whole file to its name, or remove what was written."""
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self._pending:
                self._flush()


class ShardedWriter:
    """Writes rows to NAME-00000.parquet, NAME-00001.parquet ...; a context manager.

    Args:
        directory: Where the files go.
        name: How their names begin.
        schema: As `TableWriter`.
        group: As `TableWriter`.
        shard: Rows of a file.
    """

    def __init__(
        self, directory: Path, name: str, schema: "pa.Schema", *, group: int, shard: int
    ) -> None:
        self.rows = 0
        self._directory, self._name, self._schema = directory, name, schema
        self._group, self._shard = group, shard
        self._number, self._current = 0, self._next(0)

    def __enter__(self) -> "ShardedWriter":
        """Open the first file, which is written even without rows."""
        self._current.__enter__()
        return self

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows, in order."""
        for row in rows:
            if self._current.rows == self._shard:
                self._current.__exit__(None, None, None)
                self._number += 1
                self._current = self._next(self._number)
                self._current.__enter__()
            self._current.write([row])
            self.rows += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the last file."""
        self._current.__exit__(kind, error, trace)

    def _next(self, number: int) -> TableWriter:
        path = self._directory / f"{self._name}-{number:05}.parquet"
        return TableWriter(path, self._schema, group=self._group)


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Turn errors of reading into `DataError`."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path} is missing or damaged: {first}; copy it again, or build the dataset again"
        ) from error


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a table that is in memory to a file of its own.

    Raises:
        OutputUnwritableError: If it cannot be written.
    """
    with translated_write_errors(path):
        pq.write_table(table, path, version="2.6", compression="zstd", row_group_size=64)


def read_batches(
    path: Path, columns: Sequence[str] | None = None, *, batch_rows: int = 1000
) -> Iterator["pa.RecordBatch"]:
    """Batches of a file, in order; no more than one row group is held.

    Raises:
        DataError: If the file is missing or damaged.
    """
    with _read_errors(path), pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_rows, columns=list(columns) if columns else None)


def read_rows(
    path: Path, columns: Sequence[str] | None = None, *, batch_rows: int = 1000
) -> Iterator[Row]:
    """Rows of a file, in order; see `read_batches`."""
    for batch in read_batches(path, columns, batch_rows=batch_rows):
        yield from batch.to_pylist()


def read_row_group(path: Path, group: int) -> list[Row]:
    """Rows of one row group.

    Raises:
        DataError: If the file is missing or damaged.
    """
    with _read_errors(path), pq.ParquetFile(path) as file:
        rows: list[Row] = file.read_row_group(group).to_pylist()
        return rows


def read_schema(path: Path) -> "pa.Schema":
    """Names and types of a file's columns.

    Raises:
        DataError: If the file is missing or damaged.
    """
    with _read_errors(path):
        return pq.read_schema(path)
