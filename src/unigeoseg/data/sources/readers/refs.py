"""Safe reading of the pickles of referring expressions: plain values and nothing else."""

import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from unigeoseg.data.sources.readers.reading import file_version
from unigeoseg.errors import DataError

MAX_BYTES = 2 * 2**30
"""Largest pickle that is read."""


class _PlainUnpickler(pickle.Unpickler):
    """Builds lists, tuples, dicts, sets, strings, bytes, numbers, True, False and None."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ANN401 - from the file
        raise pickle.UnpicklingError(f"it refers to {pid!r} outside of it")


def load_refs(path: Path) -> list[dict[str, Any]]:
    """The list of referring expressions of a `refs(...).p` file, read once per process.

    Raises:
        DataError: If the file is no pickle of a list of dicts, or holds anything but plain values.
    """
    version = file_version(path)
    if version[1] > MAX_BYTES:
        raise DataError(f"{path} has {version[1]} bytes; at most {MAX_BYTES} are read")
    return _load(path, version)


@lru_cache(maxsize=4)
def _load(path: Path, _version: tuple[int, int]) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            # Those files were written by Python 2: its strings are read as Latin-1.
            content = _PlainUnpickler(file, encoding="latin1").load()
    except _DAMAGE as error:
        raise DataError(
            f"{path} is not a pickle of plain values ({error}); get the file again"
        ) from error
    if not isinstance(content, list) or not all(isinstance(ref, dict) for ref in content):
        raise DataError(f"{path} does not hold a list of dicts; expected a refs(...).p file")
    return content


_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    MemoryError,
    RecursionError,
    OverflowError,
)
