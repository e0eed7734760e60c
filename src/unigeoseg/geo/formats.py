"""Formats of results: which suffixes there are, and files of GDAL that are whole or not there."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyogrio.errors import DataLayerError, DataSourceError

from unigeoseg.errors import OutputExistsError, OutputFormatError, OutputUnwritableError
from unigeoseg.runtime.atomic import atomic_file

MASK_SUFFIXES = (".tif", ".tiff")
"""Suffixes of masks."""
VECTOR_SUFFIXES = (".geojson", ".json", ".gpkg", ".parquet", ".fgb", ".shp")
"""Suffixes of outlines."""


def check_output(path: str | Path, overwrite: bool = False) -> None:
    """Check, before any work is done, that a result can be written.

    Args:
        path: The file to be written.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputFormatError: If the suffix is of no known format.
        OutputExistsError: If the file exists and may not be replaced.
        OutputUnwritableError: If its directory is missing or not writable.
    """
    path = Path(path)
    check_suffix(path, MASK_SUFFIXES + VECTOR_SUFFIXES)
    if not path.parent.is_dir():
        raise OutputUnwritableError(
            f"{path} cannot be written: {path.parent} is not a directory; create it first"
        )
    if path.is_dir():
        raise OutputUnwritableError(f"{path} is a directory; give the name of a file")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists; choose another name, or allow it to be replaced (--overwrite)"
        )
    if not os.access(path.parent, os.W_OK):
        raise OutputUnwritableError(f"{path} cannot be written: no permission in {path.parent}")


def check_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Check that a file has one of some suffixes, in letters of any case.

    Raises:
        OutputFormatError: If it has another.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputFormatError(
            f"{path.name} ends in {path.suffix or 'no suffix'}; give one of {', '.join(suffixes)}"
        )


@contextmanager
def atomic_gdal_file(path: Path) -> Iterator[Path]:
    """A temporary file for a driver of GDAL, which becomes `path` when it is whole.

    Files that belong to it, of the same name with other suffixes, go with it.

    Raises:
        OutputUnwritableError: If writing fails.
    """
    errors = (OSError, DataSourceError, DataLayerError)
    with (
        atomic_file(path, errors=errors, companions=True) as temporary,
        _rasterio_errors_as_os_errors(),
    ):
        yield temporary


@contextmanager
def _rasterio_errors_as_os_errors() -> Iterator[None]:
    """Raise rasterio's errors, and GDAL's own that it lets through, as errors of the system.

    Copies raise errors of GDAL whose classes have no public name (they are in `rasterio._err` of
    rasterio 1.4): they are known by the package that defines them.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "rasterio":
            raise
        raise OSError(str(error)) from error
