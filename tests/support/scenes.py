"""Builders of tiny real rasters."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

ROOF = (20, 30, 30, 36)
"""The bright roof of `roof`: x0, y0, x1, y1 in pixels."""
UTM50 = Affine(0.5, 0, 500_000, 0, -0.5, 4_400_000)


def write(path: Path, array: np.ndarray, **options) -> Path:
    """Write (C, H, W) with rasterio; the driver follows from the suffix unless given."""
    colours: Sequence[ColorInterp] | None = options.pop("colorinterp", None)
    colormap = options.pop("colormap", None)
    driver = {".tif": "GTiff", ".jpg": "JPEG", ".png": "PNG"}[path.suffix]
    count, height, width = array.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver=driver,
            width=width,
            height=height,
            count=count,
            dtype=array.dtype,
            **options,
        ) as dataset:
            dataset.write(array)
            if colours:
                dataset.colorinterp = colours
            if colormap:
                dataset.write_colormap(1, colormap)
    return path


def roof_pixels() -> np.ndarray:
    """(3, 64, 64) uint8: dark ground and one bright roof."""
    pixels = np.full((3, 64, 64), 40, np.uint8)
    pixels[:, ROOF[1] : ROOF[3], ROOF[0] : ROOF[2]] = 220
    return pixels


def roof(folder: Path) -> Path:
    """GeoTIFF at 0.5 m in EPSG:32650 with one bright 10 x 6 px roof at (x=20, y=30)."""
    return write(
        folder / "roof.tif", roof_pixels(), crs="EPSG:32650", transform=UTM50, photometric="RGB"
    )


def four_bands(folder: Path) -> Path:
    """GeoTIFF of 4 x uint16 with a ramp, nodata 0 in the upper left 8 x 8 pixels."""
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) + 100
    pixels = np.stack([ramp, ramp + 1000, ramp + 2000, ramp + 3000])
    pixels[:, :8, :8] = 0
    return write(folder / "bands.tif", pixels, crs="EPSG:32650", transform=UTM50, nodata=0)


def photo(folder: Path) -> Path:
    """JPEG without georeference."""
    return write(folder / "photo.jpg", roof_pixels(), QUALITY=95)


def geographic(folder: Path) -> Path:
    """GeoTIFF in degrees, about 1 m a pixel at 60 degrees north."""
    step = 1 / 111_320
    transform = Affine(step * 2, 0, 10, 0, -step, 60)
    return write(folder / "degrees.tif", roof_pixels(), crs="EPSG:4326", transform=transform)


def rotated(folder: Path) -> Path:
    """GeoTIFF at 0.5 m turned by 30 degrees."""
    transform = UTM50 @ Affine.rotation(30)
    return write(folder / "rotated.tif", roof_pixels(), crs="EPSG:32650", transform=transform)
