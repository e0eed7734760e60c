"""Pipeline over the tiles of a scene: a thread reads, the caller's computes, a thread writes.

Only some tiles, and the rows that two tile rows share, are in memory at any time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.area import Area
from unigeoseg.geo.raster import Raster, Scene
from unigeoseg.geo.row_reader import RowReader
from unigeoseg.geo.tiling import TilePlan, blend_tiles
from unigeoseg.runtime.prefetch import prefetch
from unigeoseg.runtime.stage_clock import StageClock

TileScores: TypeAlias = Callable[[Window, Raster], NDArray[np.float32]]
"""Scores (P, h, w) in [0, 1] of P prompts on a tile."""
BlockWriter: TypeAlias = Callable[[Window, NDArray[np.float32]], None]
"""Takes a block of blended scores (P, h, w), and where it lies in the scene."""
Progress: TypeAlias = Callable[[int, int], None]
"""Takes the number of tiles, views or prompts that are done, and the number of all."""

_AHEAD = 2  # tiles read, and blocks that wait to be written, beside those in work


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePipeline:
    """Tiles of a scene, from reading to blended scores.

    Attributes:
        scene: The scene.
        plan: Tiles over all of it.
        area: Where results are wanted; tiles outside are not read.
        prompts: How many scores there are for each pixel.
    """

    scene: Scene
    plan: TilePlan
    area: Area
    prompts: int

    def run(
        self,
        tile_scores: TileScores,
        write_block: BlockWriter,
        clock: StageClock,
        progress: Progress | None = None,
    ) -> None:
        """Score every tile that holds a pixel of the area and write blocks of blended scores.

        Blocks come in rows from the top down and from left to right, cut to the area's window.
        Tiles without data, or outside the area, score 0 and are not computed.

        Args:
            tile_scores: Called in this thread.
            write_block: Called in a thread of its own, one block at a time.
            clock: Times the stages.
            progress: Called as tiles are done.

        Raises:
            RasterUnreadableError: If the scene is damaged somewhere.
        """
        plan = self.plan.over(self.area.window)
        windows = plan.windows()
        scene: Scene | RowReader = self.scene
        if self.scene.rowwise:
            scene = RowReader(self.scene, plan.cols[0].start, plan.cols[-1].stop)
        with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
            tiles = prefetch(
                lambda window: self._read(scene, window, clock),
                windows,
                ahead=_AHEAD,
                pool=reader,
                waiting=lambda: clock("wait"),
            )
            scores = self._scores(tile_scores, tiles, progress, len(windows))
            with clock("blend"):
                blocks = blend_tiles(plan, scores)
                writes = prefetch(
                    lambda block: self._write_inside(write_block, *block),
                    blocks,
                    ahead=_AHEAD,
                    pool=writer,
                    waiting=lambda: clock("wait"),
                )
                deque(writes, maxlen=0)

    def _read(
        self, scene: Scene | RowReader, window: Window, clock: StageClock
    ) -> tuple[Window, Raster | None]:
        if not self.area.touches(window):
            return window, None
        with clock("read"):
            raster = scene.read(window)
        return window, raster if raster.valid.any() else None

    def _scores(
        self,
        tile_scores: TileScores,
        tiles: Iterable[tuple[Window, Raster | None]],
        progress: Progress | None,
        count: int,
    ) -> Iterator[NDArray[np.float32]]:
        for number, (window, raster) in enumerate(tiles, start=1):
            if raster is None:
                size = int(window.height), int(window.width)
                score = np.zeros((self.prompts, *size), np.float32)
            else:
                score = tile_scores(window, raster)
            if progress:
                progress(number, count)
            yield score

    def _write_inside(
        self, write_block: BlockWriter, window: Window, block: NDArray[np.float32]
    ) -> None:
        """Write what of a block lies in the area's window."""
        inside = self.area.clip(window)
        if inside.width and inside.height:
            rows, cols = Window(
                inside.col_off - window.col_off,
                inside.row_off - window.row_off,
                inside.width,
                inside.height,
            ).toslices()
            write_block(inside, block[:, rows, cols])
