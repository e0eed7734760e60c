"""Rasterization of polygons, run-lengths and boxes into objects in pixels of an image."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from pycocotools import mask as coco
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from unigeoseg.data.sources.annotated import LabelledBox, LabelledObject
from unigeoseg.data.sources.readers.reading import RejectedError
from unigeoseg.errors import DataError
from unigeoseg.geo.masks import decode_mask, encode_mask, tight_box

Shape = tuple[int, int]

_OUTLINE_PX = 2  # by which a mask may reach beyond its polygon
_FAR = 100  # image sides beyond which a coordinate is taken for damage
_LEAST_AREA = 1e-6  # square pixels of a box


def object_from_polygons(
    category: int, rings: Sequence[Any], shape: Shape
) -> LabelledObject | None:
    """An object from COCO polygons, flat lists x0, y0, x1, y1, ...; parts are joined.

    Args:
        category: Its category id.
        rings: The polygons.
        shape: Rows and columns (H, W) of the image; what lies outside is cut off.

    Returns:
        The object, or None if nothing of it lies in the image.

    Raises:
        RejectedError: If a polygon is no list of at least three finite points near the image.
    """
    points = [_points(ring, shape) for ring in rings]
    if not points:
        raise RejectedError("broken_label", "a polygon without points; give at least three")
    every = np.concatenate(points)
    x0, y0 = (max(0, math.floor(low)) for low in every.min(axis=0))
    x1 = min(shape[1], math.ceil(every[:, 0].max()) + 1)
    y1 = min(shape[0], math.ceil(every[:, 1].max()) + 1)
    if x1 <= x0 or y1 <= y0:
        return None
    shifted = [(ring - (x0, y0)).ravel().tolist() for ring in points]
    runs = coco.merge(coco.frPyObjects(shifted, y1 - y0, x1 - x0))
    return object_from_window(category, coco.decode(runs).astype(np.bool_), x0, y0)


def object_from_rle(category: int, rle: Any, shape: Shape) -> LabelledObject | None:  # noqa: ANN401
    """An object from COCO run-lengths, compressed or not; None if it is empty.

    Raises:
        RejectedError: If the runs do not fill the image.
    """
    counts = rle.get("counts") if isinstance(rle, dict) else None
    if counts is None or rle.get("size") != list(shape):
        raise RejectedError(
            "broken_label", f"run-lengths do not have the image's size {list(shape)}"
        )
    if isinstance(counts, list):
        if not all(isinstance(run, int) and run >= 0 for run in counts) or sum(counts) != (
            shape[0] * shape[1]
        ):
            raise RejectedError("broken_label", "run-lengths do not fill the image")
        values = np.arange(len(counts)) % 2 == 1
        mask = np.repeat(values, counts).reshape(shape, order="F")
    elif isinstance(counts, str):
        mask = _decompressed(counts, shape)
    else:
        raise RejectedError("broken_label", "run-lengths are neither a list nor a string")
    return object_from_window(category, mask, 0, 0)


def _decompressed(counts: str, shape: Shape) -> NDArray[np.bool_]:
    try:
        mask = decode_mask({"size": list(shape), "counts": counts})
    except DataError as error:
        raise RejectedError("broken_label", str(error)) from error
    # The decoder leaves what short runs do not reach as it finds it in memory.
    if encode_mask(mask)["counts"] != counts:
        raise RejectedError("broken_label", "run-lengths do not fill the image")
    return mask


def object_from_geometry(
    category: int, geometry: BaseGeometry, shape: Shape
) -> LabelledObject | None:
    """An object from a polygon in pixels, holes kept; None if nothing lies in the image."""
    inside = shapely.intersection(geometry, shapely.box(0, 0, shape[1], shape[0]))
    if inside.is_empty or inside.area == 0:
        return None
    x0, y0, x1, y1 = (round(value) for value in _whole_bounds(inside))
    moved = shapely.transform(inside, lambda xy: xy - (x0, y0))
    mask = rasterize([(moved, 1)], out_shape=(y1 - y0, x1 - x0), dtype=np.uint8)
    return object_from_window(category, mask.astype(np.bool_), x0, y0)


def object_from_mask(category: int, mask: NDArray[np.bool_]) -> LabelledObject | None:
    """An object from a mask of the whole image; None if it is empty."""
    return object_from_window(category, mask, 0, 0)


def object_from_window(
    category: int, mask: NDArray[np.bool_], x: int, y: int
) -> LabelledObject | None:
    """An object in its tight window, from a mask whose corner is at x, y; None if empty."""
    box = tight_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    return LabelledObject(category, x + x0, y + y0, mask[y0:y1, x0:x1].copy())


def box_from_corners(
    category: int, corners: Sequence[Sequence[float]], shape: Shape
) -> LabelledBox | None:
    """A box from four corners; None if it lies outside the image.

    Upright boxes are cut at the image's edge; rotated ones that reach over it stay whole.

    Raises:
        RejectedError: If a corner is not finite and near the image, or the box has no extent.
    """
    points = np.asarray(corners, np.float64)
    if points.shape != (4, 2) or not (np.abs(points) <= _FAR * max(shape)).all():
        raise RejectedError("broken_label", "a box needs four corners, finite and near the image")
    area = abs(_signed_area(points))
    if area < _LEAST_AREA:
        raise RejectedError("box_extent", "a box has no extent", area, 0)
    upright = len(np.unique(points[:, 0])) == 2 and len(np.unique(points[:, 1])) == 2
    if upright:
        points = points.clip((0, 0), (shape[1], shape[0]))
        visible = abs(_signed_area(points)) > 0
    else:
        frame = shapely.box(0, 0, shape[1], shape[0])
        visible = shapely.convex_hull(shapely.MultiPoint(points)).intersection(frame).area > 0
    return LabelledBox(category, points.astype(np.float32)) if visible else None


def upright_corners(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    """Corners of an upright box, clockwise from the upper left.

    Raises:
        RejectedError: If its right lies not right of its left, or its bottom not below its top.
    """
    if not (x1 > x0 and y1 > y0):
        extent = min(x1 - x0, y1 - y0)
        raise RejectedError("box_extent", f"a box of {x1 - x0} x {y1 - y0} pixels", extent, 0)
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def rasterize_objects(objects: Sequence[LabelledObject | None], shape: Shape) -> NDArray[np.uint16]:
    """The number of the object, from 1, that each pixel shows (H, W); later ones lie on top."""
    regions = np.zeros(shape, np.uint16)
    for number, item in enumerate(objects, start=1):
        if item is None:
            continue
        height, width = item.mask.shape
        window = regions[item.y : item.y + height, item.x : item.x + width]
        window[item.mask] = number
    return regions


def snap_to_mask(regions: NDArray[np.uint16], mask: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Regions snapped to a class mask (H, W): the mask is the truth.

    What is drawn outside is cut, and the mask's outline, which renderers draw more or less thick,
    goes to the object beside it.
    """
    regions = regions.copy()
    for _ in range(_OUTLINE_PX):
        neighbours = cv2.dilate(regions, np.ones((3, 3), np.uint8))
        outline = (regions == 0) & mask
        regions[outline] = neighbours[outline]
    regions[~mask] = 0
    return regions


def _points(ring: Any, shape: Shape) -> NDArray[np.float64]:  # noqa: ANN401 - from a file
    try:
        flat = np.asarray(ring, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise RejectedError("broken_label", f"a polygon is no list of numbers: {error}") from error
    far = _FAR * max(shape)
    if flat.ndim != 1 or flat.size < 6 or flat.size % 2 or not (np.abs(flat) <= far).all():
        raise RejectedError(
            "broken_label", "a polygon needs three or more points x, y, finite and near the image"
        )
    return flat.reshape(-1, 2)


def _whole_bounds(geometry: BaseGeometry) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = geometry.bounds
    return math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)


def _signed_area(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)
