"""Masks and label maps as Cloud Optimized GeoTIFF, written block by block."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from unigeoseg.geo.formats import MASK_SUFFIXES, atomic_gdal_file, check_suffix
from unigeoseg.geo.grid import Grid

_TILE = 512
_PACKING = {"compress": "deflate", "zlevel": 1, "tiled": True, "blockxsize": _TILE}
_COG = {"driver": "COG", "compress": "deflate", "BIGTIFF": "IF_SAFER", "OVERVIEWS": "AUTO"}


class MaskWriter:
    """Takes the blocks of a scene, row by row; holds the rows that fill no row of tiles yet."""

    def __init__(self, dataset: DatasetWriter, grid: Grid) -> None:
        self._dataset = dataset
        self._grid = grid
        self._rows = np.zeros((0, grid.width), np.uint8)
        self._top = 0

    def add(self, window: Window, labels: NDArray[np.uint8]) -> None:
        """Take a block (h, w) uint8 and its window in the file.

        Blocks come in rows from the top down; each row is as high as its blocks and ends with the
        block at the right edge.
        """
        (y0, y1), (x0, x1) = window.toranges()
        missing = y1 - self._top - len(self._rows)
        if missing > 0:
            self._rows = np.pad(self._rows, ((0, missing), (0, 0)))
        self._rows[y0 - self._top : y1 - self._top, x0:x1] = labels
        if x1 == self._grid.width:
            self._flush(len(self._rows) if y1 == self._grid.height else self._whole_tiles())

    def _whole_tiles(self) -> int:
        return len(self._rows) // _TILE * _TILE

    def _flush(self, count: int) -> None:
        if count:
            window = Window(0, self._top, self._grid.width, count)
            self._dataset.write(self._rows[:count], 1, window=window)
            self._rows, self._top = self._rows[count:].copy(), self._top + count


@contextmanager
def mask_writer(
    path: str | Path, grid: Grid, tags: Mapping[str, str] | None = None
) -> Iterator[MaskWriter]:
    """Write a Cloud Optimized GeoTIFF of uint8 on a grid as it is, BigTIFF where it needs to be.

    Args:
        path: Ends in .tif or .tiff; replaced if it exists, when all blocks were added.
        grid: Gives the CRS and the transform, identical in the file.
        tags: Texts to keep in the file.

    Raises:
        OutputFormatError: If the suffix is another.
        OutputUnwritableError: If writing fails.
    """
    path = Path(path)
    check_suffix(path, MASK_SUFFIXES)
    profile = {"width": grid.width, "height": grid.height, "count": 1, "dtype": "uint8"}
    has_no_place = grid == Grid.of_image(grid.width, grid.height)
    georeference = {} if has_no_place else {"crs": grid.crs, "transform": grid.transform}
    with atomic_gdal_file(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        rows = temporary.with_suffix(".rows.tif")
        with rasterio.open(
            rows,
            "w",
            driver="GTiff",
            BIGTIFF="IF_SAFER",
            blockysize=_TILE,
            **_PACKING,
            **profile,
            **georeference,
        ) as dataset:
            dataset.update_tags(**(tags or {}))
            yield MaskWriter(dataset, grid)
        # overviews before pixels need a second pass; GDAL makes it in its own bounded memory
        rasterio.shutil.copy(rows, temporary, **_COG)
        rows.unlink()
        _read_back(temporary)


def _read_back(path: Path) -> None:
    """Decode every block of a mask: GDAL does not say that a disk was full when it closed a file.

    Raises:
        RasterioError: If one is not there.
    """
    with rasterio.open(path) as dataset:
        levels = range(-1, len(dataset.overviews(1)))
    for level in levels:
        with rasterio.open(path, **({} if level < 0 else {"overview_level": level})) as dataset:
            for _, window in dataset.block_windows(1):
                dataset.read(1, window=window)
