"""Spatial relations and attributes of regions, in three-valued logic (Kleene's).

True, False, or None where people would not agree. Each is defined in `docs/programs.md`; numbers
are whole, lengths in hundredths of a pixel.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.programs.graph import Node, SceneGraph

Truth = bool | None
"""Yes, no, or unsure."""

_CONTACT = 8  # outline pixels along which two regions must touch

# axis, and whether the side is where the axis starts
_SIDES = {
    "left": (0, True),
    "right": (0, False),
    "top": (1, True),
    "bottom": (1, False),
    "upper": (1, True),
    "lower": (1, False),
}


def conjunction(*truths: Truth) -> Truth:
    """Logical and: no if any is no, else unsure if any is unsure."""
    return False if False in truths else None if None in truths else True


def disjunction(truths: Iterable[Truth]) -> Truth:
    """Logical or: yes if any is yes, else unsure if any is unsure."""
    values = set(truths)
    return True if True in values else None if None in values else False


def is_before(a: Node, b: Node, axis: int, unit: int) -> Truth:
    """Whether a region lies clearly to the left of another (axis 0), or above it (axis 1)."""
    gap = _centre(b, axis) - _centre(a, axis)
    (a_low, a_high), (b_low, b_high) = _extent(a, axis), _extent(b, axis)
    if gap >= unit and a_low <= b_low and a_high <= b_high:
        return True
    if -gap >= unit and a_low >= b_low and a_high >= b_high:
        return False
    return None


def is_in_place(graph: SceneGraph, node: Node, place: str) -> Truth:
    """Whether a region is in a part of the patch."""
    if place == "centre":
        return conjunction(_central(node, 0, graph.width), _central(node, 1, graph.height))
    return conjunction(*(_on_side(graph, node, *_SIDES[part]) for part in place.split("-")))


def is_at_edge(graph: SceneGraph, node: Node, side: str) -> Truth:
    """Whether a region touches a side of the patch."""
    x0, y0, x1, y1 = node.box
    gap = {"left": x0, "top": y0, "right": graph.width - x1, "bottom": graph.height - y1}[side]
    return True if gap == 0 else False if 100 * gap >= graph.unit else None


def is_beside(graph: SceneGraph, node: Node, anchor: Node) -> Truth:
    """Whether two regions touch along a stretch of outline."""
    if graph.contact(node, anchor) >= _CONTACT:
        return True
    return False if graph.distance(node, anchor) >= graph.unit else None


def is_near(graph: SceneGraph, node: Node, anchor: Node) -> Truth:
    """Whether two regions are close to each other."""
    distance = graph.distance(node, anchor)
    return True if distance <= graph.unit else False if distance >= 3 * graph.unit else None


def is_inside(graph: SceneGraph, node: Node, container: Node) -> Truth:
    """Whether a region is enclosed by another."""
    x0, y0, x1, y1 = node.box
    cut = x0 == 0 or y0 == 0 or x1 == graph.width or y1 == graph.height
    shared, ring = graph.enclosure(node, container)
    if 10 * shared >= 8 * ring and not cut:
        return True
    return False if 10 * shared <= 4 * ring else None


def is_around(graph: SceneGraph, node: Node, content: Node) -> Truth:
    """Whether a region encloses another."""
    return is_inside(graph, content, node)


def is_toward(graph: SceneGraph, node: Node, anchor: Node, axis: int, sign: int) -> Truth:
    """Whether a region lies to one side of another.

    Args:
        graph: Their graph.
        node: The region.
        anchor: The region that it is compared with.
        axis: 0 for left and right, 1 for above and below.
        sign: 1 for left or above, -1 for right or below.
    """
    along = sign * (_centre(anchor, axis) - _centre(node, axis))
    across = abs(_centre(anchor, 1 - axis) - _centre(node, 1 - axis))
    low, high = _extent(anchor, 1 - axis)
    level = 100 * low <= _centre(node, 1 - axis) <= 100 * high
    (near_low, near_high), (far_low, far_high) = _extent(node, axis), _extent(anchor, axis)
    overlap = near_high - far_low if sign > 0 else far_high - near_low
    if along >= 2 * graph.unit and 100 * overlap <= graph.unit and (level or across <= along):
        return True
    return False if along <= 0 or (across >= 2 * along and not level) else None


def is_between(node: Node, start: Node, end: Node) -> Truth:
    """Whether a region's centroid lies between those of two others."""
    dx, dy = end.x - start.x, end.y - start.y
    px, py = node.x - start.x, node.y - start.y
    length, along, across = dx * dx + dy * dy, px * dx + py * dy, abs(px * dy - py * dx)
    if length <= 4 * along <= 3 * length and 6 * across <= length:
        return True
    return False if along <= 0 or along >= length or 2 * across >= length else None


def is_running(node: Node, course: str) -> Truth:
    """Whether a region is long, and from left to right ("across") or top to bottom ("down")."""
    xx, yy, xy = node.spread
    trace, determinant = xx + yy, xx * yy - xy * xy
    # axes of ratio r have trace^2 / determinant = (r + 1 / r)^2
    long = 9 * trace * trace >= 100 * determinant
    short = 4 * trace * trace <= 25 * determinant
    lead = xx - yy if course == "across" else yy - xx
    straight = True if lead >= 3 * abs(xy) else False if lead <= 2 * abs(xy) else None
    return conjunction(True if long else False if short else None, straight)


def has_colour(graph: SceneGraph, node: Node, word: str) -> Truth:
    """Whether a colour word fits most of a region's pixels."""
    count = graph.count(node, _COLOURS[word])
    return True if 5 * count >= 3 * node.area_px else False if 5 * count <= node.area_px else None


def _white(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    low, high = rgb.min(axis=-1).astype(int), rgb.max(axis=-1).astype(int)
    return np.asarray((low >= 180) & (high - low <= 40))


def _dark(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(rgb.max(axis=-1) <= 70)


def _red(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    red, green, blue = (rgb[..., band].astype(int) for band in range(3))
    return np.asarray((red >= 100) & (10 * red >= 14 * np.maximum(green, blue)))


def _blue(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    red, green, blue = (rgb[..., band].astype(int) for band in range(3))
    return np.asarray((blue >= 90) & (10 * blue >= 13 * red) & (10 * blue >= 11 * green))


_COLOURS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.bool_]]] = {
    "white": _white,
    "dark": _dark,
    "red": _red,
    "blue": _blue,
}


def _centre(node: Node, axis: int) -> int:
    return (node.x, node.y)[axis]


def _extent(node: Node, axis: int) -> tuple[int, int]:
    return node.box[axis], node.box[axis + 2]


def _on_side(graph: SceneGraph, node: Node, axis: int, first: bool) -> Truth:
    """Whether a region is in the first (left, upper) or last part of an axis."""
    size = (graph.width, graph.height)[axis]
    low, high = _extent(node, axis)
    centre = _centre(node, axis)
    if not first:
        low, high, centre = size - high, size - low, 100 * size - centre
    if 5 * centre <= 2 * 100 * size and 10 * high <= 7 * size:
        return True
    return False if 2 * centre >= 100 * size else None


def _central(node: Node, axis: int, size: int) -> Truth:
    """Whether a region is in the middle of an axis."""
    off = abs(2 * _centre(node, axis) - 100 * size)
    low, high = _extent(node, axis)
    if 4 * off <= 100 * size and 8 * low >= size and 8 * high <= 7 * size:
        return True
    return False if 2 * off >= 100 * size else None
