"""Files of results: their names, and how none is ever half there."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pyogrio.errors import DataLayerError, DataSourceError
from rasterio._err import CPLE_BaseError  # copies raise GDAL's own errors, which have no other name
from rasterio.errors import RasterioError

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


def check_suffix(path: Path, known: Sequence[str]) -> None:
    """Check that a file's suffix is one of those known.

    Raises:
        OutputFormatError: If it is not.
    """
    if path.suffix.lower() not in known:
        raise OutputFormatError(
            f"{path.name} ends in {path.suffix or 'no suffix'}; give one of {', '.join(known)}"
        )


def atomic_gdal_file(path: Path) -> AbstractContextManager[Path]:
    """A temporary file for a driver of GDAL, which becomes `path` when it is whole.

    Files that belong to it, of the same name with other suffixes, go with it.

    Raises:
        OutputUnwritableError: If writing fails.
    """
    return atomic_file(path, errors=_gdal_errors(), companions=True)


def _gdal_errors() -> tuple[type[Exception], ...]:
    """What rasterio and pyogrio raise when a file cannot be written."""
    return (OSError, RasterioError, CPLE_BaseError, DataSourceError, DataLayerError)
