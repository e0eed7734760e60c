"""Streaming connected components: regions of a labelled scene, whole across its blocks' seams.

Each block is labelled alone; regions that touch across a seam are one, by union-find over the
pixels on both sides of it. A region is given out as soon as no later block can touch it, so that
only the regions that cross the present row of blocks are held.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.grid import Grid
from unigeoseg.geo.masks import label_components
from unigeoseg.geo.vectors.features import Geometry, join_polygons, polygonize_labels, to_map


@dataclass(frozen=True, slots=True)
class Region:
    """One connected region.

    Attributes:
        geometry: Its outline in map coordinates, holes kept.
        label: What it is labelled with, from 1.
        area_px: Its pixels.
        area_m2: Its square metres, see `Grid.cell_areas_m2`; None without a CRS.
        score: Mean score of its pixels.
    """

    geometry: Geometry
    label: int
    area_px: int
    area_m2: float | None
    score: float


def merge_regions(regions: Sequence[Region]) -> Region:
    """Regions of one label, at least one, as a single one of several parts."""
    area_px = sum(region.area_px for region in regions)
    metres = [region.area_m2 for region in regions if region.area_m2 is not None]
    outlines = [region.geometry for region in regions]
    return Region(
        join_polygons(
            [part for outline in outlines for part in getattr(outline, "geoms", [outline])]
        ),
        regions[0].label,
        area_px,
        sum(metres) if metres else None,
        sum(region.score * region.area_px for region in regions) / area_px,
    )


@dataclass(slots=True)
class _OpenRegion:
    """A region that later blocks may still touch; its pieces are in pixels of the scene."""

    label: int
    area_px: int
    area_m2: float
    score: float
    pieces: list[Geometry] = field(default_factory=list)

    def absorb(self, part: "_OpenRegion") -> None:
        """Add another part of the same region to this one."""
        self.area_px += part.area_px
        self.area_m2 += part.area_m2
        self.score += part.score
        self.pieces += part.pieces


class RegionFinder:
    """Finds the 8-connected regions of one label each.

    Args:
        grid: The grid of the scene.
        left: First column that blocks cover.
        right: The column after their last.
        min_area_px: Regions of fewer pixels are left out.
        min_area_m2: Regions of less are left out, where metres are known.
    """

    def __init__(
        self,
        grid: Grid,
        left: int,
        right: int,
        *,
        min_area_px: int = 0,
        min_area_m2: float = 0.0,
    ) -> None:
        self._grid = grid
        self._located = grid.gsd_m is not None
        self._least = (min_area_px, min_area_m2)
        self._left = left
        self._open: dict[int, _OpenRegion] = {}
        self._parent: dict[int, int] = {}
        self._next = 1
        width = right - left + 2  # one column of nothing at both ends
        self._above = _Edge.empty(width)
        self._below = _Edge.empty(width)
        self._beside = _Edge.empty(0)
        self._row = -1

    def add(
        self, window: Window, labels: NDArray[np.uint8], score: NDArray[np.float32]
    ) -> Iterator[Region]:
        """Take the next block; give the regions that are complete.

        Args:
            window: Where it lies. Blocks come in rows from the top down and from left to right,
                and cover the columns of the finder without gap.
            labels: (h, w) uint8, 0 where nothing is.
            score: (h, w) float32 of the pixels.
        """
        if window.row_off != self._row:
            yield from self._start_row(int(window.row_off))
        ids = np.zeros(labels.shape, np.int32)
        for label in np.unique(labels[labels > 0]).tolist():
            yield from self._label(window, labels == label, label, score, ids)
        self._join_seams(window, _Edge(ids[0], labels[0]), _Edge(ids[:, 0], labels[:, 0]))
        self._beside = _Edge(ids[:, -1], labels[:, -1])
        at = slice(self._offset(window), self._offset(window) + int(window.width))
        self._below.ids[at], self._below.labels[at] = ids[-1], labels[-1]

    def finish(self) -> Iterator[Region]:
        """The regions that are left, when every block was added."""
        yield from self._start_row(-1)
        yield from self._start_row(-1)

    def _offset(self, window: Window) -> int:
        return int(window.col_off) - self._left + 1

    def _start_row(self, row: int) -> Iterator[Region]:
        """Go to the next row of blocks: what does not reach its edge is complete."""
        self._row = row
        self._beside = _Edge.empty(0)
        self._above, self._below = self._below, _Edge.empty(len(self._below.ids))
        ids = np.unique(self._above.ids).tolist()
        roots = {part: self._find(part) for part in ids if part}
        continued = set(roots.values())
        for root in [root for root in self._open if root not in continued]:
            yield from self._close(self._open.pop(root))
        self._parent = {part: root for part, root in roots.items() if part != root}

    def _label(
        self,
        window: Window,
        mask: NDArray[np.bool_],
        label: int,
        score: NDArray[np.float32],
        ids: NDArray[np.int32],
    ) -> Iterator[Region]:
        """Find the regions of one label in a block; write the ids of those on its edge."""
        components = label_components(mask)
        parts = self._parts(window, components, label, score)
        sides = (components[0], components[-1], components[:, 0], components[:, -1])
        edge = np.unique(np.concatenate(sides))
        part_ids = np.zeros(len(parts) + 1, np.int32)  # by number; 0 for what is complete
        for number in edge[edge > 0].tolist():
            part_ids[number] = self._next
            self._open[self._next] = parts[number - 1]
            self._next += 1
        for number, part in enumerate(parts, start=1):
            if not part_ids[number]:
                yield from self._close(part)
        ids += part_ids[components]

    def _parts(
        self, window: Window, components: NDArray[np.int32], label: int, score: NDArray[np.float32]
    ) -> list[_OpenRegion]:
        """Every region of a block, in the order of its number."""
        numbers = components.ravel()
        count = int(components.max()) + 1
        pixels = np.bincount(numbers, minlength=count)[1:]
        scores = np.bincount(numbers, score.ravel(), count)[1:]
        cells = self._grid.cell_areas_m2(window)
        weights = None if cells is None else np.repeat(cells, components.shape[1])
        metres = np.bincount(numbers, weights, count)[1:]
        parts = [
            _OpenRegion(label, int(area), float(m2), float(total))
            for area, m2, total in zip(pixels, metres, scores, strict=True)
        ]
        for number, piece in polygonize_labels(
            components, int(window.col_off), int(window.row_off)
        ):
            parts[number - 1].pieces.append(piece)
        return parts

    def _join_seams(self, window: Window, top: "_Edge", left: "_Edge") -> None:
        """Join what touches the block above and the block on the left, at corners too."""
        offset, width = self._offset(window), int(window.width)
        for shift in (-1, 0, 1):
            self._join(top, self._above.cut(offset + shift, width))
            height = len(left.ids) - abs(shift)
            if len(self._beside.ids):
                neighbour = self._beside.cut(max(shift, 0), height)
                self._join(left.cut(max(-shift, 0), height), neighbour)

    def _join(self, inner: "_Edge", outer: "_Edge") -> None:
        touching = (inner.ids > 0) & (outer.ids > 0) & (inner.labels == outer.labels)
        pairs = np.unique(np.stack([inner.ids[touching], outer.ids[touching]]), axis=1)
        for first, second in pairs.T.tolist():
            keep, drop = sorted((self._find(first), self._find(second)))
            if keep != drop:
                self._parent[drop] = keep
                self._open[keep].absorb(self._open.pop(drop))

    def _find(self, part: int) -> int:
        """The id of the region that a part belongs to now (union-find)."""
        root = part
        while root in self._parent:
            root = self._parent[root]
        while part != root:  # path compression
            self._parent[part], part = root, self._parent[part]
        return root

    def _close(self, region: _OpenRegion) -> Iterator[Region]:
        if region.area_px < self._least[0] or (self._located and region.area_m2 < self._least[1]):
            return
        yield Region(
            to_map(_union(region.pieces), self._grid),
            region.label,
            region.area_px,
            region.area_m2 if self._located else None,
            region.score / region.area_px,
        )


@dataclass(frozen=True, slots=True)
class _Edge:
    """One line of pixels: ids of open regions, and labels, both 0 where nothing is."""

    ids: NDArray[np.int32]
    labels: NDArray[np.uint8]

    @classmethod
    def empty(cls, length: int) -> "_Edge":
        return cls(np.zeros(length, np.int32), np.zeros(length, np.uint8))

    def cut(self, start: int, length: int) -> "_Edge":
        return _Edge(self.ids[start : start + length], self.labels[start : start + length])


def _union(pieces: list[Geometry]) -> Geometry:
    """One geometry of pieces that touch at seams, without the corners that seams have made."""
    if len(pieces) == 1:
        return pieces[0]
    union = shapely.simplify(shapely.union_all(pieces), 0)
    return join_polygons(list(getattr(union, "geoms", [union])))
