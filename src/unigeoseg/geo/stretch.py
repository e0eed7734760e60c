"""Contrast stretch: values of a scene to 8 bits, the same everywhere in it, reusable elsewhere."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from unigeoseg.errors import OptionError

TAG = "UNIGEOSEG_STRETCH"
"""The tag of an output that holds its scene's stretch."""
_PERCENTILES = (2, 98)  # become black and white


@dataclass(frozen=True, slots=True)
class Stretch:
    """The values of the scene that become 0 and 255, one pair per band.

    Attributes:
        low: Values of red, green and blue that become 0.
        high: Values that become 255, each above its low.

    Raises:
        OptionError: If a number is not finite, or a high not above its low.
    """

    low: tuple[float, float, float] = (0.0, 0.0, 0.0)
    high: tuple[float, float, float] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        """Check the numbers."""
        pairs = list(zip(self.low, self.high, strict=True))
        if not all(math.isfinite(low + high) and low < high for low, high in pairs):
            raise OptionError(
                f"the stretch is {self.text()}; each band needs two finite numbers, low before high"
            )

    @classmethod
    def of(cls, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> "Stretch":
        """The 2nd and 98th percentiles of the valid pixels, per band.

        Args:
            pixels: (3, h, w) of any real type; uint8 gives the identity.
            valid: (h, w) bool, with at least one True unless the pixels are uint8.
        """
        if pixels.dtype == np.uint8:
            return cls()
        low, high = np.percentile(pixels[:, valid].astype(np.float64), _PERCENTILES, axis=1)
        high = np.where(high > low, high, low + 1)
        return cls(_triple(low), _triple(high))

    @classmethod
    def parse(cls, text: str) -> "Stretch":
        """From "LOW,HIGH" of all bands, or "L,H,L,H,L,H" of red, green and blue.

        Raises:
            OptionError: If it is neither.
        """
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (2, 6):
            raise OptionError(
                f"the stretch is {text!r}; give LOW,HIGH or three such pairs, or a raster whose "
                f"tag {TAG} has one"
            )
        triple = np.array(numbers * (6 // len(numbers)))
        return cls(_triple(triple[::2]), _triple(triple[1::2]))

    @classmethod
    def read(cls, text: str) -> "Stretch":
        """From numbers as in `parse`, or from the tags of a raster that was written by us.

        Raises:
            OptionError: If it is neither.
        """
        if not Path(text).is_file():
            return cls.parse(text)
        try:
            with rasterio.open(text) as dataset:
                stretch = cls.from_tags(dataset.tags())
        except RasterioError as error:
            raise OptionError(f"no stretch can be read from {text}: {error}") from error
        if stretch is None:
            raise OptionError(f"{text} has no tag {TAG}; give a mask that was written by unigeoseg")
        return stretch

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Stretch | None":
        """What `text` has put into the tags of an output; None if it is not there.

        Raises:
            OptionError: If it was changed by hand into something else.
        """
        return cls.parse(tags[TAG]) if TAG in tags else None

    def text(self) -> str:
        """Six numbers "L,H,L,H,L,H" that `parse` reads back exactly."""
        pairs = zip(self.low, self.high, strict=True)
        return ",".join(json.dumps(number) for pair in pairs for number in pair)

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Stretch pixels (3, h, w) to uint8, cut at both ends; NaN becomes 0."""
        if pixels.dtype == np.uint8 and self == Stretch():
            return pixels
        # integers of 16 bits are exact in float32
        dtype: Any = np.float32 if pixels.dtype.itemsize <= 2 else np.float64
        low = np.asarray(self.low, dtype)[:, None, None]
        high = np.asarray(self.high, dtype)[:, None, None]
        unit: NDArray[Any] = np.nan_to_num((pixels.astype(dtype) - low) / (high - low), nan=0.0)
        scaled: NDArray[np.uint8] = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
        return scaled


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
