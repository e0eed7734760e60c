"""Scenes from arrays in memory: their layout, and windows of them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import BandsError, EmptyRasterError

_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA: a last axis of so many holds channels
_RGBA = 4
_WHITE = 255


@dataclass(frozen=True, slots=True, eq=False)
class ArrayReader:
    """Reads windows of an array held in memory, without copying it whole.

    Attributes:
        pixels: (3, H, W) view of the colours, of any real type.
        valid: (H, W) bool from alpha; None when every pixel is opaque.
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_] | None

    @classmethod
    def of(cls, array: NDArray[Any]) -> "ArrayReader":
        """Find the layout of (H, W), (H, W, C) or (C, H, W).

        Raises:
            BandsError: If it is none of them, or not of a real type.
            EmptyRasterError: If it has no pixel.
        """
        if array.dtype.kind not in "buif":
            raise BandsError(f"pixels are {array.dtype}; give integers or floating point")
        if array.size == 0 and array.ndim in (2, 3):
            raise EmptyRasterError(f"the array of shape {array.shape} has no pixel")
        # to channels first, (C, H, W)
        if array.ndim == 2:
            array = array[None]
        elif array.ndim != 3:
            raise BandsError(
                f"the array has shape {array.shape}; give (H, W), (H, W, 3) or (C, H, W)"
            )
        elif array.shape[2] in _CHANNELS:
            array = np.moveaxis(array, 2, 0)
            if array.shape[0] == _RGBA:
                return cls(array[:3], array[3] > 0)
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * np.uint8(_WHITE)
        colours = array[:3] if array.shape[0] >= 3 else array[[0, 0, 0]]
        return cls(colours, None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (H, W)."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    @property
    def overviews(self) -> bool:
        """Whether a decimated read of the whole is cheap: memory is."""
        return True

    @property
    def rowwise(self) -> bool:
        """See `Reader.rowwise`."""
        return False

    def read(
        self, window: Window, shape: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels (3, h, w) in the array's type and valid (h, w), resampled to `shape`."""
        rows, cols = window.toslices()
        pixels = self.pixels[:, rows, cols]
        valid = (
            np.ones(pixels.shape[1:], np.bool_) if self.valid is None else self.valid[rows, cols]
        )
        if pixels.dtype.kind == "f":
            valid = valid & np.isfinite(pixels).all(axis=0)
        if valid.shape == shape:
            return pixels, valid
        return resize_bands(pixels, shape), resize_bands(valid[None].astype(np.uint8), shape)[0] > 0

    def close(self) -> None:
        """Nothing to release: the array belongs to the caller."""


def resize_bands(pixels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Resample (C, H, W) to `shape` (h, w), averaging when it shrinks, in the same type."""
    shrinks = shape[0] <= pixels.shape[1] and shape[1] <= pixels.shape[2]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    dtype = np.uint8 if pixels.dtype == np.uint8 else np.float32  # what OpenCV resizes
    bands = [
        cv2.resize(np.ascontiguousarray(band, dtype), shape[::-1], interpolation=interpolation)
        for band in pixels
    ]
    return np.stack(bands).astype(pixels.dtype)
