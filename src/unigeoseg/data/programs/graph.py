"""Scene graphs: the visible regions of a patch, measured, and relations between them on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.programs.outlines import UNITS_PER_PX, Outlines
from unigeoseg.data.taxonomy.categories import taxonomy

SPECK_PX = {"thing": 16, "stuff": 64}
"""Regions of fewer pixels are not seen, by kind of category."""

_UNITS_A_SIDE = 32  # the longer side of a patch is this many units
_GREY_RANGE = 4  # largest difference between the bands of a grey pixel
_GREY_SHARE = 0.95  # of a patch without colour is grey
_NORTH_TOLERANCE = 1e-3  # rotation of a grid that counts as none

UNKNOWN_SHARE = 20
"""A patch of which more than one in this many pixels is unknown is not described."""


@dataclass(frozen=True, slots=True)
class Node:
    """A visible region.

    Attributes:
        region: Its id in the patch.
        category: Its taxonomy id.
        label: Its number in the graph, from 1.
        area_px: Number of pixels.
        box: x0, y0, x1, y1 in pixels, half-open.
        x: Of the centroid, hundredths of a pixel, the first pixel's centre at 50, floored.
        y: The same downwards.
        spread: n * sum(xx) - sum(x)^2, n * sum(yy) - sum(y)^2 and n * sum(xy) - sum(x) * sum(y)
            over its n pixels' columns x and rows y: n^2 times its covariance.
    """

    region: int
    category: int
    label: int
    area_px: int
    box: tuple[int, int, int, int]
    x: int
    y: int
    spread: tuple[int, int, int]

    @property
    def box_area(self) -> int:
        """Pixels of the box."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


class SceneGraph:
    """The scene graph of a patch: its regions, and the distances and contacts between them.

    Attributes:
        patch: The patch.
        width: Columns of the patch in pixels.
        height: Its rows.
        nodes: By region id, in order of the ids.
        clear: Whether enough of the patch is known to describe it.
    """

    def __init__(self, patch: Patch) -> None:
        self.patch = patch
        self.height, self.width = patch.regions.shape
        self._labels, regions = _labels(patch)
        self.nodes: dict[int, Node] = {
            node.region: node for node in _nodes(self._labels, regions, patch.categories)
        }
        unknown = int(np.count_nonzero(patch.regions == UNKNOWN_REGION))
        self.clear = unknown * UNKNOWN_SHARE <= patch.regions.size
        self._rings: dict[int, tuple[list[int], int]] = {}

    @property
    def unit(self) -> int:
        """A 32nd of the longer side, hundredths of a pixel: 16 px in a patch of 512."""
        return int(UNITS_PER_PX * max(self.width, self.height) // _UNITS_A_SIDE)

    def distance(self, a: Node, b: Node) -> int:
        """Distance between two regions, hundredths of a pixel; see `Outlines.distance`."""
        return self._outlines.distance(a.label, b.label)

    def contact(self, source: Node, target: Node) -> int:
        """Outline pixels of `target` that touch `source`; see `Outlines.contact`."""
        return self._outlines.contact(source.label, target.label)

    def enclosure(self, inner: Node, outer: Node) -> tuple[int, int]:
        """Pixels of the ring round `inner` that belong to `outer`, and all of the ring."""
        ring = self._rings.get(inner.label)
        if ring is None:
            pixels = self._outlines.surroundings(inner.label, inner.box)
            ring = self._rings[inner.label] = (pixels.tolist(), int(pixels.sum()))
        pixels_by_label, total = ring
        return pixels_by_label[outer.label], total

    def count(self, node: Node, holds: Callable[[NDArray[np.uint8]], NDArray[np.bool_]]) -> int:
        """Number of the region's pixels, (N, 3) uint8, for which a function of colour holds."""
        x0, y0, x1, y1 = node.box
        inside = self._labels[y0:y1, x0:x1] == node.label
        return int(np.count_nonzero(holds(self.patch.pixels[y0:y1, x0:x1][inside])))

    @cached_property
    def grey(self) -> bool:
        """Whether the patch has no colour."""
        pixels = self.patch.pixels
        return bool((np.ptp(pixels, axis=2) <= _GREY_RANGE).mean() > _GREY_SHARE)

    @cached_property
    def north_up(self) -> bool:
        """Whether the top of the patch is north."""
        grid = self.patch.grid
        if grid is None or grid.crs is None:
            return False
        a, b, _, d, e, _ = tuple(grid.transform)[:6]
        return bool(a > 0 > e and max(abs(b), abs(d)) < _NORTH_TOLERANCE * a)

    @cached_property
    def _outlines(self) -> Outlines:
        return Outlines(self._labels, int(self._labels.max()))


@lru_cache(maxsize=4)
def scene_graph(patch: Patch) -> SceneGraph:
    """The scene graph of a patch, cached: the stages that see one patch in turn share it."""
    return SceneGraph(patch)


def _labels(patch: Patch) -> tuple[NDArray[np.int32], list[int]]:
    """Visible regions numbered from 1, (H, W) int32, and the region id of each number."""
    sizes = np.bincount(patch.regions.ravel(), minlength=int(UNKNOWN_REGION) + 1)
    entries = taxonomy()
    regions = [
        region
        for region, category in sorted(patch.categories.items())
        if sizes[region] >= SPECK_PX[entries[category].kind]
    ]
    table = np.zeros(len(sizes), np.int32)
    table[regions] = np.arange(1, len(regions) + 1)
    return table[patch.regions], regions


def _nodes(labels: NDArray[np.int32], regions: list[int], categories: dict[int, int]) -> list[Node]:
    nodes = []
    for label, window in enumerate(ndimage.find_objects(labels), start=1):
        region = regions[label - 1]
        nodes.append(_node(labels, label, window, region, categories[region]))
    return nodes


def _node(
    labels: NDArray[np.int32], label: int, window: tuple[slice, slice], region: int, category: int
) -> Node:
    rows, columns = window
    inside = labels[window] == label
    # sums of whole numbers below 2**53 are exact in float64
    mask = inside.astype(np.float64)
    x = np.arange(columns.start, columns.stop, dtype=np.float64)
    y = np.arange(rows.start, rows.stop, dtype=np.float64)
    per_column, per_row = mask.sum(axis=0), mask.sum(axis=1)
    area = int(per_row.sum())
    sx, sy = int(per_column @ x), int(per_row @ y)
    sxx, syy, sxy = int(per_column @ (x * x)), int(per_row @ (y * y)), int(y @ (mask @ x))
    return Node(
        region,
        category,
        label,
        area,
        (columns.start, rows.start, columns.stop, rows.stop),
        UNITS_PER_PX * sx // area + UNITS_PER_PX // 2,
        UNITS_PER_PX * sy // area + UNITS_PER_PX // 2,
        (area * sxx - sx * sx, area * syy - sy * sy, area * sxy - sx * sy),
    )
