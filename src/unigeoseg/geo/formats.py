"""Files of results: their names, and how none is ever half there."""

import glob
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyogrio.errors import DataLayerError, DataSourceError
from rasterio._err import CPLE_BaseError  # copies raise GDAL's own errors, which have no other name
from rasterio.errors import RasterioError

from unigeoseg.errors import OutputExistsError, OutputFormatError, OutputUnwritableError

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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, moved there if all went well and removed if not.

    Files that belong to it, of the same name with other suffixes, go with it.

    Raises:
        OutputUnwritableError: If writing fails.
    """
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        for part in _parts(temporary):
            os.replace(part, path.with_name(path.stem + part.name.removeprefix(temporary.stem)))
        os.replace(temporary, path)
    except (OSError, RasterioError, CPLE_BaseError, DataSourceError, DataLayerError) as error:
        raise OutputUnwritableError(
            f"{path} was not written: {error}; check the directory and the free space"
        ) from error
    finally:
        for part in [temporary, *_parts(temporary)]:
            part.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    """Files beside `path` of its name with other suffixes."""
    if not path.parent.is_dir():
        return []
    return [each for each in path.parent.glob(f"{glob.escape(path.stem)}.*") if each != path]


def leftovers(path: Path) -> list[Path]:
    """Temporary files of `path`, whatever its suffix, that a killed process has left."""
    marks = "[0-9a-f]" * 8
    return list(path.parent.glob(f".{glob.escape(path.stem)}-{marks}.*"))
