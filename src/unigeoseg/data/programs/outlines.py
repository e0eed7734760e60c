"""Outlines of regions, and exact distances between them.

Lengths are whole hundredths of a pixel and areas are whole pixels, so that every comparison is one
of integers and gives the same answer everywhere.
"""

from math import isqrt

import cv2
import numpy as np
from numpy.typing import NDArray

CONTACT_PX = 3
"""Pixels no farther apart than this touch, for an eye."""

UNITS_PER_PX = 100
"""Lengths and positions are whole hundredths of a pixel."""


class Outlines:
    """The outline pixels of labelled regions: those with a 4-neighbour that is not of the region.

    Args:
        labels: (H, W) int32, 0 where none, regions 1 to `count`.
        count: Number of regions.
    """

    def __init__(self, labels: NDArray[np.int32], count: int) -> None:
        self._labels = labels
        rows, columns = np.nonzero(_edges(labels) & (labels > 0))
        owner = labels[rows, columns]
        order = np.argsort(owner, kind="stable")
        self._rows, self._columns = rows[order], columns[order]
        self._starts = np.searchsorted(owner[order], np.arange(1, count + 2))
        self._squares: dict[int, NDArray[np.int64]] = {}
        self._distances: dict[tuple[int, int], int] = {}

    def distance(self, a: int, b: int) -> int:
        """Smallest distance between pixel centres of two regions, hundredths of a pixel, floored.

        Two regions that touch are 100 apart, or 141 across a corner.
        """
        key = (min(a, b), max(a, b))
        if key not in self._distances:
            b_is_measured = b in self._squares and a not in self._squares
            squares = self._squared(b, a) if b_is_measured else self._squared(a, b)
            self._distances[key] = isqrt(UNITS_PER_PX**2 * int(squares.min()))
        return self._distances[key]

    def contact(self, source: int, target: int) -> int:
        """Outline pixels of region `target` no farther than `CONTACT_PX` from region `source`."""
        return int(np.count_nonzero(self._squared(source, target) <= CONTACT_PX**2))

    def surroundings(self, label: int, box: tuple[int, int, int, int]) -> NDArray[np.int64]:
        """Pixels of each label (index) in the ring round a region with a given tight box.

        The ring is what a square of 2 * `CONTACT_PX` + 1 pixels on each pixel of the region
        covers beyond the region, within the patch.
        """
        x0, y0, x1, y1 = box
        reach = CONTACT_PX
        window = self._labels[max(y0 - reach, 0) : y1 + reach, max(x0 - reach, 0) : x1 + reach]
        inside = (window == label).astype(np.uint8)
        kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        ring = cv2.dilate(inside, kernel) > inside
        return np.bincount(window[ring], minlength=len(self._starts))

    def _squared(self, source: int, target: int) -> NDArray[np.int64]:
        """Squared distance from each outline pixel of `target` to region `source`."""
        squares = self._squares.get(source)
        if squares is None:
            away = (self._labels != source).astype(np.uint8)
            distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            exact = distance[self._rows, self._columns].astype(np.float64)
            squares = self._squares[source] = np.rint(exact * exact).astype(np.int64)
        return squares[self._starts[target - 1] : self._starts[target]]


def _edges(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(H, W) bool, pixels that have a 4-neighbour with another label."""
    edge = np.zeros(labels.shape, np.bool_)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge
