"""Decoding of images and masks, of any format that GDAL reads.

An image is measured by its header before it is decoded. 8-bit values stay as they are; all others
get one stretch per scene (`geo.raster.Stretch`).
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from unigeoseg.data.sources.readers.reading import RejectedError
from unigeoseg.errors import EmptyRasterError, RasterError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import open_scene

MAX_PIXELS = 400_000_000
"""Most pixels of an image: 20,000 x 20,000, 2 GB with its class mask."""
MAX_SIDE = 100_000
"""Longest side of an image in pixels."""

_PIL_DRIVERS = frozenset(("JPEG", "PNG"))
_PIL_PIXELS = 80_000_000  # below Pillow's own alarm
_PNG_TAIL = 1024  # bytes in which the end of a PNG is looked for


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """An image.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        valid: (H, W) bool, or None where every pixel is.
        grid: Where it lies, or None without georeference.
    """

    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_] | None = None
    grid: Grid | None = None


def read_image(path: Path, bands: Sequence[int] = ()) -> DecodedImage:
    """Decode an image as RGB.

    Args:
        path: The file.
        bands: 1-based bands of red, green and blue; the file's own choice if empty.

    Raises:
        RejectedError: If it is missing, damaged, empty, or larger than MAX_PIXELS or MAX_SIDE.
    """
    with _header(path) as dataset:
        is_8_bit = dataset.driver in _PIL_DRIVERS and set(dataset.dtypes) == {"uint8"}
        small = dataset.width * dataset.height < _PIL_PIXELS
    if is_8_bit and small and not bands:
        return DecodedImage(_by_pillow(path))
    return _by_gdal(path, bands)


def read_mask_codes(path: Path, *, lossy: bool = False) -> NDArray[Any]:
    """Decode a mask without changing its values.

    Returns:
        (H, W) ids for a file of one band, with or without palette; else (H, W, 3) uint8 colours.

    Raises:
        RejectedError: If it is missing, damaged or too large, a JPEG although `lossy` is not set,
            or its values are neither ids from 0 to 65535 nor 8-bit colours.
    """
    with _header(path) as dataset:
        if dataset.driver == "JPEG" and not lossy:
            raise RejectedError(
                "lossy_mask",
                f"{path.name} is a JPEG, which changes class codes; give PNG or TIFF, "
                "or declare the masks lossy",
            )
        codes = _read(dataset, [1] if dataset.count < 3 else [1, 2, 3])
    if codes.shape[0] == 3:
        if codes.dtype != np.uint8:
            raise RejectedError(
                "broken_label", f"{path.name} has {codes.dtype} colours; give 8 bits"
            )
        return np.moveaxis(codes, 0, 2)
    return _as_ids(codes[0], path)


def mask_palette(path: Path) -> dict[int, tuple[int, int, int]] | None:
    """Colour (r, g, b) of each id that a mask's palette has; None without a palette."""
    with _header(path) as dataset:
        try:
            entries = dataset.colormap(1)
        except ValueError:
            return None
    return {index: (red, green, blue) for index, (red, green, blue, *_) in entries.items()}


@contextmanager
def _header(path: Path) -> Iterator[DatasetReader]:
    """The open file, after its size was checked; GDAL's errors become rejections."""
    if not path.is_file():
        raise RejectedError("missing_image", f"{path.name} is missing")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            # Without this option GDAL fills what a cut JPEG lacks with grey.
            with (
                rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True),
                rasterio.open(path) as dataset,
            ):
                _check_size(path, dataset.width, dataset.height)
                if dataset.driver == "PNG":
                    _check_end(path)
                yield dataset
        except (RasterioError, OSError) as error:
            raise RejectedError(
                "unreadable_image", f"{path.name} is damaged: {_reason(error)}"
            ) from error


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise RejectedError(
            "image_size",
            f"{path.name} is {width} x {height} pixels; cut it into tiles of at most "
            f"{MAX_SIDE} a side and {MAX_PIXELS} pixels",
            width * height,
            MAX_PIXELS,
        )


def _check_end(path: Path) -> None:
    """Reject a PNG that was cut: GDAL would fill what is missing with zeros."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _PNG_TAIL))
        if b"IEND" not in file.read():
            raise RejectedError(
                "unreadable_image", f"{path.name} is damaged: the file is truncated"
            )


def _by_pillow(path: Path) -> NDArray[np.uint8]:
    try:
        with PIL.Image.open(path) as image:
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise RejectedError("unreadable_image", f"{path.name} is damaged: {error}") from error


def _by_gdal(path: Path, bands: Sequence[int]) -> DecodedImage:
    try:
        with (
            rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True),
            open_scene(path, bands or None) as scene,
        ):
            raster = scene.read()
    except EmptyRasterError as error:
        raise RejectedError("empty_image", str(error)) from error
    except RasterError as error:
        raise RejectedError("unreadable_image", str(error)) from error
    return DecodedImage(
        np.ascontiguousarray(np.moveaxis(raster.array, 0, 2)),
        None if raster.valid.all() else raster.valid,
        raster.grid if raster.grid.georeferenced else None,
    )


def _read(dataset: DatasetReader, bands: list[int]) -> NDArray[Any]:
    pixels: NDArray[Any] = dataset.read(bands)
    return pixels


def _as_ids(codes: NDArray[Any], path: Path) -> NDArray[Any]:
    if codes.dtype.kind == "f":
        finite = np.nan_to_num(codes, nan=-1)
        if (finite != np.rint(finite)).any():
            raise RejectedError(
                "broken_label", f"{path.name} has fractions; class ids are whole numbers"
            )
        codes = finite.clip(-1, 65536).astype(np.int32)
    if codes.dtype.kind not in "iu":
        raise RejectedError(
            "broken_label", f"{path.name} is {codes.dtype}; class ids are whole numbers"
        )
    if codes.dtype.itemsize > 2 or codes.dtype.kind == "i":
        low, high = int(codes.min()), int(codes.max())
        if low < 0 or high > 65535:
            raise RejectedError(
                "unknown_id", f"{path.name} has ids {low} to {high}; 0 to 65535 are possible", high
            )
    return codes


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]
