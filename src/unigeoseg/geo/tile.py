"""Cut a scene into overlapping tiles and blend their scores back without seams."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.errors import OptionError

_FLOOR = 0.01


def plan_tiles(width: int, height: int, tile: int, overlap: int) -> list[Window]:
    """Windows that cover a scene, row by row.

    Every window is `tile` pixels a side; the last of a row or column is shifted back to the
    edge. Along a side shorter than `tile` the window has the scene's own size.

    Args:
        width: Columns of the scene.
        height: Rows of the scene.
        tile: Side of a tile in pixels, at least 1.
        overlap: Least number of pixels that neighbours share, below `tile`.

    Raises:
        OptionError: If `tile` or `overlap` is out of range.
    """
    if tile < 1:
        raise OptionError(f"tile must be >= 1, got {tile}")
    if not 0 <= overlap < tile:
        raise OptionError(f"overlap must be >= 0 and < tile ({tile}), got {overlap}")
    return [
        Window(x, y, min(tile, width), min(tile, height))
        for y in _starts(height, tile, tile - overlap)
        for x in _starts(width, tile, tile - overlap)
    ]


def _starts(length: int, tile: int, step: int) -> list[int]:
    last = max(length - tile, 0)
    return [*range(0, last, step), last]


class Blender:
    """Weighted mean of overlapping score tiles, heaviest at each tile's centre.

    It holds two float32 arrays of the scene's size.

    Args:
        height: Rows of the scene.
        width: Columns of the scene.
    """

    def __init__(self, height: int, width: int) -> None:
        self._sum = np.zeros((height, width), np.float32)
        self._weight = np.zeros((height, width), np.float32)

    def add(self, window: Window, score: NDArray[np.floating]) -> None:
        """Add one tile.

        Args:
            window: Where the tile lies, inside the scene.
            score: (h, w) scores, of the window's size.
        """
        rows, cols = window.toslices()
        weight = _hann(*score.shape)
        assert self._sum[rows, cols].shape == score.shape, "a tile must fit its window"
        self._sum[rows, cols] += score * weight
        self._weight[rows, cols] += weight

    def score(self) -> NDArray[np.float32]:
        """Blended score (H, W) float32; 0 where no tile was added."""
        blended = np.zeros_like(self._sum)
        np.divide(self._sum, self._weight, out=blended, where=self._weight > 0)
        return blended


@lru_cache(maxsize=8)
def _hann(height: int, width: int) -> NDArray[np.float32]:
    """Separable Hann window (height, width) lifted by a floor, so that it is never zero."""
    rows, cols = (
        _FLOOR + (1 - _FLOOR) * np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
        for n in (height, width)
    )
    window: NDArray[np.float32] = np.outer(rows, cols).astype(np.float32)
    return window
