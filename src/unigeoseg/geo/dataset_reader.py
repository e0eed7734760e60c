"""Scenes from files: datasets that GDAL opens, and the assets of a STAC item."""

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from unigeoseg.errors import (
    GridMismatchError,
    NoGeoreferenceError,
    OptionError,
    RasterNotFoundError,
    RasterUnreadableError,
)
from unigeoseg.geo.bands import Bands, palette_table, rgb_bands
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.stac import Layer, is_item, item_stretch, read_item
from unigeoseg.geo.stretch import Stretch

_LONGITUDES = -360.0, 540.0  # degrees; rasters across the date line count on
_LATITUDES = -90.5, 90.5  # degrees; half a pixel of a global raster may lie beyond a pole


class Reader(Protocol):
    """What a scene needs from its source."""

    @property
    def overviews(self) -> bool:
        """Whether a decimated read of the whole is cheap."""
        ...

    @property
    def rowwise(self) -> bool:
        """Whether a window costs as much as the whole rows that it lies in."""
        ...

    def read(
        self, window: Window, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels (3, h, w) in the source's type and valid (h, w), resampled to `shape`."""
        ...

    def close(self) -> None:
        """Release the source."""
        ...


class FileReader:
    """Reads the chosen bands of an open rasterio dataset."""

    def __init__(self, dataset: DatasetReader, bands: Bands | None, grid: Grid) -> None:
        self._dataset = dataset
        self._palette = None if bands else palette_table(dataset)
        self._bands = rgb_bands(dataset, bands)
        self._step = (dataset.width / grid.width, dataset.height / grid.height)

    def read(
        self, window: Window, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See `Reader.read`."""
        window = self._source(window)
        if shape == (window.height, window.width) or self._palette is not None:
            resampling = Resampling.nearest
        elif shape[0] <= window.height and shape[1] <= window.width:
            resampling = Resampling.average
        else:
            resampling = Resampling.bilinear
        bands = sorted(set(self._bands))
        size = (len(bands), *shape)
        try:
            pixels = self._dataset.read(bands, window=window, out_shape=size, resampling=resampling)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NodataShadowWarning)  # nodata goes before alpha
                valid = self._dataset.read_masks(bands, window=window, out_shape=size).any(axis=0)
        except (RasterioError, OSError) as error:
            raise RasterUnreadableError(
                f"{self._dataset.name} is damaged: {_reason(error)}; get the file again"
            ) from error
        if np.iscomplexobj(pixels):
            pixels = np.abs(pixels)
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=0)
        if self._palette is not None:
            colours = self._palette[:, np.minimum(pixels[0], self._palette.shape[1] - 1)]
            return colours[:3], valid & (colours[3] > 0)
        return pixels[[bands.index(band) for band in self._bands]], valid

    def close(self) -> None:
        """See `Reader.close`."""
        self._dataset.close()

    @property
    def overviews(self) -> bool:
        """See `Reader.overviews`."""
        return bool(self._dataset.overviews(self._bands[0]))

    @property
    def rowwise(self) -> bool:
        """See `Reader.rowwise`; not of coarser grids, whose windows are not cuts of each other."""
        full_rows = self._dataset.block_shapes[0][1] >= self._dataset.width
        return full_rows and self._step == (1, 1)

    def _source(self, window: Window) -> Window:
        """Where a window of the scene's grid lies in the file, which may have finer pixels."""
        x, y = self._step
        if x == 1 == y:
            return window
        return Window(window.col_off * x, window.row_off * y, window.width * x, window.height * y)


@dataclass(frozen=True, slots=True)
class StackReader:
    """Red, green and blue from readers of their own, of one size."""

    readers: Sequence[FileReader]

    @property
    def overviews(self) -> bool:
        """See `Reader.overviews`."""
        return all(reader.overviews for reader in self.readers)

    @property
    def rowwise(self) -> bool:
        """See `Reader.rowwise`."""
        return any(reader.rowwise for reader in self.readers)

    def read(
        self, window: Window, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See `Reader.read`."""
        parts = [reader.read(window, shape) for reader in self.readers]
        valid = np.any([valid for _, valid in parts], axis=0)
        return np.stack([pixels[0] for pixels, _ in parts]), valid

    def close(self) -> None:
        """See `Reader.close`."""
        for reader in self.readers:
            reader.close()


@dataclass(frozen=True, slots=True)
class SceneSource:
    """An open scene's pixels.

    Attributes:
        grid: What windows are counted on.
        reader: Gives the pixels; to be closed.
        stretch: What is known of the values without looking; None if nothing is.
    """

    grid: Grid
    reader: Reader
    stretch: Stretch | None = None


def open_scene_source(path: str, bands: Bands | None, gsd_m: float | None) -> SceneSource:
    """Open what `open_scene` opens; errors are described there."""
    layers = read_item(path).layers(bands) if is_item(path) else [Layer(path, bands)]
    with ExitStack() as opened:
        datasets = [opened.enter_context(_open(layer.href)) for layer in layers]
        grids = {_grid(dataset) for dataset in datasets}
        if len(grids) > 1:
            raise GridMismatchError(
                f"{path} has its bands on different grids "
                f"({', '.join(f'{grid.width} x {grid.height}' for grid in grids)} pixels); "
                "choose bands of one resolution"
            )
        grid = _coarser(grids.pop(), gsd_m)
        readers = [
            FileReader(dataset, layer.bands, grid)
            for dataset, layer in zip(datasets, layers, strict=True)
        ]
        stretched = {dtype for dataset in datasets for dtype in dataset.dtypes} != {"uint8"}
        opened.pop_all()
        reader = readers[0] if len(readers) == 1 else StackReader(readers)
        return SceneSource(grid, reader, item_stretch(layers) if stretched else None)


def _grid(dataset: DatasetReader) -> Grid:
    located = dataset.crs or not dataset.transform.is_identity
    if not located and dataset.gcps[0]:
        raise GridMismatchError(
            f"{dataset.name} is placed by ground control points alone; warp it first: "
            "gdalwarp -t_srs EPSG:... in.tif out.tif"
        )
    grid = Grid(dataset.width, dataset.height, dataset.transform, dataset.crs or None)
    left, bottom, right, top = grid.bounds
    (west, east), (south, north) = _LONGITUDES, _LATITUDES
    on_earth = west <= left <= right <= east and south <= bottom <= top <= north
    if grid.crs is not None and grid.crs.is_geographic and not on_earth:
        raise GridMismatchError(
            f"{dataset.name} is said to be in degrees ({grid.crs}) but reaches from ({left:.6g}, "
            f"{bottom:.6g}) to ({right:.6g}, {top:.6g}); give it its right CRS (gdal_edit -a_srs)"
        )
    return grid


def _coarser(grid: Grid, gsd_m: float | None) -> Grid:
    if gsd_m is None:
        return grid
    if grid.gsd_m is None:
        raise NoGeoreferenceError(
            "a GSD was asked for but the raster has no CRS to measure metres in; leave it out"
        )
    factor = gsd_m / grid.gsd_m
    if not factor >= 1:
        raise OptionError(
            f"the GSD asked for is {gsd_m} m; the scene has {grid.gsd_m:.3g} m and is not "
            "enlarged: ask for that or more"
        )
    return grid.resized(max(1, round(grid.width / factor)), max(1, round(grid.height / factor)))


def _open(text: str) -> DatasetReader:
    if "://" not in text and not text.startswith("/vsi") and not Path(text).exists():
        raise RasterNotFoundError(f"{text} does not exist; check the path of the scene")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(text)
    except (RasterioError, OSError) as error:
        raise RasterUnreadableError(
            f"{text} is not a readable raster ({_reason(error)}); give a GeoTIFF, JPEG, PNG "
            "or another format that GDAL opens"
        ) from error


def _reason(error: BaseException) -> str:
    """First line of the innermost cause: GDAL explains itself there."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]
