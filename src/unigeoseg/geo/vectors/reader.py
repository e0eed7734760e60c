"""Vector files, such as GeoJSON and GeoPackage: their features on the pixels of a grid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS

from unigeoseg.errors import AreaError
from unigeoseg.geo.grid import WGS84, Grid, transformer
from unigeoseg.geo.vectors.features import Value, to_pixels

_STEPS = 64  # edges bend when they move to another CRS: this many pieces along the longest side


@dataclass(frozen=True, slots=True)
class Shape:
    """A feature of any kind.

    Attributes:
        geometry: In pixels of a grid; without Z.
        properties: Its columns.
    """

    geometry: shapely.Geometry
    properties: dict[str, Value]


def read_shapes(path: str | Path, grid: Grid) -> list[Shape]:
    """Features of the first layer of a file, those without a geometry left out.

    Args:
        path: A file of vectors; without a CRS it is in longitude and latitude.
        grid: What their pixels are counted on.

    Raises:
        AreaError: If it cannot be read, or cannot be placed on the grid.
    """
    check_vectors(path)
    if grid.crs is None:
        raise AreaError(
            f"{path} cannot be laid on a raster without a CRS; give the raster a CRS first"
        )
    try:
        meta, _, shapes, columns = pyogrio.raw.read(path, force_2d=True)
    except (DataSourceError, DataLayerError) as error:
        reason = str(error).splitlines()[0]
        raise AreaError(f"{path} is not a readable file of vectors ({reason})") from error
    crs = CRS.from_user_input(meta["crs"]) if meta["crs"] else WGS84
    rows = zip(*columns, strict=True) if columns else ((),) * len(shapes)
    return [
        Shape(_placed(shape, crs, grid, path), _properties(meta["fields"], row))
        for shape, row in zip(shapely.from_wkb(shapes), rows, strict=True)
        if shape is not None and not shape.is_empty
    ]


def check_vectors(path: str | Path) -> None:
    """Check, before any work is done, that a file of vectors is there.

    Raises:
        AreaError: If it is not.
    """
    if not Path(path).is_file():
        raise AreaError(f"{path} does not exist; give a GeoJSON or another file of vectors")


def _placed(shape: shapely.Geometry, crs: CRS, grid: Grid, path: str | Path) -> shapely.Geometry:
    move = transformer(crs, grid.crs)

    def project(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(move.transform(xy[:, 0], xy[:, 1]))

    x0, y0, x1, y1 = shape.bounds
    longest = max(x1 - x0, y1 - y0)
    fine = shape if crs == grid.crs or not longest else shape.segmentize(longest / _STEPS)
    placed = shapely.transform(fine, project)
    if not np.isfinite(shapely.get_coordinates(placed)).all():
        raise AreaError(
            f"{path} reaches where {grid.crs}, the scene's CRS, does not; check its CRS ({crs})"
        )
    return to_pixels(placed, grid)


def _properties(names: NDArray[Any], row: tuple[Any, ...]) -> dict[str, Value]:
    """Plain values; what is no number, text or truth becomes text, and NaN nothing."""
    properties: dict[str, Value] = {}
    for name, value in zip(names, row, strict=True):
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, (str, int, float, bool, type(None))):
            value = str(value)
        properties[str(name)] = None if isinstance(value, float) and value != value else value
    return properties
