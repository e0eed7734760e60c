"""Overlap-tile inference: overlapping tiles over a scene, their scores blended without seams."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import OptionError

_FLOOR = 0.01  # weight at a tile's edge, where it may be the only one


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Where the tiles of one row, or of one column, lie along an axis.

    Attributes:
        start: Their first pixel.
        share: (length,) float32, how much they count at each of their pixels; the shares of all
            spans that hold a pixel add up to 1.
    """

    start: int
    share: NDArray[np.float32]

    @property
    def stop(self) -> int:
        """The pixel after their last."""
        return self.start + len(self.share)


@dataclass(frozen=True, slots=True, eq=False)
class TilePlan:
    """Overlapping tiles over a scene: every row span with every column span.

    Attributes:
        rows: From the top down.
        cols: From left to right.
    """

    rows: tuple[Span, ...]
    cols: tuple[Span, ...]

    @classmethod
    def of(
        cls, width: int, height: int, tile: int, overlap: int, *, anchor: tuple[int, int] = (0, 0)
    ) -> "TilePlan":
        """Cover a scene.

        Every tile is `tile` pixels a side; the last of a row or column is shifted back to the
        edge. Along a side shorter than `tile` it has the scene's own size.

        Args:
            width: Columns of the scene.
            height: Rows of the scene.
            tile: Side of a tile in pixels, at least 1.
            overlap: Least number of pixels that neighbours share, below `tile`.
            anchor: Column and row of the scene's first pixel, counted from where tiles start.
                Two cuts of one mosaic that give their places in it have the same tiles inside.

        Raises:
            OptionError: If `tile` or `overlap` is out of range.
        """
        if tile < 1:
            raise OptionError(f"tile must be >= 1, got {tile}")
        if not 0 <= overlap < tile:
            raise OptionError(f"overlap must be >= 0 and < tile ({tile}), got {overlap}")
        step = tile - overlap
        return cls(_spans(height, tile, step, anchor[1]), _spans(width, tile, step, anchor[0]))

    @property
    def window(self) -> Window:
        """What all tiles together cover."""
        x, y = self.cols[0].start, self.rows[0].start
        return Window(x, y, self.cols[-1].stop - x, self.rows[-1].stop - y)

    def windows(self) -> list[Window]:
        """Every tile, row by row."""
        return [
            Window(col.start, row.start, len(col.share), len(row.share))
            for row in self.rows
            for col in self.cols
        ]

    def over(self, area: Window) -> "TilePlan":
        """The tiles that hold a pixel of `area`; each counts as much as in the whole plan."""
        (y0, y1), (x0, x1) = area.toranges()
        return TilePlan(
            tuple(row for row in self.rows if row.start < y1 and row.stop > y0),
            tuple(col for col in self.cols if col.start < x1 and col.stop > x0),
        )


def plan_tiles(width: int, height: int, tile: int, overlap: int) -> list[Window]:
    """The windows of `TilePlan.of`, row by row."""
    return TilePlan.of(width, height, tile, overlap).windows()


def _spans(length: int, tile: int, step: int, anchor: int) -> tuple[Span, ...]:
    last = max(length - tile, 0)
    starts = sorted({0, *range(-anchor % step, last, step), last})
    weights = _ramp(min(tile, length))
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + len(weights)] += weights
    return tuple(Span(at, weights / total[at : at + len(weights)]) for at in starts)


def blend_tiles(
    plan: TilePlan, scores: Iterable[NDArray[np.float32]]
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Weighted mean of overlapping score tiles, heaviest at each tile's centre, as they come.

    Only what later tiles still add to is held: one tile, and the rows that two tile rows share.

    Args:
        plan: The tiles.
        scores: (P, h, w) of each tile, in the order of `plan.windows`.

    Yields:
        Blocks (P, h, w) with their windows. They cover `plan.window` without overlap, row by row,
        each row from left to right.
    """
    tiles = iter(scores)
    above: NDArray[np.float32] | None = None
    for row, ready in zip(plan.rows, _ready(plan.rows), strict=True):
        below = []
        for window, sums in _blend_row(plan, row, tiles):
            if above is not None:
                left = window.col_off - plan.cols[0].start
                sums[:, : above.shape[1]] += above[:, :, left : left + window.width]
            below.append(sums[:, ready:].copy())
            yield Window(window.col_off, row.start, window.width, ready), sums[:, :ready]
        above = np.concatenate(below, axis=2)


def _blend_row(
    plan: TilePlan, row: Span, tiles: Iterator[NDArray[np.float32]]
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Sums of one tile row alone (P, h, w), in columns that no later tile of it adds to."""
    shared: NDArray[np.float32] | None = None
    for col, ready in zip(plan.cols, _ready(plan.cols), strict=True):
        sums = next(tiles) * (row.share[:, None] * col.share)
        if shared is not None:
            sums[:, :, : shared.shape[2]] += shared
        shared = sums[:, :, ready:]
        yield Window(col.start, row.start, ready, len(row.share)), sums[:, :, :ready]


def _ready(spans: tuple[Span, ...]) -> list[int]:
    """How many pixels of each span lie before the next one."""
    return [after.start - span.start for span, after in pairwise(spans)] + [len(spans[-1].share)]


def _ramp(length: int) -> NDArray[np.float32]:
    """A Hann window (length,) lifted by a floor, so that it is never zero."""
    wave = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    return (_FLOOR + (1 - _FLOOR) * wave).astype(np.float32)
