"""Polygonization: from labelled pixels to outlines on a map."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio import features as rasterio_features
from shapely.affinity import affine_transform
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.polygon import orient

from unigeoseg.geo.grid import Grid

Geometry: TypeAlias = Polygon | MultiPolygon
Value: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Feature:
    """A vector feature: a region's geometry with its properties.

    Attributes:
        geometry: In map coordinates of the grid it is written with.
        properties: Column names to plain values.
    """

    geometry: Geometry
    properties: Mapping[str, Value] = field(default_factory=dict)


def polygonize_labels(
    labels: NDArray[np.int32], left: int, top: int
) -> Iterator[tuple[int, Geometry]]:
    """Outline the 8-connected regions of equal labels, holes kept.

    Args:
        labels: (h, w) int32, 0 where nothing is.
        left: Column of their first pixel.
        top: Its row.

    Yields:
        The label of each region and its valid geometry, in pixels.
    """
    packed = np.ascontiguousarray(labels)
    to_scene = Affine.translation(left, top)
    for geometry, label in rasterio_features.shapes(
        packed, mask=packed > 0, connectivity=8, transform=to_scene
    ):
        yield int(label), _valid(shape(geometry))


def to_map(geometry: Geometry, grid: Grid) -> Geometry:
    """A geometry in pixels of a grid, in its map coordinates."""
    moved: Geometry = _moved(geometry, grid.transform)
    return moved


def to_pixels(geometry: shapely.Geometry, grid: Grid) -> shapely.Geometry:
    """A geometry in map coordinates of a grid, in its pixels."""
    return _moved(geometry, ~grid.transform)


def _moved(geometry: shapely.Geometry, transform: Affine) -> shapely.Geometry:
    a, b, c, d, e, f = tuple(transform)[:6]
    return affine_transform(geometry, (a, b, d, e, c, f))


def _valid(outline: Polygon) -> Geometry:
    """A polygon whose rings touch themselves, as areas without their lines and points."""
    if outline.is_valid:
        return join_polygons([outline])
    repaired = shapely.make_valid(outline)
    areas = [
        part
        for piece in getattr(repaired, "geoms", [repaired])
        for part in getattr(piece, "geoms", [piece])
        if isinstance(part, Polygon)
    ]
    return join_polygons(areas)


def orient_right_handed(geometry: Geometry) -> Geometry:
    """The geometry with outer rings counterclockwise and holes clockwise."""
    return join_polygons([orient(part) for part in getattr(geometry, "geoms", [geometry])])


def join_polygons(parts: list[Polygon]) -> Geometry:
    """Polygons as one geometry."""
    geometry: Geometry = parts[0] if len(parts) == 1 else MultiPolygon(parts)
    return geometry


def length_m(geometry: Geometry, grid: Grid) -> float | None:
    """Metres along the longer side of the smallest rectangle, at any angle, round a geometry.

    Args:
        geometry: In map coordinates of the grid.
        grid: Gives the metres, at the geometry's middle; None comes back where it has none.
    """
    x0, y0, x1, y1 = geometry.bounds
    scale = grid.metres_per_unit((x0 + x1) / 2, (y0 + y1) / 2)
    if scale is None:
        return None
    metric = shapely.transform(geometry, lambda xy: (xy - (x0, y0)) * scale)
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(metric))
    return float(np.hypot(*np.diff(corners, axis=0).T).max())
