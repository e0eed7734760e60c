"""A row buffer: tiles of files that hold full rows, read so that every row is decoded once."""

import numpy as np
from rasterio.windows import Window

from unigeoseg.geo.raster import Raster, Scene

_ROWS = 128  # read at a time: what is not 8 bits yet takes several times its room


class RowReader:
    """Holds one row of tiles, 4 bytes per pixel of it; tiles come from the top down."""

    def __init__(self, scene: Scene, left: int, right: int) -> None:
        """Read tiles of `scene` between two columns, the right one left out."""
        self._scene, self._left, self._width = scene, left, right - left
        self._top = 0
        self._array = np.zeros((3, 0, self._width), np.uint8)
        self._valid = np.zeros((0, self._width), np.bool_)

    def read(self, window: Window) -> Raster:
        """What `Scene.read` gives.

        Args:
            window: Not above those before, and inside the scene.
        """
        (top, bottom), (left, right) = window.toranges()
        if bottom > self._top + len(self._valid):
            self._go_to(top, bottom)
        rows = slice(top - self._top, bottom - self._top)
        cols = slice(left - self._left, right - self._left)
        grid = self._scene.grid.for_window(window)
        return Raster(self._array[:, rows, cols].copy(), self._valid[rows, cols].copy(), grid)

    def _go_to(self, top: int, bottom: int) -> None:
        """Hold the rows from `top` to `bottom`, those that are held already not read again."""
        reused = max(self._top + len(self._valid) - top, 0)
        array = np.empty((3, bottom - top, self._width), np.uint8)
        valid = np.empty((bottom - top, self._width), np.bool_)
        if reused:
            array[:, :reused], valid[:reused] = self._array[:, -reused:], self._valid[-reused:]
        for row in range(top + reused, bottom, _ROWS):
            count = min(_ROWS, bottom - row)
            strip = self._scene.read(Window(self._left, row, self._width, count))
            rows = slice(row - top, row - top + count)
            array[:, rows], valid[rows] = strip.array, strip.valid
        self._top, self._array, self._valid = top, array, valid
