"""The grid of a raster: its size, its affine transform and its CRS.

Pixel coordinates are ``(x, y)``: x to the right, y down, the first pixel's centre at
(0.5, 0.5). Map coordinates are ``(x, y)`` in the units of the CRS: easting then northing,
longitude then latitude, whatever the axis order of the CRS's authority.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.windows import Window

from unigeoseg.errors import (
    EmptyRasterError,
    GridMismatchError,
    NoGeoreferenceError,
    PromptError,
    UnknownCrsError,
)

WGS84 = CRS.from_epsg(4326)
"""Longitude and latitude in degrees, as used by GeoJSON."""

_WEB_MERCATOR = 3857
_ELLIPSOID = Geod(ellps="WGS84")
_EQUAL_AREA = CRS.from_proj4("+proj=cea +ellps=WGS84 +units=m")


@dataclass(frozen=True, slots=True)
class Grid:
    """Georeference of a raster: where its pixels lie.

    Attributes:
        width: Number of columns, at least 1.
        height: Number of rows, at least 1.
        transform: Affine map from pixel ``(x, y)`` to map ``(x, y)``.
        crs: Coordinate reference system of the map coordinates; None without georeference.

    Raises:
        EmptyRasterError: If width or height is below 1.
        GridMismatchError: If the transform cannot be inverted.
    """

    width: int
    height: int
    transform: Affine
    crs: CRS | None

    def __post_init__(self) -> None:
        """Check the size and the transform."""
        if self.width < 1 or self.height < 1:
            raise EmptyRasterError(
                f"the raster is {self.width} x {self.height} pixels; at least 1 x 1 is needed"
            )
        if not math.isfinite(self.transform.determinant) or self.transform.determinant == 0:
            raise GridMismatchError(
                f"the transform {tuple(self.transform)[:6]} has no inverse; "
                "write the raster again with a valid geotransform"
            )

    @classmethod
    def of_image(cls, width: int, height: int) -> "Grid":
        """Grid of a plain image: map coordinates are pixel coordinates, y down, no CRS."""
        return cls(width, height, Affine.identity(), None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, ``(H, W)``."""
        return self.height, self.width

    @property
    def georeferenced(self) -> bool:
        """Whether the grid has a CRS."""
        return self.crs is not None

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Envelope ``(left, bottom, right, top)`` in CRS units, also of a rotated grid."""
        corners = [
            self.to_map(x, y)
            for x, y in ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))
        ]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def gsd_m(self) -> float | None:
        """Ground sample distance in metres per pixel; None without a CRS.

        A projected CRS gives the square root of the pixel's area by its linear unit. A
        geographic CRS, and Web Mercator (which stretches the ground with latitude), are
        measured on the ellipsoid at the grid's centre.
        """
        if self.crs is None:
            return None
        if self._on_ellipsoid:
            return self._ground_gsd_m()
        if not self.crs.is_projected:
            return None
        factor = float(self.crs.linear_units_factor[1])
        return math.sqrt(abs(self.transform.determinant)) * factor

    def to_map(self, x: float, y: float) -> tuple[float, float]:
        """Pixel coordinates to map coordinates in CRS units."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        return a * x + b * y + c, d * x + e * y + f

    def to_pixel(self, x: float, y: float, crs: CRS | str | None = None) -> tuple[float, float]:
        """Map coordinates to pixel coordinates, which may lie outside the raster.

        Args:
            x: Easting or longitude in the units of `crs`.
            y: Northing or latitude in the units of `crs`.
            crs: CRS of x and y; None for the grid's own.

        Raises:
            NoGeoreferenceError: If `crs` is given and the grid has none to go to.
            UnknownCrsError: If `crs` is a text that names no CRS.
            PromptError: If the position does not exist in the grid's CRS.
        """
        if crs is not None:
            x, y = self._from_crs(x, y, crs)
        a, b, c, d, e, f = tuple(~self.transform)[:6]
        return a * x + b * y + c, d * x + e * y + f

    @property
    def _on_ellipsoid(self) -> bool:
        """Whether metres are measured on the ellipsoid, not in the plane of the CRS."""
        return self.crs is not None and (
            self.crs.is_geographic or self.crs.to_epsg() == _WEB_MERCATOR
        )

    @property
    def anchor(self) -> tuple[int, int]:
        """Column and row of the first pixel, counted from the origin of the CRS.

        Cuts of one mosaic that lie on its pixels agree on them. (0, 0) without a CRS.
        """
        if self.crs is None:
            return 0, 0
        x, y = self.to_pixel(0, 0)
        return -round(x), -round(y)

    def metres_per_unit(self, x: float, y: float) -> tuple[float, float] | None:
        """Metres of one unit of the CRS to the right and up, at a place in map coordinates.

        None without a CRS that has metres.
        """
        if self.crs is None or self.gsd_m is None:
            return None
        if not self._on_ellipsoid:
            factor = float(self.crs.linear_units_factor[1])
            return factor, factor
        step = math.sqrt(abs(self.transform.determinant))
        return self._ground_m(x, y, step, 0) / step, self._ground_m(x, y, 0, step) / step

    def cell_areas_m2(self, window: Window) -> NDArray[np.float64] | None:
        """Square metres of a pixel in each row (h,) of a window; None without a CRS.

        A projected CRS gives its own plane. In a geographic CRS, and in Web Mercator, cells are
        measured on the ellipsoid, at the window's middle column.
        """
        if self.gsd_m is None:
            return None
        height = int(window.height)
        if not self._on_ellipsoid:
            return np.full(height, self.gsd_m**2)
        row = window.row_off + np.arange(height)
        left = np.full(height, window.col_off + (window.width - 1) / 2)
        a, b, c, d, e, f = tuple(self.transform)[:6]
        # the four corners of every cell in order around it, each (h,) x and y
        pixels = [(left + dx, row + dy) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))]
        corners = [(a * x + b * y + c, d * x + e * y + f) for x, y in pixels]
        # in an equal-area projection a small cell's corners span its area
        to_plane = transformer(self.crs, _EQUAL_AREA)
        x, y = np.moveaxis(np.array([to_plane.transform(*corner) for corner in corners]), 1, 0)
        # the shoelace formula along axis 0, the corners
        cross_products = x * np.roll(y, -1, axis=0) - np.roll(x, -1, axis=0) * y
        areas: NDArray[np.float64] = np.abs(cross_products.sum(axis=0)) / 2
        return areas

    def for_window(self, window: Window) -> "Grid":
        """Grid of a window of whole pixels, which may reach outside this grid."""
        offset = Affine.translation(window.col_off, window.row_off)
        return Grid(int(window.width), int(window.height), self.transform @ offset, self.crs)

    def resized(self, width: int, height: int) -> "Grid":
        """Grid over the same ground with another number of pixels."""
        scale = Affine.scale(self.width / width, self.height / height)
        return Grid(width, height, self.transform @ scale, self.crs)

    def _from_crs(self, x: float, y: float, crs: CRS | str) -> tuple[float, float]:
        if self.crs is None:
            raise NoGeoreferenceError(
                "map coordinates were given but the raster has no CRS; give pixel coordinates"
            )
        source = parse_crs(crs) if isinstance(crs, str) else crs
        try:
            projected: tuple[float, float] = transformer(source, self.crs).transform(x, y)
        except ProjError as error:
            raise PromptError(
                f"({x}, {y}) in {source} cannot be moved to {self.crs}: {error}"
            ) from error
        if not all(math.isfinite(value) for value in projected):
            raise PromptError(
                f"({x}, {y}) in {source} does not exist in {self.crs}, the raster's CRS; "
                "check the order (x or longitude first) and the CRS"
            )
        return projected

    def _ground_gsd_m(self) -> float:
        """Geometric mean of one pixel's two steps on the ellipsoid, at the centre."""
        x, y = self.to_map(self.width / 2, self.height / 2)
        a, b, _, d, e, _ = tuple(self.transform)[:6]
        return math.sqrt(self._ground_m(x, y, a, d) * self._ground_m(x, y, b, e))

    def _ground_m(self, x: float, y: float, dx: float, dy: float) -> float:
        """Metres on the ellipsoid of a step (dx, dy) from (x, y), all in CRS units."""
        to_degrees = transformer(self.crs, WGS84)
        start, end = to_degrees.transform(x, y), to_degrees.transform(x + dx, y + dy)
        _, _, distance_m = _ELLIPSOID.inv(*start, *end)
        return float(distance_m)


def parse_crs(text: str) -> CRS:
    """Parse a CRS given by a user: "EPSG:32650", a PROJ string or WKT.

    Raises:
        UnknownCrsError: If PROJ does not know it.
    """
    try:
        crs = CRS.from_user_input(int(text) if text.strip().isdigit() else text.strip())
    except (CRSError, ValueError, OverflowError) as error:  # int() takes 4,300 digits at most
        raise UnknownCrsError(
            f"{text[:80]!r} is not a known CRS; give an EPSG code such as EPSG:4326 or EPSG:32650"
        ) from error
    if not crs:
        raise UnknownCrsError("the CRS is empty; give an EPSG code such as EPSG:4326")
    return crs


@lru_cache(maxsize=16)
def transformer(source: CRS, target: CRS) -> Transformer:
    """Map coordinates of one CRS to another, x before y in both."""
    return Transformer.from_crs(source.to_wkt(), target.to_wkt(), always_xy=True)
