"""Area of interest: the part of a scene in which results are wanted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from rasterio.windows import Window

from unigeoseg.errors import AreaError, AreaOutsideError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.vectors.reader import read_shapes


@dataclass(frozen=True, slots=True)
class Area:
    """An area of interest: a polygon on a scene, or all of it.

    Attributes:
        window: The least window of whole pixels that holds it.
        shape: The polygon in pixels of the scene; None where it is the window.
    """

    window: Window
    shape: shapely.Geometry | None = None

    @classmethod
    def of_grid(cls, grid: Grid) -> "Area":
        """All of a scene."""
        return cls(Window(0, 0, grid.width, grid.height))

    @classmethod
    def from_file(cls, path: str | Path, grid: Grid) -> "Area":
        """The polygons of a GeoJSON, GeoPackage or other file of vectors, cut to a scene.

        Raises:
            AreaError: If it cannot be read or has no polygon.
            AreaOutsideError: If it lies off the scene.
        """
        polygons = [
            part.buffer(0)
            for shape in read_shapes(path, grid)
            for part in getattr(shape.geometry, "geoms", [shape.geometry])
            if part.geom_type == "Polygon"
        ]
        if not polygons:
            raise AreaError(f"{path} has no polygon; draw the area as one")
        scene = shapely.box(0, 0, grid.width, grid.height)
        inside = shapely.union_all(polygons).intersection(scene)
        if inside.area == 0:
            raise AreaOutsideError(
                f"{path} does not overlap the scene, which spans {_rounded(grid.bounds)} in "
                f"{grid.crs}; check the area and its CRS"
            )
        x0, y0, x1, y1 = inside.bounds
        left, top = int(np.floor(x0)), int(np.floor(y0))
        return cls(Window(left, top, int(np.ceil(x1)) - left, int(np.ceil(y1)) - top), inside)

    def touches(self, window: Window) -> bool:
        """Whether a window has a part of the area."""
        return self.shape is None or bool(self.shape.intersects(_box(window)))

    def clip(self, window: Window) -> Window:
        """The part of a window in the area's window; 0 wide or high if there is none."""
        (y0, y1), (x0, x1) = window.toranges()
        (top, bottom), (left, right) = self.window.toranges()
        x0, y0 = max(x0, left), max(y0, top)
        return Window(x0, y0, max(min(x1, right) - x0, 0), max(min(y1, bottom) - y0, 0))

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """Pixels (h, w) of a window whose centres lie in the area."""
        size = int(window.height), int(window.width)
        if self.shape is None or self.shape.contains(_box(window)):
            return np.ones(size, np.bool_)
        to_scene = Affine.translation(window.col_off, window.row_off)  # pixels of the window
        inside: NDArray[np.bool_] = geometry_mask([self.shape], size, to_scene, invert=True)
        return inside


def _box(window: Window) -> shapely.Polygon:
    (y0, y1), (x0, x1) = window.toranges()
    return shapely.box(x0, y0, x1, y1)


def _rounded(bounds: tuple[float, ...]) -> str:
    return f"({', '.join(f'{bound:.6g}' for bound in bounds)})"
