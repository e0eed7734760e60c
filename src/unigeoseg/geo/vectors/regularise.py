"""Regularization of building outlines: straight walls and right angles."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from unigeoseg.geo.vectors.features import Geometry

_LEAST_WALLS = 4
_LEAST_IOU = 0.8
"""An outline that is less like the one it is made of is left as that was."""


def regularise_outlines(
    shapes: Sequence[Geometry], tolerance_m: float, metres_per_unit: tuple[float, float]
) -> list[Geometry]:
    """Turn every wall into the direction of its building, or square to it, holes too.

    The direction is that of the smallest rectangle round the outline. Each outline is treated
    alone, so an edge that two of them share may part or overlap by about the tolerance.

    Args:
        shapes: In map coordinates; of one with several parts none is changed.
        tolerance_m: Metres that walls may be off, one or two pixels.
        metres_per_unit: Of the map's x and y, so that angles are right on the ground.

    Returns:
        As many, in the same order; one that would lose more than a fifth in IoU is as it was.
    """
    scale = np.array(metres_per_unit)
    return [_regularised(shape, tolerance_m, scale) for shape in shapes]


def _regularised(shape: Geometry, tolerance: float, scale: NDArray[np.float64]) -> Geometry:
    if not isinstance(shape, Polygon):
        return shape
    metric = shapely.transform(shape, lambda xy: xy * scale)
    rotation = _axis_rotation(metric)
    centre = shapely.get_coordinates(metric.centroid)
    # moved to its middle first: metres on a map have too many digits to be rotated
    aligned = shapely.transform(metric, lambda xy: (xy - centre) @ rotation)
    rings = [_squared(ring, tolerance) for ring in (aligned.exterior, *aligned.interiors)]
    if rings[0] is None:
        return shape
    square = Polygon(rings[0], [ring for ring in rings[1:] if ring is not None])
    if not square.is_valid or _iou(square, aligned) < _LEAST_IOU:
        return shape
    regular: Geometry = shapely.transform(square, lambda xy: (xy @ rotation.T + centre) / scale)
    return regular


def _axis_rotation(shape: Polygon) -> NDArray[np.float64]:
    """The matrix (2, 2) that lays the smallest rectangle round a shape along the axes."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
    x, y = (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
    return np.array([[x, -y], [y, x]])


def _squared(ring: shapely.LinearRing, tolerance: float) -> NDArray[np.float64] | None:
    """Corners (N, 2) of a ring whose walls lie along the axes; None if it has not four walls.

    Edges that lean the same way one after the other are one wall, at the mean of their places.
    """
    points = shapely.get_coordinates(shapely.simplify(ring, tolerance))
    edges = np.diff(points, axis=0)  # (E, 2)
    horizontal = np.abs(edges[:, 0]) >= np.abs(edges[:, 1])
    turns = np.flatnonzero(horizontal != np.roll(horizontal, 1))  # where a wall begins
    if len(turns) < _LEAST_WALLS:
        return None
    middles = (points[:-1] + points[1:]) / 2
    # from the first corner on, so that no wall is split between the ends of the arrays
    middles, edges, horizontal = (
        np.roll(array, -turns[0], axis=0) for array in (middles, edges, horizontal)
    )
    starts = turns - turns[0]
    # (W,) y of each horizontal wall, x of each vertical one: means weighted by length
    offsets = np.where(horizontal, middles[:, 1], middles[:, 0])
    lengths = np.linalg.norm(edges, axis=1)
    walls = np.add.reduceat(offsets * lengths, starts) / np.add.reduceat(lengths, starts)
    following = np.roll(walls, -1)
    is_horizontal = horizontal[starts]
    return np.column_stack(
        [np.where(is_horizontal, following, walls), np.where(is_horizontal, walls, following)]
    )


def _iou(first: Geometry, second: Geometry) -> float:
    return float(first.intersection(second).area / first.union(second).area)
