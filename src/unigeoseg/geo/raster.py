"""Scenes: any raster or array, read window by window as 8-bit RGB on its grid.

Which bands become red, green and blue:

1. the `bands` asked for (1-based; three of them, or one that is repeated);
2. else the bands whose colour interpretation is red, green and blue, if all three are there;
3. else the first three bands, alpha never counted;
4. else, with one or two bands, the first, repeated.

A palette is expanded to its colours. Pixels of 8 bits are left as they are; every other type
is stretched once per scene, see `Stretch`.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from unigeoseg.errors import (
    BandsError,
    EmptyRasterError,
    GridMismatchError,
    RasterNotFoundError,
    RasterUnreadableError,
)
from unigeoseg.geo.array import ArrayReader
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.tile import plan_tiles

_LOOK = 1024
"""Longest side, in pixels, of the decimated read that the stretch is taken from."""


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


@dataclass(frozen=True, slots=True)
class Stretch:
    """The values of the scene that become 0 and 255, one pair per band.

    Attributes:
        low: Values of red, green and blue that become 0.
        high: Values that become 255, each above its low.
    """

    low: tuple[float, float, float] = (0.0, 0.0, 0.0)
    high: tuple[float, float, float] = (255.0, 255.0, 255.0)

    @classmethod
    def of(cls, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> "Stretch":
        """The 2nd and 98th percentiles of the valid pixels, per band.

        Args:
            pixels: (3, h, w) of any real type; uint8 gives the identity.
            valid: (h, w) bool, with at least one True unless the pixels are uint8.
        """
        if pixels.dtype == np.uint8:
            return cls()
        low, high = np.percentile(pixels[:, valid].astype(np.float64), (2, 98), axis=1)
        high = np.where(high > low, high, low + 1)
        return cls(_triple(low), _triple(high))

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Stretch pixels (3, h, w) to uint8, cut at both ends; NaN becomes 0."""
        if pixels.dtype == np.uint8 and self == Stretch():
            return pixels
        low = np.asarray(self.low, np.float64)[:, None, None]
        high = np.asarray(self.high, np.float64)[:, None, None]
        unit = np.nan_to_num((pixels.astype(np.float64) - low) / (high - low), nan=0.0)
        return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


class Reader(Protocol):
    """What a scene needs from its source."""

    def read(
        self, window: Window, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels (3, h, w) in the source's type and valid (h, w), resampled to `shape`."""
        ...

    def close(self) -> None:
        """Release the source."""
        ...


class Scene:
    """A whole image, read lazily. Open one with `open_scene` or `scene_from_array`.

    Use it as a context manager, or call `close`.

    Attributes:
        name: File name or a name given by the caller.
        grid: The grid of the whole scene.
        stretch: How its values become 8 bits, the same in every window.
    """

    def __init__(self, name: str, grid: Grid, reader: Reader) -> None:
        self.name = name
        self.grid = grid
        self._reader = reader
        self.stretch = Stretch.of(*self._look())

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
            if inside != _whole(window):
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

    def _look(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels and validity that speak for the scene, with a valid pixel among them."""
        scale = min(1.0, _LOOK / max(self.grid.shape))
        height, width = (max(1, round(side * scale)) for side in self.grid.shape)
        whole = Window(0, 0, self.grid.width, self.grid.height)
        pixels, valid = self._reader.read(whole, (height, width))
        if valid.any():
            return pixels, valid
        # A few valid pixels can slip through a decimated read: look everywhere once.
        for window in plan_tiles(self.grid.width, self.grid.height, 2 * _LOOK, 0):
            pixels, valid = self._reader.read(window, (window.height, window.width))
            if valid.any():
                return pixels, valid
        raise EmptyRasterError(
            f"{self.name} has no valid pixel (all nodata or transparent); check its nodata value"
        )


class _FileReader:
    """Reads the chosen bands of an open rasterio dataset."""

    def __init__(self, dataset: DatasetReader, bands: Sequence[int] | None) -> None:
        self._dataset = dataset
        self._palette = None if bands else _palette(dataset)
        self._bands = _rgb_bands(dataset, bands)

    def read(
        self, window: Window, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See `Reader.read`."""
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


def open_scene(path: str | Path, bands: Sequence[int] | None = None) -> Scene:
    """Open any raster that GDAL reads, with or without georeference.

    Args:
        path: A file, or anything rasterio opens (``/vsizip/...``, ``s3://...``).
        bands: One or three 1-based band numbers for red, green and blue; None to choose as
            the module says.

    Raises:
        RasterNotFoundError: If there is no such file.
        RasterUnreadableError: If it is not a raster, or is damaged.
        EmptyRasterError: If it has no pixel, or none that is valid.
        BandsError: If the bands are not there.
    """
    dataset = _open(path)
    try:
        reader = _FileReader(dataset, bands)
        grid = Grid(dataset.width, dataset.height, dataset.transform, dataset.crs or None)
        return Scene(Path(path).name, grid, reader)
    except BaseException:
        dataset.close()
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


def _open(path: str | Path) -> DatasetReader:
    text = str(path)
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


def _rgb_bands(dataset: DatasetReader, bands: Sequence[int] | None) -> tuple[int, ...]:
    """Three 1-based bands, by the rules in the module's docstring."""
    if bands:
        return _checked_bands(dataset, bands)
    meaning = dataset.colorinterp
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(colour in meaning for colour in colours):
        return tuple(meaning.index(colour) + 1 for colour in colours)
    usable = [i for i, what in enumerate(meaning, start=1) if what != ColorInterp.alpha]
    if not usable:
        inner = f"; open one of its subdatasets: {dataset.subdatasets[0]}, ..."
        raise BandsError(
            f"{dataset.name} has no band with pixels{inner if dataset.subdatasets else ''}"
        )
    return tuple(usable[:3]) if len(usable) >= 3 else (usable[0],) * 3


def _checked_bands(dataset: DatasetReader, bands: Sequence[int]) -> tuple[int, ...]:
    if len(bands) not in (1, 3):
        raise BandsError(
            f"got {len(bands)} bands {list(bands)}; give three (red, green, blue) or one"
        )
    missing = [band for band in bands if not 1 <= band <= dataset.count]
    if missing:
        raise BandsError(
            f"{dataset.name} has no band {missing[0]}; bands are counted from 1 to {dataset.count}"
        )
    return tuple(bands) * (3 // len(bands))


def _palette(dataset: DatasetReader) -> NDArray[np.uint8] | None:
    """Colours (4, N) uint8 RGBA of a palette image; None for any other."""
    if ColorInterp.palette not in dataset.colorinterp[:1]:
        return None
    colours = dataset.colormap(1)
    table = np.zeros((4, max(colours) + 1), np.uint8)
    for index, colour in colours.items():
        table[:, index] = colour
    return table


def _whole(window: Window) -> Window:
    return Window(*(int(value) for value in window.flatten()))


def _clip(window: Window, grid: Grid) -> Window:
    """The part of a window inside the scene, in whole pixels; 0 wide or high if none is."""
    x, y, width, height = _whole(window).flatten()
    x0, y0 = min(max(x, 0), grid.width), min(max(y, 0), grid.height)
    x1, y1 = (
        min(max(end, start), size)
        for end, start, size in ((x + width, x0, grid.width), (y + height, y0, grid.height))
    )
    return Window(x0, y0, x1 - x0, y1 - y0)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    assert math.isfinite(red + green + blue), "a stretch is taken from finite pixels"
    return red, green, blue


def _reason(error: BaseException) -> str:
    """First line of the innermost cause: GDAL explains itself there."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]
