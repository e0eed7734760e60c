"""Outlines of buildings with straight walls and right angles."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from unigeoseg.geo.vectors.features import Geometry

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
    return [_regular(shape, tolerance_m, scale) for shape in shapes]


def _regular(shape: Geometry, tolerance: float, scale: NDArray[np.float64]) -> Geometry:
    if not isinstance(shape, Polygon):
        return shape
    metric = shapely.transform(shape, lambda xy: xy * scale)
    turn = _turn(metric)
    centre = shapely.get_coordinates(metric.centroid)
    # moved to its middle first: metres on a map have too many digits to be turned
    turned = shapely.transform(metric, lambda xy: (xy - centre) @ turn)
    rings = [_squared(ring, tolerance) for ring in (turned.exterior, *turned.interiors)]
    if rings[0] is None:
        return shape
    square = Polygon(rings[0], [ring for ring in rings[1:] if ring is not None])
    if not square.is_valid or _iou(square, turned) < _LEAST_IOU:
        return shape
    back: Geometry = shapely.transform(square, lambda xy: (xy @ turn.T + centre) / scale)
    return back


def _turn(shape: Polygon) -> NDArray[np.float64]:
    """The matrix (2, 2) that lays the smallest rectangle round a shape along the axes."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
    x, y = (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
    return np.array([[x, -y], [y, x]])


def _squared(ring: shapely.LinearRing, tolerance: float) -> NDArray[np.float64] | None:
    """Corners (N, 2) of a ring whose walls lie along the axes; None if it has not four walls.

    Edges that lean the same way one after the other are one wall, at the mean of their places.
    """
    points = shapely.get_coordinates(shapely.simplify(ring, tolerance))
    ways = np.diff(points, axis=0)
    lying = np.abs(ways[:, 0]) >= np.abs(ways[:, 1])
    first = np.flatnonzero(lying != np.roll(lying, 1))
    if len(first) < 4:
        return None
    middles = (points[:-1] + points[1:]) / 2
    middles, ways, lying = (np.roll(each, -first[0], axis=0) for each in (middles, ways, lying))
    starts = first - first[0]
    along = np.where(lying, middles[:, 1], middles[:, 0])
    lengths = np.linalg.norm(ways, axis=1)
    places = np.add.reduceat(along * lengths, starts) / np.add.reduceat(lengths, starts)
    after = np.roll(places, -1)
    flat = lying[starts]
    return np.column_stack([np.where(flat, after, places), np.where(flat, places, after)])


def _iou(one: Geometry, other: Geometry) -> float:
    return float(one.intersection(other).area / one.union(other).area)
