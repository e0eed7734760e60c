"""Scenes: any raster or array, read window by window as 8-bit RGB on its grid.

`bands` says which bands are shown. A palette is expanded to its colours. Pixels of 8 bits are left
as they are; every other type is stretched once per scene, see `Stretch`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import EmptyRasterError, GridMismatchError
from unigeoseg.geo.array_reader import ArrayReader
from unigeoseg.geo.bands import Bands
from unigeoseg.geo.dataset_reader import Reader, open_scene_source
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.stretch import Stretch
from unigeoseg.geo.tiling import plan_tiles

_SAMPLE_SIDE = 1024
"""Longest side, in pixels, of the decimated read that the stretch is taken from."""
_DECIMATED = 4096 * 4096
"""Larger scenes without overviews are sampled instead: decimating reads every pixel."""
_SAMPLES, _SAMPLE = 16, 64
"""Rows and columns of samples, and the side of one in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Pixels with their validity and their grid.

    Attributes:
        array: (C, H, W) pixels.
        valid: (H, W) bool, True where usable.
        grid: The grid of H rows and W columns that they lie on.

    Raises:
        GridMismatchError: If the three do not have the same size.
    """

    array: NDArray[Any]
    valid: NDArray[np.bool_]
    grid: Grid

    def __post_init__(self) -> None:
        """Check that sizes agree."""
        if self.array.ndim != 3 or self.array.shape[1:] != self.grid.shape:
            raise GridMismatchError(
                f"pixels are {self.array.shape}, expected (C, H, W) with (H, W) = {self.grid.shape}"
            )
        if self.valid.shape != self.grid.shape or self.valid.dtype != np.bool_:
            raise GridMismatchError(
                f"valid is {self.valid.shape} {self.valid.dtype}, expected {self.grid.shape} bool"
            )


class Scene:
    """A whole image, read lazily. Open one with `open_scene` or `scene_from_array`.

    Use it as a context manager, or call `close`.

    Attributes:
        name: File name or a name given by the caller.
        grid: The grid of the whole scene.
        stretch: How its values become 8 bits, the same in every window.
    """

    def __init__(
        self, name: str, grid: Grid, reader: Reader, stretch: Stretch | None = None
    ) -> None:
        self.name = name
        self.grid = grid
        self._reader = reader
        measured = Stretch.of(*self._sample_pixels())
        self.stretch = stretch or measured

    def read(self, window: Window | None = None, *, shape: tuple[int, int] | None = None) -> Raster:
        """Read a window as RGB.

        Args:
            window: Whole pixels; None for the whole scene. It may reach outside the scene,
                where pixels are 0 and not valid, but only if `shape` is None.
            shape: Rows and columns (h, w) to resample the window to, averaged when it shrinks.

        Returns:
            (3, h, w) uint8 after the stretch, on the window's grid. Pixels that are not valid
            keep their value: a nodata value of 255 also marks the brightest roofs, and black
            specks there would mislead whoever looks at the picture. NaN is 0.

        Raises:
            RasterUnreadableError: If the file is damaged there.
            GridMismatchError: If `shape` is given for a window that reaches outside.
        """
        window = window or Window(0, 0, self.grid.width, self.grid.height)
        grid = self.grid.for_window(window)
        inside = _clip(window, self.grid)
        if shape is not None:
            if inside != _whole_pixels(window):
                raise GridMismatchError(
                    f"{window} reaches outside the scene of {self.grid.width} x "
                    f"{self.grid.height} pixels and cannot be resampled; clip it first"
                )
            array, valid = self._read(inside, shape)
            return Raster(array, valid, grid.resized(shape[1], shape[0]))
        array = np.zeros((3, *grid.shape), np.uint8)
        valid = np.zeros(grid.shape, np.bool_)
        if inside.width and inside.height:
            rows, cols = Window(
                inside.col_off - int(window.col_off),
                inside.row_off - int(window.row_off),
                inside.width,
                inside.height,
            ).toslices()
            size = (inside.height, inside.width)
            array[:, rows, cols], valid[rows, cols] = self._read(inside, size)
        return Raster(array, valid, grid)

    @property
    def rowwise(self) -> bool:
        """Whether windows are best read in whole rows; see `Reader.rowwise`."""
        return self._reader.rowwise

    def close(self) -> None:
        """Close the source; reading afterwards is an error."""
        self._reader.close()

    def __enter__(self) -> "Scene":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(
        self, window: Window, shape: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        pixels, valid = self._reader.read(window, shape)
        return self.stretch.apply(pixels), valid

    def _sample_pixels(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A sample of the scene: pixels (3, 1, n) and validity (1, n), at least one of them valid.

        They depend on the scene alone, not on what of it is asked for, and are read in bounded
        time: decimated where that is cheap, else as small windows spread over the scene.
        """
        height, width = self.grid.shape
        extent = Window(0, 0, width, height)
        scale = min(1.0, _SAMPLE_SIDE / max(height, width))
        if height * width <= _DECIMATED or self._reader.overviews:
            shape = (max(1, round(height * scale)), max(1, round(width * scale)))
            parts = [self._reader.read(extent, shape)]
        else:
            parts = [
                self._reader.read(window, (window.height, window.width))
                for window in _samples(width, height)
            ]
        valid = np.concatenate([valid.reshape(1, -1) for _, valid in parts], axis=1)
        if valid.any():
            return np.concatenate([pixels.reshape(3, 1, -1) for pixels, _ in parts], axis=2), valid
        # A few valid pixels can slip through a sample: read everywhere once.
        for window in plan_tiles(width, height, 2 * _SAMPLE_SIDE, 0):
            pixels, valid = self._reader.read(window, (window.height, window.width))
            if valid.any():
                return pixels, valid
        raise EmptyRasterError(
            f"{self.name} has no valid pixel (all nodata or transparent); check its nodata value"
        )


def open_scene(
    path: str | Path,
    bands: Bands | None = None,
    *,
    stretch: Stretch | None = None,
    gsd_m: float | None = None,
) -> Scene:
    """Open any raster that GDAL reads, with or without georeference.

    Args:
        path: A file, a URL, anything rasterio opens (``/vsizip/...``, ``s3://...``), or a STAC
            item (``.json``, or ``https://.../items/...``), see `stac`.
        bands: One or three band numbers or names for red, green and blue, or a sensor; None to
            choose, as the module `bands` says; of an item, names of assets or of their bands.
        stretch: Of another scene, to be used here; None to measure this one, or to take it
            from the statistics of an item.
        gsd_m: Metres per pixel of a coarser grid to see the scene on; its pixels are averages,
            read from overviews where the file has them.

    Raises:
        RasterNotFoundError: If there is no such file.
        RasterUnreadableError: If it is not a raster, or is damaged.
        EmptyRasterError: If it has no pixel, or none that is valid.
        BandsError: If the bands are not there.
        OptionError: If the GSD is finer than the scene's own.
        NoGeoreferenceError: If a GSD is given and the scene's own is not known.
    """
    source = open_scene_source(os.fspath(path), bands, gsd_m)
    try:
        return Scene(Path(path).name, source.grid, source.reader, stretch or source.stretch)
    except BaseException:
        source.reader.close()
        raise


def scene_from_array(
    array: NDArray[Any], grid: Grid | None = None, *, name: str = "array"
) -> Scene:
    """A scene over an array, read like a file.

    Args:
        array: (H, W), (H, W, C) with C 1, 3 or 4, or (C, H, W), of any real type. When both
            ends could be channels, the last axis is. The fourth channel of (H, W, 4) is
            alpha: 0 is not valid. NaN is not valid.
        grid: Its grid; None for a plain image.
        name: What messages call it.

    Raises:
        BandsError: If the array has none of these layouts, or is complex.
        EmptyRasterError: If it has no pixel, or none that is valid.
        GridMismatchError: If the grid has another size.
    """
    reader = ArrayReader.of(array)
    height, width = reader.shape
    grid = grid or Grid.of_image(width, height)
    if grid.shape != reader.shape:
        raise GridMismatchError(f"pixels are {reader.shape} (H, W), the grid is {grid.shape}")
    return Scene(name, grid, reader)


def _samples(width: int, height: int) -> list[Window]:
    """Small windows spread evenly over a scene, row by row."""
    columns, rows = (
        np.linspace(0, max(side - _SAMPLE, 0), _SAMPLES).astype(int).tolist()
        for side in (width, height)
    )
    size = min(_SAMPLE, width), min(_SAMPLE, height)
    return [Window(x, y, *size) for y in rows for x in columns]


def _whole_pixels(window: Window) -> Window:
    return Window(*(int(value) for value in window.flatten()))


def _clip(window: Window, grid: Grid) -> Window:
    """The part of a window inside the scene, in whole pixels; 0 wide or high if none is."""
    x, y, width, height = _whole_pixels(window).flatten()
    x0, y0 = min(max(x, 0), grid.width), min(max(y, 0), grid.height)
    x1, y1 = (
        min(max(end, start), size)
        for end, start, size in ((x + width, x0, grid.width), (y + height, y0, grid.height))
    )
    return Window(x0, y0, x1 - x0, y1 - y0)
